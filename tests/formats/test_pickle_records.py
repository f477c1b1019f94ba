"""Records read in one step give what the opcodes give: nodes, memo, offsets, the meter, and the same errors."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._core.errors import HoldfastError, LimitExceeded
from holdfast._formats.pickles.machine import Machine
from holdfast._formats.pickles.nodes import Dict, Global, Made, PersistentId
from holdfast._formats.pickles.opcodes import Short
from holdfast._formats.torch.tensors import Reader
from holdfast._formats.torch.views import Tensor

torch = pytest.importorskip("torch")


class ByOpcode(Machine):
    """The machine without the short cut: it never learns which global records call."""

    def find_global(self, module: str, name: str, position: int) -> Global:
        rebuild = self.rebuild
        found = super().find_global(module, name, position)
        self.rebuild = rebuild
        return found


def shape_of(value: Any) -> list[Any]:
    """Everything that nodes say, and which of them are one object; without recursion."""
    said: list[Any] = []
    known: dict[int, int] = {}
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):  # two equal tuples may be one object or not; only their items count
            said.append(("tuple", len(node)))
            stack.extend(node)
        elif not isinstance(node, (Made, Global, PersistentId, Dict, list)):
            said.append((type(node).__name__, repr(node)))
        elif id(node) in known:
            said.append(("again", known[id(node)]))
        else:
            known[id(node)] = len(known)
            said.append(type(node).__name__)
            if isinstance(node, list):
                stack.extend([len(node), *node])
            else:
                stack.extend(getattr(node, word) for word in type(node).__slots__)
    return said


def outcome(machine: Machine) -> Any:
    try:
        made = machine.run()
    except HoldfastError as error:
        return type(error), str(error), error.offset
    except Short:
        return Short
    return (
        shape_of((made.value, tuple(machine.memo), tuple(made.persistents), machine.odd_memo.get(1 << 20))),
        machine.spent,
        made.end,
        list(made.globals),
        [fault.message for fault in made.oddities],
    )


def stream(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    with zipfile.ZipFile(file) as archive:
        return archive.read("archive/data.pkl")


def model(layers: int = 14) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for i in range(layers):
        made[f"layers.{i}.weight"] = torch.zeros(300, 3)
        made[f"layers.{i}.kernel"] = torch.zeros(2, 3, 4, 1, 70000 if i == 3 else 1, dtype=torch.float16)
        made[f"layers.{i}.mean"] = torch.zeros(4)
        made[f"layers.{i}.count"] = torch.tensor(i)
        made[f"läyers.{i}.t"] = torch.zeros(3, 5).t()
    made["tied"] = made["layers.0.weight"]
    made["view"] = made["layers.1.weight"][7:9]
    made["parameter"] = torch.nn.Parameter(torch.zeros(2))
    made["n" * 300] = torch.zeros(1)
    return {"model": made, "epoch": 3, "list": [torch.zeros(2, 2, 2), made["tied"]]}


STREAM = stream(model())


def test_both_machines_read_the_same() -> None:
    fast, slow = Machine(STREAM, 7, "x", 1 << 30), ByOpcode(STREAM, 7, "x", 1 << 30)
    assert outcome(fast) == outcome(slow)
    assert fast.rebuild is not slow.rebuild
    assert len(fast.records._known) > 3  # the short cut was taken, and not for one kind of tensor only


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_streams_end_alike(data: st.DataObject) -> None:
    """Bytes changed, taken out and put in, so that records deviate by as little as they can."""
    damaged = bytearray(STREAM)
    opcodes = st.sampled_from(b"hjqrKMJXRt(Q)\x85\x86\x87\x88\x89u.0")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        how = data.draw(st.sampled_from(["change", "remove", "insert", "cut"]))
        if how == "change":
            damaged[at] = data.draw(opcodes | st.integers(0, 255))
        elif how == "remove":
            del damaged[at : at + data.draw(st.integers(1, 12))]
        elif how == "insert":
            damaged[at:at] = bytes(data.draw(st.lists(opcodes, min_size=1, max_size=5)))
        elif at > len(damaged) // 2:
            del damaged[at:]
    raw = bytes(damaged)
    assert outcome(Machine(raw, 0, "x", 1 << 30)) == outcome(ByOpcode(raw, 0, "x", 1 << 30))


def test_a_changed_memo_entry_counts_from_then_on() -> None:
    """The device's entry is put anew between two records: what was decoded before must not be used."""
    value = {f"w{i}": torch.zeros(2) for i in range(60)}
    raw = stream(value)
    device = next(i for i, item in enumerate(memo_of(raw)) if item == "cpu")
    name = raw.index(b"X\x03\0\0\0w50")
    changed = raw[:name] + b"X\x04\0\0\0cudaq" + bytes([device]) + b"0" + raw[name:]
    machine = Machine(changed, 0, "x", 1 << 30)
    places = [pid.pid[3] for pid in machine.run().persistents]
    assert places == ["cpu"] * 50 + ["cuda"] * 10
    assert outcome(Machine(changed, 0, "x", 1 << 30)) == outcome(ByOpcode(changed, 0, "x", 1 << 30))


