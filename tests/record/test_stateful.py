"""The state of objects beside the model, captured and put back; what has none says what to pass."""

from __future__ import annotations

import dataclasses
import enum
import json
import random
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import HoldfastError, UsageError
from holdfast._record.stateful import Captured, capture, obstacles, put_back, stateful
from holdfast._record.stateful.changes import changes, digest_of


def through_json(captured: Captured) -> Captured:
    """As a step of a vault holds it."""
    about = json.loads(json.dumps(captured.about, allow_nan=False))
    return Captured(captured.kind, captured.of, about, captured.arrays, captured.files)


def back(thing: Any) -> Any:
    return put_back(None, through_json(capture(thing)))


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
    st.complex_numbers(allow_nan=False),
)  # fmt: skip
KEYS = st.one_of(st.text(max_size=4), st.integers(), st.tuples(st.integers(), st.text(max_size=2)))
NESTS = st.recursive(
    LEAVES, lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(KEYS, inner, max_size=4)
    ), max_leaves=20,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(NESTS)
def test_any_nest_of_plain_values_comes_back_as_it_was(nest: Any) -> None:
    assert repr(back(nest)) == repr(nest), "also signs of zero, NaN, tuples and keys that are no texts"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5000, dtype="f8"), np.float32(3.5), np.arange(12.0).reshape(3, 4).T, np.asfortranarray(np.ones((30, 40))),
        np.array(["a", "bcd"]), np.array([b"a", b"bcd"]), np.array(["a", None, 3.5, "b"], dtype=object),
        np.array(["2020-01-01", "NaT"], "M8[D]"), np.zeros((0, 3), "f2"), np.array(1 + 2j), np.array([True, False]),
        np.arange(100, dtype=">i4"), np.array([np.arange(3.0), np.arange(99.0)], dtype=object),
    ],
    ids=lambda a: f"{a.dtype.str}{a.shape}",
)  # fmt: skip
def test_arrays_come_back_bit_for_bit(array: Any) -> None:
    made = back(array)
    assert type(made) is type(array)
    assert np.asarray(made).dtype.newbyteorder("=") == np.asarray(array).dtype.newbyteorder("=")
    assert made.shape == array.shape
    if np.asarray(array).dtype.hasobject:
        assert repr(made) == repr(array)
    else:
        assert np.array_equal(np.asarray(made), np.asarray(array), equal_nan=array.dtype.kind in "fcM")
        assert np.asarray(made).flags.f_contiguous == np.asarray(array).flags.f_contiguous


def test_what_is_captured_no_longer_moves() -> None:
    array, nest = np.zeros(1000), {"n": [1]}
    one, two = capture({"a": array}), capture(nest)
    array[:] = 1
    nest["n"].append(2)
    assert not one.state["a"].any()
    assert two.state == {"n": [1]}


def test_containers_are_changed_in_place() -> None:
    live = {"seen": 0, "rows": [1], "array": np.zeros(3), "more": 1, "deep": {"x": (1, 2)}}
    rows, array, deep = live["rows"], live["array"], live["deep"]
    state = capture({"seen": 7, "rows": [1, 2, 3], "array": np.ones(3), "deep": {"x": (5, 6)}})
    assert put_back(live, state) is live
    assert live["rows"] is rows and live["array"] is array and live["deep"] is deep
    assert repr(live) == repr({"seen": 7, "rows": [1, 2, 3], "array": np.ones(3), "deep": {"x": (5, 6)}})


def test_dataclasses_with_objects_in_between() -> None:
    @dataclasses.dataclass
    class Counter:
        best: float = 1.0
        rng: Any = None
        history: list[float] = dataclasses.field(default_factory=list)

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        n: int

    one = Counter(0.25, np.random.default_rng(1), [3.0, 4.0])
    state = through_json(capture(one))
    expected = one.rng.random(3)
    two = Counter(rng=np.random.default_rng(9))
    rng = two.rng
    assert put_back(two, state) is two
    assert (two.best, two.history) == (0.25, [3.0, 4.0])
    assert two.rng is rng and np.array_equal(rng.random(3), expected)
    assert put_back(Frozen(1), capture(Frozen(8))) == Frozen(8)
    assert "nothing is there to put it into" in obstacles(Counter(), state)[0]


