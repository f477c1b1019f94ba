"""CRCs of parts put together."""

from __future__ import annotations

import zlib
from pathlib import Path

import crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast._integrity import checks
from holdfast._integrity.crc import combine
from holdfast._integrity.verify import verify_catalog
from integrity.making import target_of


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_combine(a: bytes, b: bytes) -> None:
    assert combine("crc32", zlib.crc32(a), zlib.crc32(b), len(b)) == zlib.crc32(a + b)
    assert combine("crc32c", crc32c.crc32c(a), crc32c.crc32c(b), len(b)) == crc32c.crc32c(a + b)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_one_large_check_is_shared_out_and_agrees(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "SPLIT", 1 << 16)
    path = tmp_path / "x.npz"
    rng = np.random.default_rng(0)
    np.savez(path, small=np.ones(3), big=rng.integers(0, 255, 1 << 20, np.uint8))
    target = target_of(path)
    ran: list[str] = []
    real = checks.whole
    monkeypatch.setattr(
        checks, "whole", lambda check, *rest: (ran.append(check.tensor), real(check, *rest))[1]
    )

    def verified() -> tuple[list, int]:
        counts: list[int] = []
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            done = verify_catalog(catalog, target, jobs=jobs, progress=counts.append)
        return [(f.slug, f.tensor) for f in done.faults], sum(counts)

    faults, counted = verified()
    assert faults == []
    assert counted >= 1 << 20
    # what is large is computed in place, in parts where several threads share it; what is small as its reader does
    assert "big" not in ran and "small" in ran
    data = bytearray(path.read_bytes())
    data[500_000] ^= 1
    path.write_bytes(data)
    assert verified()[0] == [("checksum", "big")]
