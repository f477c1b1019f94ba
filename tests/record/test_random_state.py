"""Random numbers go on where they were, through JSON and in another process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.plain import pack, unpack
from holdfast._record.random_state import put_random_state, random_state

_BEGIN = """
import json, random, sys
import numpy as np
from holdfast._core.plain import pack, unpack
from holdfast._record.random_state import put_random_state, random_state

def carry_on(name, seed, of_framework):
    def draw():
        return [random.random(), random.gauss(0, 1), float(np.random.rand()), float(np.random.normal()), of_framework()]

    word, file = sys.argv[1], f"{sys.argv[2]}/{name}.json"
    if word == "save":
        seed()
        random.seed(3); np.random.seed(4)
        draw()
        bad = []
        state = pack(random_state(), "rng", bad)
        assert not bad, bad
        assert "incomplete" not in state, state["incomplete"]
        open(file, "w").write(json.dumps(state, allow_nan=False))
    else:
        left = put_random_state(unpack(json.load(open(file))))
        assert left == [], left
    print(json.dumps([name, draw(), draw()]))
"""

FRAMEWORKS = {
    "numpy": ("", "0", "None"),
    "torch": ("import torch", "torch.rand(2).tolist(), torch.randn(1).item()", "torch.manual_seed(1)"),
    "tensorflow": (
        "import tensorflow as tf",
        "tf.random.uniform([2]).numpy().tolist(), tf.random.get_global_generator().normal([1]).numpy().tolist()",
        "tf.random.set_seed(1)",
    ),
    "keras": (
        "import keras",
        "keras.random.uniform((2,)).numpy().tolist(), "
        "keras.layers.Dropout(0.5)(np.ones((1, 8)), training=True).numpy().tolist()",
        "keras.utils.set_random_seed(1)",
    ),
}


@pytest.mark.parametrize("names", [("numpy", "torch"), ("tensorflow", "keras")], ids=" then ".join)
def test_another_process_draws_what_would_have_come(tmp_path: Path, names: tuple[str, ...]) -> None:
    """One after the other: without the second, and then with it."""
    for name in names:
        pytest.importorskip(name)
    parts = [
        f"{imports}\ncarry_on({name!r}, lambda: {seed}, lambda: ({draw},))"
        for name, (imports, draw, seed) in ((name, FRAMEWORKS[name]) for name in names)
    ]
    code = "\n".join([_BEGIN, *parts])

    def run(word: str) -> list[object]:
        done = subprocess.run(
            [sys.executable, "-c", code, word, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        drawn = [json.loads(line) for line in done.stdout.splitlines()[-len(names) :]]
        assert [name for name, *_ in drawn] == list(names)
        return drawn

    assert run("save") == run("load")


def test_asking_draws_nothing() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    random_state()
    assert (random.random(), np.random.rand()) == expected


def test_what_cannot_be_put_back_is_named() -> None:
    state = unpack(pack(random_state(), "rng", []))
    state["tensorflow"] = {"seed": 1, "operations": "broken"}
    left = put_random_state(state)
    assert len(left) == 1
    assert left[0].startswith("tensorflow: ")
