"""What reads every value of one large tensor holds a piece of it, not the whole."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._core.stats import TensorStats
from holdfast._examine.scan import scan_catalog
from holdfast._layouts.opening import open_path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import _files as files

MIB = 1 << 20
SIZE = 192 * MIB
WRITERS = {
    "safetensors": (files.safetensors, "m.safetensors"),
    "torch zip": (files.torch_zip, "m.pt"),
    "TF bundle": (files.bundle, "m.index"),
    "h5": (files.h5, "m.h5"),
}


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most bytes that Python held at once inside the ``with``."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.fixture(params=[*WRITERS, "vault"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint of one tensor of 192 MiB."""
    if request.param == "vault":
        vault = holdfast.Vault(tmp_path / "run")
        vault.save(1, state={"w": np.zeros(SIZE // 4, np.float32)}, blocking=True)
        vault.close()
        return tmp_path / "run"
    write, name = WRITERS[request.param]
    target = tmp_path / name
    write(target, [("w", (SIZE // 4,))])
    return target


def test_a_scan_holds_a_piece(path: Path) -> None:
    with open_path(path) as catalog:
        (name,) = (n for n in catalog if catalog[n].nbytes == SIZE)
        with peak() as found:
            stats = scan_catalog(catalog, names=[name], jobs=1)[name]
        assert isinstance(stats, TensorStats)
        assert stats.zeros == SIZE // 4  # every value was looked at
        assert found[0] < 100 * MIB
        with peak() as found:
            assert catalog.read(name).size == SIZE // 4
        assert found[0] > 150 * MIB  # the measure sees what is read whole
