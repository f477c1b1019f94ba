"""The pickle machine: every protocol, every opcode of interest, and streams that mean harm."""

from __future__ import annotations

import collections
import io
import os
import pickle
import pickletools
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from holdfast._formats.pickles import file as pickle_file
from holdfast._formats.pickles.arrays import numpy_array, numpy_scalar, raw_bytes
from holdfast._formats.pickles.globals import allowed, dangerous
from holdfast._formats.pickles.machine import load, read_pickle
from holdfast._formats.pickles.nodes import Dict, Global, Made, SetNode, items_of, pairs_of
from holdfast._storage import BytesSource, open_local


def plain(node: object) -> object:
    """A node as the Python value it stands for, for values without classes."""
    if isinstance(node, Dict):
        return {plain(k): plain(v) for k, v in node.pairs}
    if isinstance(node, SetNode):
        return {plain(i) for i in node.items}
    if isinstance(node, (list, tuple)):
        return type(node)(plain(i) for i in node)
    if isinstance(node, Made):
        raw = raw_bytes(node)
        if raw is not None:
            return raw
        if pairs_of(node) is not None:
            return {plain(k): plain(v) for k, v in pairs_of(node)}
        if items_of(node) is not None:
            return {plain(i) for i in items_of(node)}
    return node


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 80), 1 << 80)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=20,
)


@given(values, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_plain_values_come_back(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    read = load(data)
    assert plain(read.value) == value
    assert read.end == len(data)


@pytest.mark.parametrize("protocol", range(6))
def test_objects_stay_inert(protocol: int) -> None:
    class_like = collections.OrderedDict(a=1, b=[2, 3])
    read = load(pickle.dumps({"x": class_like, "e": ValueError("no")}, protocol))
    found = dict(read.value.pairs)
    assert [(k, plain(v)) for k, v in pairs_of(found["x"])] == [("a", 1), ("b", [2, 3])]
    assert isinstance(found["e"], Made)
    faults = [f for f in read.faults("f.pkl") if f.slug == "pickle-global"]
    assert [f.attributes["name"] for f in faults] == ["ValueError"]
    assert not faults[0].attributes["dangerous"]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["float32", "int64", ">i2", "bool", "complex128"])
def test_numpy_arrays(protocol: int, dtype: str) -> None:
    array = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    for value in (array, np.asfortranarray(array)):
        found = numpy_array(load(pickle.dumps(value, protocol)).value)
        assert found is not None
        assert np.array_equal(found.read(), array)
        assert found.read().dtype == array.dtype.newbyteorder("<")
    assert numpy_scalar(load(pickle.dumps(array[1, 2], protocol)).value) == array[1, 2]


def test_python2_strings() -> None:
    read = load(b"}U\x03abcU\x02\x00\xffs.")
    assert read.python2
    ((key, value),) = read.value.pairs
    assert key == "abc" and bytes(value) == b"\x00\xff"


# -- harm ---------------------------------------------------------------------------------------------------


class Bomb:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return (self.call[0], tuple(self.call[1:]))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (subprocess.getoutput, "touch {}"),
        (eval, "open('{}','w')"),
        (exec, "open('{}','w')"),
    ],
    ids=["os.system", "subprocess", "eval", "exec"],
)
def test_reduce_bombs_do_not_go_off(protocol: int, call: tuple[object, ...], tmp_path: object) -> None:
    mark = f"{tmp_path}/went-off"
    data = pickle.dumps([1.5, Bomb(call[0], str(call[1]).format(mark))], protocol)
    read = load(data)
    assert not os.path.exists(mark)
    assert read.value[0] == 1.5
    (fault,) = read.faults("evil.pt")
    assert fault.slug == "pickle-global" and fault.attributes["dangerous"]
    position = fault.attributes["position"]
    opcodes = {pos: op.name for op, _, pos in pickletools.genops(data)}
    assert opcodes[position] in ("GLOBAL", "STACK_GLOBAL")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("sys", "modules"),
        ("shutil", "rmtree"),
        ("socket", "socket"),
        ("torch.nn.modules.module", "os.system"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("torch.hub", "load"),
        ("importlib", "import_module"),
    ],
)
def test_dangerous_names(module: str, name: str) -> None:
    assert not allowed(module, name)
    assert dangerous(module, name)


def test_allow_list() -> None:
    for module, name in [
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch", "BFloat16Storage"),
        ("torch.cuda", "FloatStorage"),
        ("torch", "float8_e4m3fn"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("torch.nn.modules.conv", "Conv2d"),
    ]:
        assert allowed(module, name), (module, name)
    for module, name in [
        ("torch.nn.modules.module", "torch"),
        ("__main__", "Net"),
        ("torch", "load"),
        ("torch", "os"),
    ]:
        assert not allowed(module, name), (module, name)


def test_a_global_is_reported_once_and_with_its_place() -> None:
    read = load(b"(c__main__\nNet\n)\x81c__main__\nNet\n)\x81l.")
    (fault,) = read.faults("m.pt", base=100)
    assert fault.offset == 101 and fault.seen == "__main__.Net"


def test_cycles() -> None:
    listed: list[object] = []
    listed.append(listed)
    mapping: dict[str, object] = {"self": None}
    mapping["self"] = mapping
    for value in (listed, mapping):
        for protocol in range(6):
            assert load(pickle.dumps(value, protocol)).end > 0
    found = load(pickle.dumps(listed)).value
    assert found[0] is found


def test_deep_nesting_does_not_recurse() -> None:
    depth = 200_000
    read = load(b"]" * depth + b"a" * (depth - 1) + b".")
    assert isinstance(read.value, list)
    read = load(b"N" + b"\x85" * depth + b".")
    assert isinstance(read.value, tuple)
    inner = read.value
    del read
    while isinstance(inner, tuple):
        (inner,) = inner


def test_billion_laughs_is_a_small_graph() -> None:
    data = (
        b"]("
        + b"K\x01" * 10
        + b"e\x94"
        + b"".join(
            b"](" + b"h" + bytes([level]) * 1 + (b"h" + bytes([level])) * 9 + b"e\x94" for level in range(60)
        )
    )
    tracemalloc.start()
    read = load(data + b".")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read.value) == 10
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"\x8b\xff\xff\xff\x7f.",  # LONG4 of 2 GiB
        b"\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b".",
        b"I" + b"9" * 5000 + b"\n.",
        b"L" + b"9" * 60000 + b"L\n.",
    ],
    ids=["long4-huge", "long4-5000", "int-text", "long-text"],
)
def test_giant_integers_are_refused(data: bytes) -> None:
    with pytest.raises(LimitExceeded):
        load(data)


