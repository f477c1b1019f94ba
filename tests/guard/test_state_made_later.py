"""A TensorFlow checkpoint restored before its optimizer has variables: what of its state in the file finds no place later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from holdfast._guard.guard import Guard  # noqa: E402
from holdfast._guard.seen import Seen  # noqa: E402


def net() -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])


def saved(folder: Path, optimizer: Any) -> str:
    model = net()
    optimizer.build(model.trainable_variables)
    return str(tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(folder / "ckpt")))


def told(path: str, optimizer: Any, *, trains: bool) -> list[Seen]:
    """What a guard tells of a restore, the optimizer being built after it or never."""
    seen: list[Seen] = []
    with Guard(tell=seen.append):
        model = net()
        tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).expect_partial()
        if trains:
            optimizer.build(model.trainable_variables)
            optimizer.apply([tf.zeros_like(v) for v in model.trainable_variables])
        else:
            model(np.zeros((1, 4), "float32"))
    return seen


def grave(seen: list[Seen]) -> set[str]:
    return {f.code for s in seen for f in s.findings if f.severity in ("error", "warning")}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), lambda: keras.optimizers.SGD(0.1)),
        (lambda: keras.optimizers.Adam(0.1, amsgrad=True), lambda: keras.optimizers.Adam(0.1)),
    ],
    ids=["momentum", "AMSGrad"],
)
def test_state_that_the_optimizer_never_makes_is_told(tmp_path: Path, was: Any, now: Any) -> None:
    seen = told(saved(tmp_path, was()), now(), trains=True)
    assert grave(seen) == {"O204"}
    assert not any("0 of 0" in s.sentence for s in seen)


def test_the_same_optimizer_is_silent(tmp_path: Path) -> None:
    path = saved(tmp_path, keras.optimizers.SGD(0.1, momentum=0.9))
    assert not grave(told(path, keras.optimizers.SGD(0.1, momentum=0.9), trains=True))


def test_inference_alone_is_silent(tmp_path: Path) -> None:
    path = saved(tmp_path, keras.optimizers.SGD(0.1, momentum=0.9))
    assert not grave(told(path, keras.optimizers.SGD(0.1), trains=False))
