"""Rows on models made under ``tf.distribute.MirroredStrategy`` on two virtual CPU devices. A process's devices are fixed
with its first operation, so these rows are judged in a process of their own (this file, run as a script)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before anything of TensorFlow's is used
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )

import keras
import numpy as np
import tensorflow as tf
from harness import Case, Got, Row, judge
from keras_nets import Run, X, Y, adam, by_name, by_place, held, net, save

SYSTEMS = ("tfck", "weights.h5", ".keras")
Make = Callable[[], Run]
ROWS: list[Row] = []


@lru_cache(maxsize=1)
def strategy() -> Any:
    found = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert found.num_replicas_in_sync == 2
    return found


def mirrored(model: Callable[[], Any], optimizer: Callable[[], Any] | None = adam) -> Make:
    def made() -> Run:
        with strategy().scope():
            return Run(model(), None if optimizer is None else optimizer())

    return made


def alone(model: Callable[[], Any], optimizer: Callable[[], Any] | None = adam) -> Make:
    return lambda: Run(model(), None if optimizer is None else optimizer())


def train(run: Run, steps: int, at: int = 0) -> None:
    """Steps by Keras's own training step, each replica on its half of the batch."""
    if run.optimizer is None:
        return
    if not run.model.compiled:
        with strategy().scope() if _is_mirrored(run) else tf.name_scope(""):
            run.model.compile(run.optimizer, "mse", jit_compile=False)
    for step in range(at, at + steps):
        rows = slice(4 * (step % 4), 4 * (step % 4) + 8)
        run.model.train_on_batch(X[rows], Y[rows])


def _is_mirrored(run: Run) -> bool:
    return hasattr(run.model.variables[0].value, "values")


def on_each_device(run: Run) -> list[list[bytes]]:
    """Every variable's value on every device."""
    return [
        [np.asarray(one).tobytes() for one in getattr(v.value, "values", (v.value,))]
        for v in (*run.model.variables, *run.optimizer.variables)
    ]


# -- the process of their own ----------------------------------------------------------------------------
def sample() -> list[Row]:
    """Each mutation once, the formats in turn, and every plain resume: what is judged always."""
    by_mutation: dict[str, list[Row]] = {}
    for one in ROWS:
        by_mutation.setdefault(one.mutation, []).append(one)
    chosen = {rows[k % len(rows)].id for k, rows in enumerate(by_mutation.values())}
    return [one for one in ROWS if one.id in chosen or one.mutation == "plain resume"]


@lru_cache(maxsize=2)
def _judged(all_rows: bool) -> dict[str, Got]:
    words = [sys.executable, __file__, *(["all"] if all_rows else [])]
    child = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert child.returncode == 0, child.stderr[-3000:]
    found = json.loads(child.stdout.splitlines()[-1])
    return {name: Got(**{**got, "codes": tuple(got["codes"])}) for name, got in found.items()}


def _elsewhere(row: Row, sealed: bool) -> Got:
    return _judged(row not in sample())[f"{row.id} {sealed}"]


# -- rows ------------------------------------------------------------------------------------------------
def row(
    mutation: str, expect: str, saved: Make, live: Make, codes: tuple[str, ...] = (), *,
    systems: tuple[str, ...] = SYSTEMS, truth: Any = by_name, goes_on: bool = False, sealed: str | None = None,
) -> None:  # fmt: skip
    def make(system: str) -> Callable[[Path], Case]:
        def case(folder: Path) -> Case:
            keras.utils.set_random_seed(1)
            run = saved()
            train(run, 2)
            path = save_in_scope(run, system, folder / "saved")
            was = held(run.parts())
            keras.utils.set_random_seed(2)
            other = live()
            known: Mapping[str, np.ndarray] = truth(was, other.parts()) if truth is not None else {}

            def after(outcome: Any) -> None:
                for values in on_each_device(other):
                    assert len(set(values)) == 1, "the devices do not agree"
                train(run, 3, 2)
                train(other, 3, 2)
                assert on_each_device(run) == on_each_device(other), "training goes on otherwise"

            return Case(path, other.parts(), known, origin=run.model, after=after if goes_on else None)

        return case

    for system in systems:
        ROWS.append(
            Row(mutation, f"mirrored {system}", expect, make(system), codes, sealed, elsewhere=_elsewhere)
        )


def save_in_scope(run: Run, system: str, folder: Path) -> str:
    if not _is_mirrored(run):
        return save(run, system, folder)
    with strategy().scope():
        return save(run, system, folder)


_CLASS = ("O201", "O202", "O203", "O204", "O205")

row("plain resume", "exact", mirrored(net), mirrored(net), truth=by_place, goes_on=True)
row("one device, into mirrored", "exact", alone(net), mirrored(net), truth=by_place)
row("mirrored, into one device", "exact", mirrored(net), alone(net), truth=by_place)
row("layer added at end", "refuse", mirrored(net), mirrored(lambda: net(adapter=True)), ("T201",))
row(
    "layer removed at end",
    "leftover",
    mirrored(lambda: net(adapter=True), None),
    mirrored(net, None),
    ("T202",),
)
row("more classes", "lossy", mirrored(net, None), mirrored(lambda: net(classes=5), None), ("T203",))
row("dtype f32->f16", "lossy", mirrored(net, None), mirrored(lambda: net(dtype="float16"), None), ("T204",))
row("optimizer Adam->SGD", "refuse", mirrored(net), mirrored(net, lambda: keras.optimizers.SGD(0.01)), _CLASS)
row(
    "activation changed", "indistinguishable", mirrored(net), mirrored(lambda: net(activation="tanh")), ("T218",),
    systems=("tfck", "weights.h5"), sealed="refuse",
)  # fmt: skip


if __name__ == "__main__":
    print(
        json.dumps(
            {
                f"{one.id} {sealed}": asdict(judge(replace(one, elsewhere=None), sealed=sealed))
                for one in (ROWS if "all" in sys.argv[1:] else sample())
                for sealed in ((False, True) if one.sealed is not None else (False,))
            }
        )
    )
