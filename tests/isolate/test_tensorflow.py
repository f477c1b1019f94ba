"""TensorFlow: tf.train.Checkpoint and SavedModel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import holdfast

tf = pytest.importorskip("tensorflow")


class Module(tf.Module):
    """A module with what is given."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        for name, value in given.items():
            setattr(self, name, value)


class RaisingState(tf.train.experimental.PythonState):
    """Cannot be written."""

    def serialize(self) -> str:
        raise RuntimeError("not now")

    def deserialize(self, text: str) -> None:
        """Nothing."""


class RaisingChildren(tf.Module):
    """Cannot be asked."""

    def _trackable_children(self, *args: Any, **more: Any) -> Any:
        raise KeyError("gone")


def _v(value: float = 1.0) -> Any:
    return tf.Variable(value)


def _replaced() -> Any:
    module = Module(inner=Module(items=[_v(), _v()]), w=_v())
    module.inner.items[0] = _v(3.0)
    return {"m": module}


def _behind_its_back() -> Any:
    items = [_v()]
    module = Module(items=items)
    items.append(_v())
    return {"m": module}


def _dict_behind_its_back() -> Any:
    items = {"a": _v()}
    module = Module(items=items)
    items["b"] = _v()
    return module


def _python_iterator() -> Any:
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(range(3)), output_signature=tf.TensorSpec((), tf.int32)
    )
    return {"data": iter(dataset), "w": _v()}


def _graph_variable() -> Any:
    with tf.Graph().as_default():
        made = _v()
    return Module(made=made, w=_v())


def _several() -> Any:
    return {"step": 5, "m": _replaced()["m"], "data": _python_iterator()["data"], "w": _v()}


FAULTS: dict[str, tuple[Callable[[], Any], tuple[str, ...], str]] = {
    "an element replaced": (_replaced, ("checkpoint.m.inner.items",), "a list that was changed"),
    "a list changed itself": (_behind_its_back, ("checkpoint.m.items",), "a list that was changed"),
    "a dict changed itself": (_dict_behind_its_back, ("checkpoint.model.items",), "a dict that was changed"),
    "keys that are no texts": (
        lambda: {"m": Module(items={1: _v()})},
        ("checkpoint.m.items",),
        "keys that are no texts",
    ),
    "an iterator with Python": (_python_iterator, ("checkpoint.data",), "an iterator"),
    "a variable of a graph": (_graph_variable, ("checkpoint.model.made",), "a variable of a graph"),
    "serialize raises": (lambda: {"p": RaisingState(), "w": _v()}, ("checkpoint.p",), "`serialize`"),
    "children raise": (
        lambda: {"p": Module(q=RaisingChildren()), "w": _v()},
        ("checkpoint.p.q",),
        "`_trackable_children`",
    ),
    "a number": (lambda: {"step": 5, "w": _v()}, ("checkpoint.step",), "an int 5"),
    "a text": (lambda: {"name": "a", "w": _v()}, ("checkpoint.name",), "a str 'a'"),
    "a tensor": (lambda: {"t": tf.ones(3), "w": _v()}, ("checkpoint.t",), "EagerTensor"),
    "an array": (lambda: {"a": np.ones(3), "w": _v()}, ("checkpoint.a",), "numpy.ndarray"),
    "an object": (lambda: {"o": object(), "w": _v()}, ("checkpoint.o",), "an object"),
    "three at once": (_several, ("checkpoint.step", "checkpoint.m.inner.items", "checkpoint.data"), ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_and_proved(name: str) -> None:
    make, paths, what = FAULTS[name]
    found = holdfast.isolate(make(), "tf")
    assert sorted(c.path for c in found.culprits) == sorted(paths)
    assert found.verdict == "not-saved" and found.complete and found.exit_code == 1
    for culprit in found.culprits:
        assert what in culprit.what
        assert culprit.proved and culprit.alone
        assert culprit.why and culprit.remedy and culprit.error


def _model() -> Any:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    return model, keras.optimizers.Adam()


def _appended() -> Any:
    module = Module(items=[_v()])
    module.items.append(_v())
    return module


def _table() -> Any:
    return tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)


RIGHT: dict[str, Callable[[], Any]] = {
    "a model and its optimizer": _model,
    "appended by the attribute": _appended,
    "a table, a generator, a text": lambda: {
        "t": _table(),
        "g": tf.random.Generator.from_seed(1),
        "s": tf.Variable("a"),
    },
    "an iterator": lambda: {"data": iter(tf.data.Dataset.range(9).shuffle(3)), "w": _v()},
    "a checkpoint": lambda: tf.train.Checkpoint(w=_v(), parts={"a": _v()}, items=[_v(), 3]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_saved(name: str) -> None:
    found = holdfast.isolate(RIGHT[name](), "tf")
    assert (found.verdict, found.culprits, found.error) == ("saved", (), "")
    assert found.nbytes and found.saves == 2


def test_values_that_are_in_no_checkpoint_are_told() -> None:
    found = holdfast.isolate(Module(w=_v(), mean=np.ones(3), scale=tf.ones(2)), "tf")
    assert found.saved and found.notes[0].paths == ("checkpoint.model.mean", "checkpoint.model.scale")


class Exported(tf.Module):
    """A function that uses a variable nobody holds, and one that is in order."""

    def __init__(self, hidden: bool) -> None:
        super().__init__()
        variable = _v()
        self.w = _v()
        if not hidden:
            self.held = variable

        @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
        def shifted(x: Any) -> Any:
            return x + variable

        self.shifted = shifted

    @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
    def scaled(self, x: Any) -> Any:
        return x * self.w


def test_a_function_that_uses_what_nobody_holds() -> None:
    found = holdfast.isolate(Exported(hidden=True), "savedmodel")
    assert [c.path for c in found.culprits] == ["model.shifted"] and found.culprits[0].proved
    assert holdfast.isolate(Exported(hidden=False), "savedmodel").saved


def test_nothing_stays_patched() -> None:
    kinds = (Module, type(Module(items=[_v()]).items), RaisingChildren)
    before = [vars(kind).get("_trackable_children") for kind in kinds]
    holdfast.isolate(_several(), "tf")
    assert [vars(kind).get("_trackable_children") for kind in kinds] == before
