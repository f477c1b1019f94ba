"""The least loop that can be drilled, without a framework; ``--plant`` spoils one thing."""

import json
import os
import sys

import numpy as np

import holdfast.drill

plant = sys.argv[2] if len(sys.argv) > 2 and sys.argv[1] == "--plant" else ""
resume = "--resume" in sys.argv
if plant == "fails":
    raise ValueError("no data here")
rng = np.random.default_rng(None if plant == "unseeded" else 0)
weights, first = np.zeros(4), 0
path = "state.json"
if plant == "outside":
    import torch  # whose saves are seen

    torch.save({}, sys.argv[3])
if os.path.exists(path) and plant != "anew" and (plant != "flag" or resume):
    with open(path) as file:
        held = json.load(file)
    if plant == "key-error":
        held["missing"]
    weights, first = np.array(held["weights"]), held["step"]
    if plant != "own-generator":
        rng.bit_generator.state = held["rng"]
steps = 2 if plant == "short" else 10
for step in range(first + 1, (first + steps if plant == "length" and first else steps) + 1):
    noise = rng.normal(size=4)
    weights = weights * 0.9 + noise
    if plant != "silent":
        holdfast.drill.step(step, loss=weights.sum(), state={"w": weights})
    if plant == "exits":
        sys.exit(0 if step < 9 else 3)
    with open(path + ".tmp", "w") as file:
        json.dump({"weights": weights.tolist(), "step": step, "rng": rng.bit_generator.state}, file)
    os.replace(path + ".tmp", path)
print("done")
