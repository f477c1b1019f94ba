"""What the Keras format tests share: opening, and comparing with a zoo truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast._core.catalog import Catalog
from holdfast._formats.registry import recognise
from holdfast._storage import open_local
from shared import ZOO, same_bits, truth_of


def opened(path: str | Path) -> Catalog:
    """The catalog of a file, by whatever format recognises it."""
    source, store, _ = open_local(path)
    found = recognise(source)
    assert found is not None, f"{path}: not recognised"
    return found.read(source, store)


def unprovable(case: dict[str, Any]) -> bool:
    """Weights files that hold neither configuration nor names (written before Keras 3.4): only keys can be
    right.
    """
    return case["format"] == "keras_weights_h5_v3" and not case["folder"].startswith(
        ("keras-3.8", "keras-3.1", "tensorflow-2.18", "tensorflow-2.2")
    )


def compare(case: dict[str, Any]) -> dict[str, Any]:
    """Counts of tensors, of right names, of equal values, and what is wrong, for one zoo case."""
    truth, values = truth_of(case)
    catalog = opened(ZOO / case["folder"] / case["files"][0])
    stored = truth.get("stored_as", {})
    result: dict[str, Any] = {
        "tensors": 0,
        "names": 0,
        "values": 0,
        "wrong": [],
        "catalog": catalog,
        "truth": truth,
    }
    for name, entry in truth["names"].items():
        keys = {k.split(":", 1)[-1] for k in stored.get(name) or ()}
        if not keys and entry["dtype"] != "bfloat16":
            continue  # the framework made it after loading; the file does not hold it
        result["tensors"] += 1
        spec = (
            catalog[name]
            if name in catalog
            else next((s for s in catalog.values() if keys & {s.key, s.name}), None)
        )
        result["names"] += name in catalog
        stripped = {k for key in keys for k in (key, key.split(":", 1)[-1])}
        if spec is None or (keys and spec.key not in stripped and spec.key not in set(stored[name])):
            result["wrong"].append((name, spec and spec.key))
        elif same_bits(catalog.read(spec.name), entry, values[name]):
            result["values"] += 1
        else:
            result["wrong"].append((name, "values"))
    return result
