"""Plain numpy trees: the freeze, everything that a save can hold, and the content proof."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import holdfast
from holdfast import Vault
from holdfast._vault import proof as proving

from .freezing import Gate, frozen, same_bits, torn_saves

RNG = np.random.default_rng(0)


def tree() -> dict[str, Any]:
    return {"a": {"w": RNG.normal(size=(6, 5)).astype("f4"), "b": np.zeros(5)}, "n": np.array(3)}


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_in_place_through_views_and_casts(tmp_path: Path, proof: str) -> None:
    model = tree()
    whole = model["a"]["w"]
    model["part"] = whole.T[1:3]  # not contiguous, and of other memory than its own

    def mutate() -> None:
        whole[:] = 7
        model["a"]["b"].view("u8")[2] = 99
        memoryview(model["n"]).cast("B")[0] = 1

    path = frozen(tmp_path / "run", mutate, model=model, proof=proof)
    record = json.loads(Path(path, "holdfast.json").read_text())
    assert record["snapshot"]["proof"] == proof


KINDS = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", "complex128", ">f4", ">i8", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e4m3fnuz, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.float4_e2m1fn,
]  # fmt: skip


def test_every_dtype_shape_and_order_comes_back(tmp_path: Path) -> None:
    model: dict[str, Any] = {}
    for kind in KINDS:
        base = RNG.integers(0, 2, size=(3, 5)).astype(kind)
        name = str(np.dtype(kind)).replace(">", "big-")
        model[name] = {
            "c": base, "f": np.asfortranarray(base), "strided": base[:, ::2], "odd": base[0, :3],
            "none": base[:0], "scalar": base[0, 0].reshape(()), "one": base[:1, :1],
        }  # fmt: skip
    model["specials"] = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    with Vault(tmp_path / "run") as vault:
        path = vault.save(1, model=model, blocking=True).wait()
        with holdfast.open(path) as stored:
            for kind, arrays in model.items():
                for form, values in arrays.items() if isinstance(arrays, dict) else [("", arrays)]:
                    found = np.asarray(stored.read(f"{kind}/{form}".rstrip("/")))
                    assert found.shape == values.shape
                    assert found.dtype == values.dtype.newbyteorder("<")
                    assert found.tobytes() == values.astype(found.dtype).tobytes(), (kind, form)
            assert not stored.faults
        fresh = {k: {f: np.zeros_like(x) for f, x in v.items()} for k, v in model.items() if isinstance(v, dict)}
        fresh["specials"] = np.zeros(5)
        vault.restore(model=fresh, allow=["nonfinite:specials"])
    for kind, arrays in fresh.items():
        for form, values in arrays.items() if isinstance(arrays, dict) else [("", arrays)]:
            expected = model[kind][form] if form else model[kind]
            assert values.tobytes() == expected.tobytes(), (kind, form)


def test_texts_are_given_back(tmp_path: Path) -> None:
    words = np.array([["héllo", ""], ["a\0b", "\U0001f600" * 3]], dtype=object)
    model = {
        "w": np.ones(3), "objects": words, "bytes": np.array([b"\xff\x00x", b""], dtype=object),
        "fixed": np.array(["eins", "zwö"]), "raw": np.array([b"ab", b"c"]), "none": np.array([], dtype=object),
        "single": np.array("text", dtype=object),
    }  # fmt: skip
    expected = {k: v.copy() for k, v in model.items()}
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink) as vault:
        handle = vault.save(1, model=model)
        words[0, 0] = "changed"
        model["fixed"][:] = "x"
        sink.open.set()
        handle.wait()
        fresh = {k: np.zeros_like(v) if v.dtype.kind != "O" else np.full(v.shape, "", object) for k, v in model.items()}
        outcome = vault.restore(model=fresh)
    for name, values in expected.items():
        assert fresh[name].dtype == values.dtype
        assert fresh[name].tolist() == values.tolist(), name
    assert outcome is not None
    assert outcome.proof == "sealed"


def test_a_changed_text_in_state_json_is_found(tmp_path: Path) -> None:
    model = {"w": np.ones(3), "words": np.array(["ab", "cd"], dtype=object)}
    with Vault(tmp_path / "run") as vault:
        path = Path(vault.save(1, model=model, blocking=True).wait(), "state.json")
        path.write_text(path.read_text().replace('"ab"', '"ax"'))
        with pytest.raises(holdfast.HoldfastError):
            vault.restore(model=model)
    assert model["words"].tolist() == ["ab", "cd"]


def test_extra_nests_and_what_json_cannot_say(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    extra = {
        "epoch": 3, "best": float("inf"), "nan": float("nan"), "z": 1 - 2j, "raw": b"\0\xff", "none": None, "yes": True,
        "deep": {"list": [1, [2.5, {"k": "v"}], array[:1], np.zeros((0, 3))], "array": array, "empty": {}, "void": []},
        "odd keys": {1: "one", "1": "text", (2, 3): "pair"}, "a/b": {"c": 1}, "$float": "not ours",
        "names": np.array(["x", "yz"]), "half": np.float16(0.1), "brain": ml_dtypes.bfloat16(1.5),
        "big": np.arange(10000),
    }  # fmt: skip
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink) as vault:
        handle = vault.save(1, model=tree(), extra=extra)
        array[:] = -1
        extra["big"][:] = -1
        extra["deep"]["list"].append("late")
        sink.open.set()
        path = handle.wait()
    with holdfast.open(path) as stored:
        values = stored.attributes["values"]
        if "extra" in values:  # odd keys at the top: the whole nest is one value
            found = values["extra"]
        raise_if = found
    assert raise_if["epoch"] == 3
