"""Plain numpy trees: the freeze, everything that a save can hold, and the content proof."""

from __future__ import annotations

import json
import threading
import weakref
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import holdfast
from holdfast import Vault
from holdfast._core.spec import TensorSpec
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.contents.payload import Item
from holdfast._vault.freezing import proof as proving
from holdfast._vault.freezing.buffers import Buffers
from holdfast._vault.freezing.held import Held
from holdfast._vault.saving.tensor_file import write_tensors

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
            "none": base[:0], "scalar": np.array(base[0, 0]), "one": base[:1, :1],
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
        fresh = {
            k: {f: np.zeros_like(x) for f, x in v.items()} for k, v in model.items() if isinstance(v, dict)
        }
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
        fresh = {
            k: np.zeros_like(v) if v.dtype.kind != "O" else np.full(v.shape, "", object)
            for k, v in model.items()
        }
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
        "odd": {1: "one", "1": "text", "$float": "not ours"}, "slash": {"a/b": {"c": 1}, "a": {"b/c": 2}},
        "names": np.array(["x", "yz"]), "half": np.float16(0.1), "brain": ml_dtypes.bfloat16(1.5),
        "big": np.arange(10000), "fixed": np.arange(3),
    }  # fmt: skip
    view = extra["fixed"].view()
    view.flags.writeable = False
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink) as vault:
        handle = vault.save(1, model=tree(), extra={**extra, "fixed": view})
        array[:] = -1
        extra["big"][:] = -1
        extra["fixed"][:] = -1
        extra["deep"]["list"].append("late")
        sink.open.set()
        path = handle.wait()
    with holdfast.open(path) as stored:
        found = stored.attributes["values"]
        assert np.array_equal(stored.read("extra/deep/array"), np.arange(6.0).reshape(2, 3))
        assert np.array_equal(stored.read("extra/big"), np.arange(10000))
        assert np.array_equal(stored.read("extra/fixed"), np.arange(3))
    for name in ("epoch", "best", "z", "raw", "none", "yes", "half"):
        assert found[f"extra/{name}"] == extra[name], name
        assert type(found[f"extra/{name}"]) in (type(extra[name]), float)
    assert np.isnan(found["extra/nan"])
    assert found["extra/brain"].dtype == ml_dtypes.bfloat16
    assert found["extra/brain"] == 1.5
    rows = found["extra/deep/list"]
    assert rows[:2] == [1, [2.5, {"k": "v"}]]
    assert rows[2].tolist() == [[0.0, 1.0, 2.0]]
    assert rows[3].shape == (0, 3)
    assert len(rows) == 4
    assert (found["extra/deep/empty"], found["extra/deep/void"]) == ({}, [])
    assert found["extra/odd"] == extra["odd"]
    assert found["extra/slash"] == extra["slash"]
    assert found["extra/names"].tolist() == ["x", "yz"]


@pytest.mark.parametrize(
    ("thing", "named"),
    [
        ({"extra": {"a": {"f": len}}}, "extra/a/f"),
        ({"extra": {"a": [1, {"o": object()}]}}, "extra/a/o"),
        ({"extra": {"t": np.array(["2026-01-01"], "M8[D]")}}, "extra/t"),
        ({"extra": {"t": np.array([len], object)}}, "extra/t"),
        ({"model": {"w": np.ones(2), "t": np.array(["2026-01-01"], "M8[D]")}}, "t"),
        ({"model": {"w": np.ones(2), "r": np.zeros(2, [("x", "i4")])}}, "r"),
        ({"model": {"w": np.ones(2), "o": np.array([len, 1], object)}}, "o"),
    ],
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(
    tmp_path: Path, thing: Any, named: str
) -> None:
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(holdfast.UsageError, match=named):
            vault.save(1, **{"model": tree(), **thing})
        assert not list((tmp_path / "run").glob("*step*"))
        vault.save(1, model=tree(), blocking=True)


def test_tied_arrays_are_one(tmp_path: Path) -> None:
    w = np.arange(4.0)
    model = {"in": w, "out": w}
    path = frozen(tmp_path / "run", lambda: w.fill(0), model=model)
    fresh = np.zeros(4)
    holdfast.restore(path, model={"in": fresh, "out": fresh})
    assert fresh.tolist() == [0, 1, 2, 3]
    assert Path(path, "model.safetensors").stat().st_size < 300  # 32 bytes of values once, and the header
    with holdfast.open(path) as stored:
        places = {tuple(stored[name].stored) for name in ("in", "out")}
    assert len(places) == 1


# -- the content proof -----------------------------------------------------------------------------------------------
def _uniform() -> dict[str, np.ndarray]:
    return {f"t{n}": np.zeros(50_000, "f4") for n in range(12)}


def _writer(model: dict[str, np.ndarray]) -> Any:
    def update(k: int) -> None:
        for array in model.values():
            array[...] = k

    return update


@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
def test_no_torn_snapshot_is_committed(tmp_path: Path, saves: int) -> None:
    model = _uniform()
    _, torn = torn_saves(tmp_path / "run", saves, {"model": model}, _writer(model), pausing=False)
    assert torn == 0


@pytest.mark.parametrize("proof", ["protocol", "content"])
@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
def test_a_writer_that_waits_at_its_boundary_is_always_saved_right(
    tmp_path: Path, saves: int, proof: str
) -> None:
    model = _uniform()
    got = torn_saves(tmp_path / "run", saves, {"model": model}, _writer(model), pausing=True, proof=proof)
    assert got == (saves, 0)


def test_the_torn_test_can_see_a_torn_snapshot(tmp_path: Path) -> None:
    """Control: without the proof, some of the checkpoints that the same writer leaves are torn."""
    model = _uniform()
    committed, torn = torn_saves(
        tmp_path / "run", 20, {"model": model}, _writer(model), pausing=False, proof="protocol"
    )
    assert committed == 20
    assert torn > 0


def test_a_writer_that_stops_is_waited_for(tmp_path: Path) -> None:
    model = _uniform()
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        k = 0
        while not stop.is_set():
            k += 1
            _writer(model)(k)
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    threading.Timer(0.12, stop.set).start()
    with Vault(tmp_path / "run", proof="content") as vault:
        path = vault.save(1, model=model, blocking=True).wait()
    writer.join()
    record = json.loads(Path(path, "holdfast.json").read_text())
    assert record["snapshot"]["proof"] == "content"
    assert record["snapshot"]["tries"] > 1
    same_bits(path, model)


def test_a_structure_that_changes_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[tuple[str, Any]] = [
        ("new", lambda m: m.update(new=np.ones(2))),
        ("b", lambda m: m.pop("b")),
        ("w", lambda m: m.update(w=np.ones((3, 2)))),
        ("w", lambda m: m.update(w=m["w"].astype("f8"))),
        ("b", lambda m: m.update(b=m["c"])),
    ]
    for name, change in changes:
        model = {"w": np.ones((2, 3), "f4"), "b": np.zeros(3), "c": np.zeros(3)}
        monkeypatch.setattr("holdfast._vault.freezing.snapshot.pause", lambda *_, m=model, c=change: c(m))
        with Vault(tmp_path / "run", proof="content") as vault:
            with pytest.raises(holdfast.SaveFailed, match="structure changed") as caught:
                vault.save(1, model=model)
            assert caught.value.tensor == name
            assert not vault.checkpoints()
    assert proving.PAUSE > 0


def test_a_torn_snapshot_names_its_tensors_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"w": np.ones(3), "b": np.zeros(3), "count": 1}

    def change(*_: float) -> None:
        model["w"][1] += 1  # type: ignore[index]
        model["count"] += 1  # type: ignore[operator]

    monkeypatch.setattr("holdfast._vault.freezing.snapshot.pause", change)
    with Vault(tmp_path / "run", proof="content") as vault:
        with pytest.raises(holdfast.SaveFailed, match="w, count") as caught:
            vault.save(1, model=model)
        assert caught.value.tensor == "w"
        assert not vault.checkpoints()
        monkeypatch.undo()
        vault.save(1, model=model, blocking=True)
        assert len(vault) == 1