def test_an_object_of_the_run_s_own_is_its_attributes() -> None:
    class EarlyStopping:
        def __init__(self) -> None:
            self.best, self.wait, self.weights = np.inf, 0, {"w": np.zeros(2)}

    one, two = EarlyStopping(), EarlyStopping()
    one.best, one.wait, one.weights = 0.5, 3, {"w": np.ones(2)}
    put_back(two, through_json(capture(one)))
    assert (two.best, two.wait, two.weights["w"].tolist()) == (0.5, 3, [1, 1])
    torch = pytest.importorskip("torch")
    one.model = torch.nn.Linear(2, 2)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="`model` is no state of its own"):
        capture(one)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.random.default_rng(3),
        lambda: np.random.RandomState(3),
        lambda: random.Random(3),
        lambda: np.random.Philox(3),
    ],
)
def test_generators(make: Any) -> None:
    def draw(thing: Any) -> Any:
        return thing.random_raw(3).tolist() if isinstance(thing, np.random.BitGenerator) else thing.random()

    one, two = make(), make()
    draw(one)
    state = through_json(capture(one))
    put_back(two, state)
    assert draw(two) == draw(one)


def test_a_generator_of_another_algorithm_is_refused() -> None:
    state = capture(np.random.default_rng(1))
    with pytest.raises(UsageError, match="it was a PCG64, and this is a Philox"):
        put_back(np.random.Generator(np.random.Philox(1)), state)


def test_state_dicts_with_tensors() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2).bfloat16()
    one, two = (torch.optim.swa_utils.AveragedModel(model) for _ in range(2))
    one.update_parameters(torch.nn.Linear(3, 2).bfloat16())
    put_back(two, through_json(capture(one)))
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)


def test_jax_keys_are_given_anew() -> None:
    jax = pytest.importorskip("jax")
    for key in (jax.random.key(3), jax.random.PRNGKey(3)):
        made = put_back(jax.random.key(0), through_json(capture(key)))
        assert made.dtype == key.dtype
        assert np.array_equal(jax.random.normal(made, (3,)), jax.random.normal(key, (3,)))


def test_subclasses_of_plain_values_come_back_plain() -> None:
    class Mode(enum.IntEnum):
        A = 1

    class Text(str):
        pass

    state = capture(OrderedDict(a=Mode.A, b=Text("x"), c=np.int8(3))).state
    assert state == {"a": 1, "b": "x", "c": 3}
    assert [type(v) for v in state.values()] == [int, str, np.int8]


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (object(), "state_dict"), (lambda: 1, "a function has no state"), (open, "a function has no state"),
        ((n for n in range(3)), "samples seen"), (Path("/nowhere/at/all"), "no such file"),
        ({"a": [1, object()]}, "`a/1`"), (np.zeros(2, [("x", "f4")]), "records"),
    ],
)  # fmt: skip
def test_what_has_no_state_says_what_to_pass(thing: Any, text: str) -> None:
    with pytest.raises(UsageError, match="train: ") as met:
        capture(thing, "train")
    assert text in str(met.value)


def test_a_nest_in_a_circle_ends() -> None:
    nest: list[Any] = []
    nest.append(nest)
    with pytest.raises(UsageError, match="circle"):
        capture(nest)


@pytest.mark.parametrize(
    "about",
    [
        {"$ref": "nowhere"}, {"$named": "os.system"}, {"$type": "os.PathLike"}, {"$type": "builtins.eval"}, {"$dtype": "no such"},
        {"$str": ["a"], "dtype": "O", "shape": [1]}, {"$file": "x"}, {"$unknown": 1}, {"$objects": 5, "shape": []},
        {"$part": {}}, {"$jax": 1, "key": "no such"}, {"$torch": 1, "dtype": "nn", "shape": []},
    ],
)  # fmt: skip
def test_hostile_states_end_in_an_error_of_ours(about: Any) -> None:
    """Nothing is imported or called because a file says so."""
    captured = Captured("plain", "x", about)
    with pytest.raises(HoldfastError):
        if (
            isinstance(value := captured.state, Captured)
            or "torch" not in sys.modules
            or "jax" not in sys.modules
        ):
            raise HoldfastError(f"inert: {value}")


