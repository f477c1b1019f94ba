"""The three worst silent failures of Keras and TensorFlow, reproduced: what the framework does, and what we do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import keras_nets as nets  # noqa: E402

import holdfast  # noqa: E402


def arrays(variables: list[Any]) -> list[np.ndarray]:
    return [np.array(v) for v in variables]


def equal(ones: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(ones) == len(others) and all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


# -- 1. restored before the first call ------------------------------------------------------------------------
class Wide(nets.Lazy):
    """Subclassed, its layers made by the first call."""


@pytest.fixture
def saved_lazy(tmp_path: Path) -> tuple[Any, str]:
    keras.utils.set_random_seed(1)
    model = nets.called(Wide())
    return model, str(tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt")))


def test_deferred_restore_leaves_a_duplicate_kernel(saved_lazy: tuple[Any, str]) -> None:
    """tf.train.Checkpoint.restore before the first call of a subclassed model."""
    model, path = saved_lazy
    other = Wide()
    tf.train.Checkpoint(model=other).restore(path).assert_nontrivial_match()
    nets.called(other)
    assert len(other.weights) == len(model.weights) + 1  # what TensorFlow makes of it, without a word
    assert not np.array_equal(other.first.kernel, model.first.kernel)
    report = holdfast.examine(model=other)
    assert [(f.code, f.slug) for f in report.findings if f.severity != "note"] == [
        ("O303", "duplicate-variable")
    ]


def test_unbuilt_model_is_refused_and_built_with_a_batch(saved_lazy: tuple[Any, str]) -> None:
    model, path = saved_lazy
    other = Wide()
    with pytest.raises(holdfast.RestoreRefused) as refused:
        holdfast.restore(path, model=other)
    assert "not-built" in {f.slug for f in refused.value.findings}
    assert not other.built and other.weights == []
    outcome = holdfast.restore(path, model=other, build_with=nets.X[:2])
    assert equal(arrays(other.weights), arrays(model.weights))
    assert outcome.findings == () or all(f.severity == "note" for f in outcome.findings)
    assert np.array_equal(model(nets.X), other(nets.X))


# -- 2. the optimizer was built in another order, or over fewer weights ---------------------------------------
def pair(build: Any = None) -> nets.Run:
    made = nets.Run(nets.plain(8, 8, 3), nets.adam())
    if build is not None:
        made.optimizer.build(build(made.model))
    return made


@pytest.fixture
def saved_pair(tmp_path: Path) -> tuple[nets.Run, str]:
    keras.utils.set_random_seed(1)
    run = pair()
    nets.train(run)
    return run, str(tf.train.Checkpoint(**run.parts()).save(str(tmp_path / "ckpt")))


def reordered(model: Any) -> list[Any]:
    """The layers of one shape the other way round."""
    first, second, third = (layer.trainable_variables for layer in model.layers)
    return [*second, *first, *third]


def test_optimizer_of_another_order_does_not_cross_the_weights(saved_pair: tuple[nets.Run, str]) -> None:
    run, path = saved_pair
    theirs = pair(reordered)
    tf.train.Checkpoint(**theirs.parts()).restore(path).assert_consumed()
    _, second, *_ = run.model.layers
    assert np.array_equal(theirs.model.layers[0].kernel, second.kernel)  # crossed, and everything is consumed
    ours = pair(reordered)
    outcome = holdfast.restore(path, **ours.parts())
    assert equal(arrays(ours.model.weights), arrays(run.model.weights))
    assert "O309" in {f.code for f in outcome.findings} or "optimizer-order" in {
        f.slug for f in outcome.findings
    }
    nets.train(run, 3, 2)
    nets.train(ours, 3, 2)
    assert equal(arrays(ours.model.weights), arrays(run.model.weights))


def test_optimizer_over_fewer_weights_is_refused(saved_pair: tuple[nets.Run, str]) -> None:
    run, path = saved_pair
    theirs = pair(lambda model: model.layers[1].trainable_variables)
    tf.train.Checkpoint(**theirs.parts()).restore(path).expect_partial()
    assert np.array_equal(theirs.model.layers[1].kernel, run.model.layers[0].kernel)  # the neighbour's values
    ours = pair(lambda model: model.layers[1].trainable_variables)
    before = nets.state(ours)
    with pytest.raises(holdfast.RestoreRefused):
        holdfast.restore(path, **ours.parts())
    assert nets.state(ours) == before
    holdfast.restore(path, model=ours.model)  # the model alone is an ordinary thing
    assert equal(arrays(ours.model.weights), arrays(run.model.weights))


# -- 3. explicit names against positional keys ----------------------------------------------------------------
@pytest.mark.parametrize("system", ["weights.h5", "tfck", ".keras"])
def test_explicit_names_beat_positional_keys(system: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    run = nets.Run(nets.net(), nets.adam())
    nets.train(run)
    path = nets.save(run, system, tmp_path)
    live = nets.Run(nets.net(encoder="decoder", decoder="encoder"), nets.adam())
    if system == "weights.h5":
        theirs = nets.net(encoder="decoder", decoder="encoder")
        theirs.load_weights(path)
        assert np.array_equal(theirs.get_layer("decoder").kernel, run.model.get_layer("encoder").kernel)
    holdfast.restore(path, **live.parts())
    for word in ("encoder", "decoder"):
        assert np.array_equal(live.model.get_layer(word).kernel, run.model.get_layer(word).kernel)
    slots = {v.path.partition("/")[2]: np.array(v) for v in run.optimizer.variables}
    for variable in live.optimizer.variables:
        assert np.array_equal(np.array(variable), slots[variable.path.partition("/")[2]]), variable.path