def memo_of(raw: bytes) -> list[Any]:
    machine = Machine(raw, 0, "x", 1 << 30)
    machine.run()
    return machine.memo


def test_records_are_metered() -> None:
    raw = stream({f"w{i}": torch.zeros(2) for i in range(6000)})
    whole = Machine(raw, 0, "x", 1 << 30)
    whole.run()
    assert whole.spent > 4 << 20
    for machine in (Machine(raw, 0, "x", 2 << 20), ByOpcode(raw, 0, "x", 2 << 20)):
        with pytest.raises(LimitExceeded):
            machine.run()
        assert len(machine.memo) < len(whole.memo) * 3 // 4  # not found out at the end


def test_python_agrees() -> None:
    """CPython's own unpickler, handed the pieces, sees the same tensors."""
    seen: list[tuple[Any, ...]] = []

    class Rebuilt(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if name == "_rebuild_tensor_v2":
                return lambda *args: seen.append(args[:5])
            if name == "_rebuild_parameter":
                return lambda *args: None
            return super().find_class(module, name) if module == "collections" else name

        def persistent_load(self, pid: Any) -> Any:
            return pid[1:]

    Rebuilt(io.BytesIO(STREAM)).load()
    made: list[tuple[Any, ...]] = []
    machine = Machine(STREAM, 0, "x", 1 << 30)
    machine.run()
    for node in machine.memo:
        if isinstance(node, Made) and isinstance(node.func, Global) and "_v2" in node.func.name:
            kind, *rest = node.args[0].pid[1:]
            made.append(((kind.name, *rest), *node.args[1:5]))
    assert made == seen


def node(*args: Any) -> Made:
    return Made(Global("torch._utils", "_rebuild_tensor_v2", 0), args, "REDUCE", 9)


def storage(*more: Any) -> PersistentId:
    return PersistentId(("storage", Global("torch", "FloatStorage", 0), "0", "cpu", 12, *more), 5)


HOOKS = Made(Global("collections", "OrderedDict", 0), (), "REDUCE", 0)


@pytest.mark.parametrize(
    "call",
    [
        node(storage(), 0, (3, 4), (4, 1), False, HOOKS),
        node(storage(), 2, (2, 2), (1, 5), True, HOOKS),
        node(storage(), 0, (), (), False, HOOKS),
        node(storage(), 0, (0, 4), (4, 1), False, HOOKS),
        node(storage(), 9, (3, 4), (4, 1), False, HOOKS),  # beyond its storage
        node(storage(), -1, (3, 4), (4, 1), False, HOOKS),
        node(storage(), 0, (3, -4), (4, 1), False, HOOKS),
        node(storage(None), 0, (3, 4), (4, 1), False, HOOKS),
        node(storage(("1", 2, 6)), 1, (2, 2), (2, 1), 1, HOOKS),
        node(storage(), 0, (3, 4), (1,), False, HOOKS),
        node(storage(), 0, (True, 4), (4, 1), False, HOOKS),
        node(storage(), True, (3, 4), (4, 1), False, HOOKS),
        node(storage(), 0, [3, 4], (4, 1), False, HOOKS),
        node(storage(), 0, (3, 1 << 70), (4, 1), False, HOOKS),
        node(PersistentId(("module", 1, 2, 3, 4), 5), 0, (3, 4), (4, 1), False, HOOKS),
        node("none", 0, (3, 4), (4, 1), False, HOOKS),
        node(storage(), 0, (3, 4), (4, 1), False, HOOKS, Dict()),
    ],
)
def test_the_ordinary_call_in_brief_is_the_call(call: Made) -> None:
    brief, long = Reader(), Reader()
    one, other = brief.parts(call), long.made(call)
    assert brief.odd == long.odd
    assert (one is None) == (other is None)
    for (suffix, part), (end, whole) in zip(one or (), other or (), strict=True):
        assert suffix == end
        assert isinstance(part, Tensor)
        assert isinstance(whole, Tensor)
        same = (
            "offset",
            "shape",
            "stride",
            "dtype",
            "requires_grad",
            "problem",
            "span",
            "first",
            "is_contiguous",
        )
        assert [getattr(part, w) for w in same] == [getattr(whole, w) for w in same]


def test_equal_sizes_of_another_type_are_no_sizes() -> None:
    """True equals 1: what was found of (1,) must not speak for (True,)."""
    reader = Reader()  # nodes outlive their reader, so both are held
    honest = node(storage(), 0, (1,), (1,), False, HOOKS)
    odd = node(storage(), 0, (True,), (True,), False, HOOKS)
    assert reader.parts(honest)
    assert reader.parts(odd) is None
    assert len(reader.odd) == 1