def test_what_counts_as_stateful() -> None:
    assert stateful(np.random.default_rng())
    assert not any(map(stateful, (1, "a", None, [1], {"a": 1}, np.zeros(2), len, lambda: 1, object())))


def test_a_state_that_nobody_took_can_be_put_back_later() -> None:
    from sklearn.preprocessing import StandardScaler

    rows = np.random.default_rng(0).normal(size=(9, 2))
    held = back(StandardScaler().fit(rows))
    assert "StandardScaler" in repr(held)
    made = held.put_into(StandardScaler())
    assert np.array_equal(made.transform(rows), StandardScaler().fit_transform(rows))


# -- differences -----------------------------------------------------------------------------------------------------
class Scaler:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def differ(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = changes(through_json(capture(Scaler(**a))), through_json(capture(Scaler(**b))))
    return [(c.what, c.path, c.text) for c in found]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"mean_": np.array([0.1, 0.13])}, {"mean_": np.array([0.1, 0.51])}, ("constants", "mean_[1]", "was 0.13, and is 0.51")),
        ({"mean": 0.485}, {"mean": 0.5}, ("constants", "mean", "was 0.485, and is 0.5")),
        ({"f": np.log}, {"f": abs}, ("constants", "f", "was numpy.log, and is builtins.abs")),
        ({"f": len}, {"f": 3}, ("constants", "f", "was builtins.len, and is a plain value")),
        ({"g": random.Random(1)}, {"g": None}, ("constants", "g", "was a random.Random, and is nothing")),
        ({"std": (0.2, 0.3)}, {"std": (0.2, 0.4)}, ("constants", "std[1]", "was 0.3, and is 0.4")),
        ({"m": np.zeros(100)}, {"m": np.ones(100)}, ("constants", "m[0]", "was 0, and is 1 (99 more of 100 differ)")),
        ({"m": np.zeros(3)}, {"m": np.zeros(4)}, ("constants", "m", "had shape [3], and has [4]")),
        ({"m": np.array([np.nan])}, {"m": np.array([1.0])}, ("constants", "m[0]", "was nan, and is 1")),
        ({"words": ["a", "b"]}, {"words": ["b", "a"]}, ("vocabulary", "words", "has another order: 0 was 'a', and is 'b'")),
        ({"words": ["a", "b"]}, {"words": ["a", "c"]}, ("vocabulary", "words", "lacks 'b' and has 'c' more")),
        ({"ids": {"a": 0, "b": 1}}, {"ids": {"a": 1, "b": 0}},
         ("vocabulary", "ids", "gives other ids: 'a' was 0, and is 1 (1 more)")),
        ({"cats": np.array(["a", None], object)}, {"cats": np.array(["a", "x"], object)},
         ("vocabulary", "cats", "lacks 'None' and has 'x' more")),
    ],
    ids=lambda v: v[1] if isinstance(v, tuple) else "",
)  # fmt: skip
def test_differences_in_words(a: Any, b: Any, expected: tuple[str, str, str]) -> None:
    assert differ(a, b) == [expected]
    assert differ(a, a) == [] and differ(b, b) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"mean": np.array([1.0, 2.0])}, {"mean": np.array([1.0, 2.0 + 1e-9])}),
        ({"n_samples_seen_": 50}, {"n_samples_seen_": 60}),
        ({"m": np.array([np.nan, np.inf])}, {"m": np.array([np.nan, np.inf])}),
    ],
)
def test_what_is_no_difference(a: Any, b: Any) -> None:
    """Rounding, counts, and NaN in the same place."""
    assert differ(a, b) == []


def test_a_digest_is_of_the_values() -> None:
    one, two = Scaler(mean=np.arange(500.0)), Scaler(mean=np.arange(500.0))
    assert digest_of(capture(one)) == digest_of(capture(two)) == digest_of(through_json(capture(one)))
    two.mean[3] += 1
    assert digest_of(capture(one)) != digest_of(capture(two))