@pytest.mark.parametrize(
    "data",
    [
        b"X\xff\xff\xff\xffabc.",
        b"\x8e" + b"\xff" * 8 + b".",
        b"\x8d" + b"\xff" * 7 + b"\x7f.",
        b"\x95" + b"\xff" * 8 + b"N.",
    ],
    ids=["binunicode", "binbytes8", "binunicode8", "frame"],
)
def test_lengths_beyond_the_file_are_truncation(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Truncated) as caught:
        load(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert caught.value.file == "<bytes>"


def test_memory_is_metered() -> None:
    """One byte makes an object of 56: a stream of them must not cost more than twice its size and 64 MB."""
    data = b"(" + b"]" * (8 << 20) + b"l."
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        load(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(data) + (64 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b".",
        b"t.",
        b"0.",
        b"h\x05.",
        b"j\x05\x00\x00\x00.",
        b"}(K\x01u.",
        b"K\x01K\x02s.",
        b"(K\x01e.",
        b"K\x01(R.",
        b"NNb.",
        b"\xff.",
        b"\x80\x09N.",
        b"K\x01K\x02\x93.",
        b"(o.",
        b"\x82\x00.",
        b"Sabc\n.",
        b"Fx\n.",
        b"X\x01\x00\x00\x00\xff.",
        b"c\xff\xfe\nx\n.",
    ],
)
def test_broken_structure(data: bytes) -> None:
    with pytest.raises(DamagedCheckpoint) as caught:
        load(data)
    assert caught.value.offset is not None


def test_old_and_odd_opcodes() -> None:
    read = load(b"(i__main__\nThing\n(c__main__\nThing\nK\x01o\x86.")
    inst, obj = read.value
    assert (inst.how, obj.how) == ("INST", "OBJ") and obj.args == (1,)
    read = load(b"\x82\x07.")
    assert isinstance(read.value, Global)
    (fault,) = read.faults("f")
    assert "extension" in fault.attributes["module"]
    read = load(b"cos\npath\n}X\x01\x00\x00\x00aK\x01sb.")
    assert {f.slug for f in read.faults("f")} == {"pickle-global", "pickle-opcode"}


def test_long_pickles_are_read_in_windows() -> None:
    data = pickle.dumps([f"text {i}" for i in range(20_000)], 2)
    source = BytesSource(b"junk" + data + b"tail", "f.pt")
    read = read_pickle(source, 4, window=100)
    assert read.end == 4 + len(data) and len(read.value) == 20_000
    with pytest.raises(Truncated):
        read_pickle(BytesSource(data[:-5], "f.pt"), window=100)


@given(st.binary(max_size=300))
@settings(max_examples=400, deadline=None)
def test_noise_raises_our_errors_only(data: bytes) -> None:
    try:
        load(data)
    except HoldfastError as error:
        assert error.file


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_pickles_raise_our_errors_only(data: st.DataObject) -> None:
    protocol = data.draw(st.integers(0, 5))
    raw = bytearray(
        pickle.dumps({"a": [1, 2.5, ("x", b"y")], "b": collections.OrderedDict(z=np.ones(2))}, protocol)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(raw))
    except HoldfastError:
        return


def test_agrees_with_pickletools_on_where_a_pickle_ends() -> None:
    stream = io.BytesIO()
    for value in (1, "two", [3.0]):
        pickle.dump(value, stream, 2)
    data, position = stream.getvalue(), 0
    source = BytesSource(data, "s")
    for value in (1, "two", [3.0]):
        read = read_pickle(source, position)
        assert plain(read.value) == value
        position = read.end
    assert position == len(data)


def test_a_plain_pickle_is_a_catalog(tmp_path: Path) -> None:
    path = tmp_path / "arrays.pkl"
    made = {"w": np.arange(6.0).reshape(2, 3), "deep": [np.ones(2, "i4"), "text"], "epoch": 3}
    path.write_bytes(pickle.dumps(made, 4))
    source, store, _ = open_local(path)
    (found,) = (f for f in pickle_file.FORMATS if f.recognise(source))
    catalog = found.read(source, store)
    assert list(catalog) == ["w", "deep/0"] and catalog.attributes["epoch"] == 3
    assert np.array_equal(catalog.read("w"), made["w"]) and catalog["deep/0"].dtype == "int32"
    assert not catalog.faults
