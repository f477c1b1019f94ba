"""Mutations of small bundles: only Holdfast's own errors come out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast._core.errors import DamagedCheckpoint, HoldfastError
from holdfast._formats.tensorflow.bundle import open_bundle
from holdfast._formats.tensorflow.object_graph import parse_graph
from holdfast._formats.tensorflow.saved_model import read_saved_model
from holdfast._formats.tensorflow.snappy import decompress
from holdfast._formats.tensorflow.table import Table
from holdfast._storage import BytesSource, LocalFile, LocalFolder
from shared import ZOO, needs_shared
from tf_writer import snappy, table, write_bundle

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
MANY = settings(max_examples=20_000, deadline=None, suppress_health_check=QUIET)

edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "cut", "double"]), st.integers(0, 255)
    ),
    min_size=1,
    max_size=6,
)


def mutated(raw: bytes, changes: list) -> bytes:
    data = bytearray(raw)
    for place, kind, value in changes:
        at = int(place * len(data)) if data else 0
        if kind == "set" and data:
            data[at] = value
        elif kind == "cut":
            del data[at : at + 1 + value % 16]
        else:
            data[at:at] = data[at : at + value % 32]
    return bytes(data)


def exercise(folder: Path, prefix: str) -> None:
    try:
        catalog = open_bundle(LocalFile(folder / f"{prefix}.index"), LocalFolder(folder))
    except HoldfastError:
        return
    for name in list(catalog):
        with suppress(HoldfastError):
            catalog.read(name)
    for check in catalog.checks():
        check.run(lambda count: None)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    write_bundle(
        folder / "m", {f"w{i}": np.arange(i + 1, dtype=np.float32) for i in range(6)}, shards=2, compress=True
    )
    return folder


@FEW
@given(changes=edits)
def test_index_mutated(small, changes):
    raw = (small / "m.index").read_bytes()
    (small / "f.index").write_bytes(mutated(raw, changes))
    exercise(small, "f")


def _entries(folder: Path) -> list[tuple[bytes, bytes]]:
    return [(key, bytes(value)) for key, value in Table(LocalFile(folder / "m.index"))]


@FEW
@given(changes=edits, which=st.integers(0, 6))
def test_entries_mutated_under_a_valid_checksum(small, changes, which):
    items = _entries(small)
    key, value = items[which]
    items[which] = (key, mutated(value, changes))
    (small / "m2.index").write_bytes(table(items))
    for shard in range(2):
        (small / f"m2.data-0000{shard}-of-00002").write_bytes(
            (small / f"m.data-0000{shard}-of-00002").read_bytes()
        )
    exercise(small, "m2")


@needs_shared
@FEW
@given(changes=edits)
def test_object_graph_mutated(changes):
    index = next(iter(sorted((ZOO / "tensorflow-2.18.1" / "ckpt_adam").glob("*.index"))))
    catalog = open_bundle(LocalFile(index), LocalFolder(index.parent))
    graph = mutated(catalog.read("_CHECKPOINTABLE_OBJECT_GRAPH").item(), changes)
    try:
        parse_graph(graph)
    except DamagedCheckpoint:
        return
    from holdfast._formats.tensorflow.describe import describe

    entries = {spec.key: catalog._pieces[spec.key][0].entry for spec in catalog.values()}
    found, _, _, _ = describe(entries, graph, lambda key: None)
    assert found.keys() == entries.keys()


@needs_shared
@FEW
@given(changes=edits)
def test_saved_model_mutated(changes):
    raw = (ZOO / "tensorflow-2.11.1" / "saved_model_module").rglob("saved_model.pb").__next__().read_bytes()
    with suppress(DamagedCheckpoint):
        read_saved_model(BytesSource(mutated(raw, changes)))


@FEW
@given(data=st.binary(max_size=600))
def test_snappy_round_trip_and_junk(data):
    assert decompress(snappy(data), 1 << 20) == data
    with suppress(DamagedCheckpoint):
        assert len(decompress(data, 4096)) <= 4096


def test_snappy_bomb():
    with pytest.raises(DamagedCheckpoint):
        decompress(b"\xff\xff\xff\xff\x0f" + b"\x00a", 1 << 40)


@pytest.mark.long
@MANY
@given(changes=edits)
def test_index_mutated_long(small, changes):
    raw = (small / "m.index").read_bytes()
    (small / "g.index").write_bytes(mutated(raw, changes))
    exercise(small, "g")