def test_what_is_written_is_let_go_of(tmp_path: Path) -> None:
    """One by one, not all at the end: a runtime whose memory is held copies what it writes to."""
    arrays = [np.full(50_000, n, "f4") for n in range(20)]
    alive = [weakref.ref(array) for array in arrays]
    most: list[int] = []

    class Counting(Held):
        def __call__(self) -> np.ndarray:
            values = super().__call__()
            most.append(sum(ref() is not None for ref in alive))
            return values

    items = [Item(TensorSpec(f"t{n}", (50_000,), "float32"), Counting(a)) for n, a in enumerate(arrays)]
    arrays.clear()
    sink = LocalSink(tmp_path, threads=1)
    write_tensors(sink, {"kept.safetensors": items})
    assert most == [20] * 20
    most.clear()
    write_tensors(sink, {"gone.safetensors": items}, release=True)
    assert most[0] == 20
    assert most[-1] <= 2
    assert (tmp_path / "kept.safetensors").read_bytes() == (tmp_path / "gone.safetensors").read_bytes()
    with pytest.raises(holdfast.NotStored):
        items[0].read()


def test_buffers_keep_one_set() -> None:
    buffers = Buffers()
    first = buffers.lend(1 << 22)
    one = first.copy(np.arange(1000, dtype="i8"))
    other = first.copy(np.asfortranarray(RNG.normal(size=(30, 20))))
    assert one.ctypes.data % 64 == other.ctypes.data % 64 == 0
    assert other.flags.c_contiguous
    assert first.copy(np.zeros((0, 3))).shape == (0, 3)
    assert one.tolist() == list(range(1000))
    buffers.give(first)
    assert buffers.lend(1 << 22) is first
    assert buffers.kept == 0
    second = buffers.lend(1 << 21)
    for arena in (first, second):
        arena.copy(np.ones(3))
        buffers.give(arena)
    assert buffers.kept == 1 << 21
    assert buffers.lend(1 << 24) is not second  # too small
    grown = buffers.lend(0)
    assert (grown.copy(np.arange(600_000, dtype="f4")) == np.arange(600_000)).all()
    assert (grown.copy(np.arange(9.0)) == np.arange(9)).all()
    big = grown.copy(np.arange(400_000, dtype="f8"))
    assert (big == np.arange(400_000)).all()
    buffers.give(grown)  # pieced together: not kept
    assert buffers.kept == 0


def test_same_bytes() -> None:
    values = RNG.normal(size=(600, 300))
    other = values.copy()
    values[3, 3] = other[3, 3] = np.nan
    assert proving.same_bytes(values, other)
    assert proving.same_bytes(values[::2].T, np.ascontiguousarray(other[::2].T))
    assert not proving.same_bytes(values[::2].T, np.ascontiguousarray(other[1::2].T))
    assert not proving.same_bytes(values, other.reshape(300, 600))
    other[599, 299] = -other[599, 299]
    assert not proving.same_bytes(values, other)
    assert not proving.same_bytes(np.zeros(3), -np.zeros(3))
    assert proving.same_bytes(np.zeros(()), np.zeros(()))
