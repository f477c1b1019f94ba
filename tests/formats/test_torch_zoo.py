"""Every torch file of the shared zoo and of the public files: names, values bit for bit, no false alarms."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from tests.shared import FILES, ZOO, file_cases, needs_files, needs_shared, same_bits, truth_of, zoo_cases

from holdfast._core.catalog import Catalog
from holdfast._formats.torch import legacy as torch_legacy
from holdfast._formats.torch import zip as torch_zip
from holdfast._storage import open_local

FORMATS = (*torch_zip.FORMATS, *torch_legacy.FORMATS)
CASES = zoo_cases("torch_zip", "torch_legacy")
PUBLIC = [
    c for c in file_cases("torch-zip", "torch-legacy") if not c["broken"] and "tar_members" not in c["truth"]
]

# torch 1.0 names the states of an optimizer object by the addresses of its parameters in the reading process.
BY_ADDRESS = {"torch-1.0.0/whole_optimizer"}
QUIET = {"view-whole-storage", "pickle-global", "device-tag", "not-stored"}


def opened(path: Any) -> tuple[str, Catalog]:
    source, store, _ = open_local(path)
    found = next(f for f in FORMATS if f.recognise(source))
    return found.name, found.read(source, store)


@needs_shared
@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_zoo(case: dict[str, Any]) -> None:
    name, catalog = opened(ZOO / case["folder"] / case["files"][0])
    assert name == case["format"].replace("_", "-")
    truth, values = truth_of(case)
    for key, entry in truth["names"].items():
        if case["id"] in BY_ADDRESS and key.startswith("optimizer/state/"):
            continue
        found = catalog.read(key)
        if (
            truth["objects"].get(key, "").endswith("Storage")
        ):  # a bare storage: its truth went through a Python list
            assert found.tolist() == values[key].tolist()
            continue
        assert catalog[key].dtype == entry["dtype"], key
        assert same_bits(found, entry, values[key]), key
    assert {f.slug for f in catalog.faults} <= QUIET
    if truth["hyperparameters"]:
        (spec,) = catalog.optimizers
        for group, told in zip(spec.groups, truth["hyperparameters"], strict=True):
            given = {**group.current, **{f"initial_{k}": v for k, v in group.configured.items()}}
            assert given == told
        assert all(s.owner for s in catalog.values() if s.role == "slot")
        if "sgd" not in case["id"]:  # SGD counts nothing
            assert spec.step == truth["step"]


@needs_shared
def test_zoo_share(capsys: pytest.CaptureFixture[str]) -> None:
    right = total = 0
    for case in CASES:
        _, catalog = opened(ZOO / case["folder"] / case["files"][0])
        listed = {s.name for s in catalog.values()} | {s.key for s in catalog.values()}
        names = [n for n in truth_of(case)[0]["names"] if not n.endswith(".dequantized")]
        total += len(names)
        right += sum(n in listed for n in names)
    with capsys.disabled():
        print(f"\ntorch zoo: {right} of {total} names as torch calls them ({100 * right / total:.1f} %)")
    assert right >= 0.98 * total


@needs_files
@pytest.mark.parametrize("case", PUBLIC, ids=[c["paths"][0].split("/", 1)[1] for c in PUBLIC])
def test_public_files(case: dict[str, Any]) -> None:
    _, catalog = opened(FILES / case["paths"][0])
    truth = case["truth"]
    entries = truth.get("sample", {})
    if truth.get("all"):
        entries = json.loads((FILES / truth["all"]).read_text(encoding="utf-8"))
        entries = entries.get("tensors", entries)
    for name, entry in entries.items():
        spec, found = catalog[name], catalog.read(name)
        assert (list(spec.shape), spec.dtype) == (entry["shape"], entry["dtype"])
        if "sha256" in entry:
            assert hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest() == entry["sha256"]
    if truth.get("n_tensors") is not None:
        assert truth["n_tensors"] == sum(not s.attributes.get("numpy") for s in catalog.values())
    assert {f.slug for f in catalog.faults} <= QUIET
