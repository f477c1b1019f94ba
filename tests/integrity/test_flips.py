"""One flipped bit anywhere in a sealed checkpoint is found, and its place told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from holdfast._core.errors import HoldfastError
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._integrity.verify import Verification, verify_catalog
from holdfast._layouts.target import Target
from integrity.making import MAKERS, target_of

FLIPS = 200


def verified(target: Target, sealed: bool = True) -> Verification:
    seal = find_seal(target) if sealed else None
    source = target.store.open(target.main)
    try:
        catalog = target.format.read(source, target.store)
    except HoldfastError:
        return verify_catalog(None, target, jobs=1, seal=seal)
    with catalog:
        return verify_catalog(catalog, target, jobs=1, seal=seal)


def made(name: str, folder: Path) -> Target:
    target = target_of(MAKERS[name](folder))
    if target is None:
        pytest.fail(f"no reader opens {name}")
    return target


@pytest.mark.parametrize("name", MAKERS)
def test_every_flip_in_a_sealed_checkpoint_is_found(name: str, tmp_path: Path) -> None:
    target = made(name, tmp_path)
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        write_seal(target, catalog)
    record = find_seal(target).record
    assert verified(target).proof == "sealed"
    assert not verified(target).faults
    rng = random.Random(name)
    sizes = [(entry.name, entry.size) for entry in record.files]
    named = 0
    for _ in range(FLIPS):
        file = rng.choices([n for n, _ in sizes], [s for _, s in sizes])[0]
        path = Path(target.store.shown(file))
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        whole = path.read_bytes()
        path.write_bytes(data)
        try:
            done = verified(target)
        finally:
            path.write_bytes(whole)
        leaves = [f for f in done.faults if f.attributes.get("kind") == "blake3"]
        assert len(leaves) == 1, f"byte {at} of {file}: {done.faults}"
        fault = leaves[0]
        assert fault.file == str(path)
        assert fault.offset <= at < fault.offset + fault.attributes["length"]
        assert fault.tensor is not None or fault.attributes["zone"] in ("header", "gap", "end", "file")
        named += fault.tensor is not None
        inside = {
            t.name
            for t in record.tensors
            for run in t.stored
            if run.file == file and run.offset <= at < run.offset + run.length
        }
        if inside:
            assert set(fault.tensors) == inside
    if name not in ("keras", "keras-h5"):  # mostly structure, at this size
        assert named > FLIPS // 4
    assert not verified(target).faults


@pytest.mark.parametrize(
    "name", [n for n in MAKERS if n in ("npz", "npz-deflated", "torch-zip", "tf-bundle", "keras")]
)
def test_without_a_seal_every_flip_in_covered_bytes_is_found(name: str, tmp_path: Path) -> None:
    target = made(name, tmp_path)
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        spans = []
        for check in catalog.checks():
            start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
            spans.append((check.file, start, length))
    assert spans
    assert not verified(target, sealed=False).faults
    rng = random.Random(name)
    for _ in range(60):
        file, start, length = rng.choices(spans, [length for *_, length in spans])[0]
        path = Path(file)
        whole = path.read_bytes()
        data = bytearray(whole)
        at = rng.randrange(start, start + length)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            assert found(target), f"byte {at} of {file}"
        finally:
            path.write_bytes(whole)


def found(target: Target) -> bool:
    """Whether the flip is told at all: by a check, by the reader's faults, or by a refusal to open."""
    try:
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            return bool(catalog.faults) or bool(verify_catalog(catalog, target, jobs=1).faults)
    except HoldfastError:
        return True
