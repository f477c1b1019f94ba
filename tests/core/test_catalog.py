"""The catalog: names, keys, aliases, clashes, pieces."""

from __future__ import annotations

import difflib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from holdfast import AmbiguousTensor, Catalog, TensorSpec, UnknownTensor


class Small(Catalog):
    """Specs only, with arrays of zeros."""

    format = "test"

    def read(self, name: str) -> np.ndarray:
        return np.arange(int(np.prod(self[name].shape)), dtype="f4").reshape(self[name].shape)


def spec(name: str, **more: object) -> TensorSpec:
    return TensorSpec(name, (2, 3), "float32", **more)  # type: ignore[arg-type]


def test_lookup_by_name_key_and_alias() -> None:
    catalog = Small([spec("a", key="raw/a", aliases=("tied",)), spec("b")])
    assert list(catalog) == ["a", "b"]
    assert catalog["a"] is catalog["raw/a"] is catalog["tied"]
    assert "tied" in catalog and "nope" not in catalog
    with pytest.raises(UnknownTensor, match="Did you mean 'b'"):
        catalog["bb"]


def test_shared_alias_is_ambiguous() -> None:
    catalog = Small([spec("a", aliases=("x",)), spec("b", aliases=("x",))])
    with pytest.raises(AmbiguousTensor):
        catalog["x"]


def test_two_tensors_of_one_name_are_both_kept_and_told() -> None:
    catalog = Small([spec("a", key="one"), spec("a", key="two"), spec("a", key="two")])
    assert list(catalog) == ["a", "two", "a#2"]
    assert len(catalog.clashes) == 2


def test_pieces_cover_the_tensor_in_order() -> None:
    catalog = Small([spec("a")])
    joined = np.concatenate(list(catalog.pieces("a", limit=8)))
    assert joined.tolist() == list(range(6))


def test_nbytes_counts_tied_tensors_once() -> None:
    assert Small([spec("a", shares="s"), spec("b", shares="s"), spec("c")]).nbytes == 48


def test_spec_derives_path_key_and_bytes() -> None:
    made = TensorSpec("model.layers/0.weight", (3,), "int4")
    assert made.path == ("model", "layers", "0", "weight") and made.key == made.name and made.nbytes == 2
    assert made.with_(name="x.y", shape=(4, 4), dtype="float32").nbytes == 64
    assert made.with_(name="x.y").path == ("x", "y")


def test_get_finds_what_look_up_finds_and_makes_no_error_for_the_rest() -> None:
    catalog = Small([spec("a", key="raw/a", aliases=("x",)), spec("b", aliases=("x",))])
    assert catalog.get("a") is catalog.get("raw/a") is catalog["a"]
    assert catalog.get("x") is None, "several answer to it"
    assert catalog.get("nope") is None
    assert catalog.get("nope", 3) == 3


def test_get_searches_no_near_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule asks for a partner of every tensor; near misses are searched for an error alone."""
    catalog = Small([spec(f"layer_{i}/kernel") for i in range(50)])
    searched: list[str] = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda name, *_, **__: searched.append(name) or [])
    assert all(catalog.get(f"layer_{i}/recurrent_kernel") is None for i in range(50))
    assert searched == []
    with pytest.raises(UnknownTensor):
        catalog["layer_1/recurrent_kernel"]
    assert searched == ["layer_1/recurrent_kernel"]


def test_a_changed_spec_is_as_if_made_anew() -> None:
    one = TensorSpec(
        "a/b", (2, 3), "float32", key="raw", role="slot", owner="w", order=3, attributes={"x": 1}
    )
    assert one.path == ("a", "b")
    assert one.with_() == one
    other = one.with_(name="c.d", dtype="float64", owner=None)
    assert (other.name, other.path, other.nbytes, other.owner, other.key) == (
        "c.d",
        ("c", "d"),
        48,
        None,
        "raw",
    )
    assert other == TensorSpec("c.d", (2, 3), "float64", key="raw", role="slot", order=3, attributes={"x": 1})
    assert one.with_(shape=(), nbytes=7).nbytes == 7
    assert (one.name, one.owner, one.nbytes) == ("a/b", "w", 24)
    with pytest.raises(TypeError, match="no colour"):
        one.with_(colour="red")


def test_a_draft_is_the_spec_itself_and_its_other_names_come_when_asked_for() -> None:
    made = spec("a/b").draft()
    asked: list[str] = []
    made.aliases = lambda of: (asked.append(of.name), (of.name.upper(),))[1]
    done = made.done()
    assert done is made and type(done) is TensorSpec
    assert done.with_(shape=(3,)).name == "a/b" and asked == ["a/b"]  # a copy takes the names that there were
    assert done.aliases == ("A/B",) == done.with_(name="c").aliases and asked == ["a/b"]
    with pytest.raises(FrozenInstanceError):
        done.name = "c"
