"""A catalog of numpy arrays in memory, and subjects made of it, for tests of rules and of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from holdfast._core.catalog import Catalog
from holdfast._core.dtypes import dtype_of
from holdfast._core.fault import Fault
from holdfast._core.finding import Finding
from holdfast._core.spec import OptimizerSpec, TensorSpec
from holdfast._core.stats import TensorStats
from holdfast._examine.scan import scan_catalog
from holdfast._layouts.target import Target
from holdfast._rules.registry import Subject, rule_named
from holdfast._storage import LocalFolder


class Memory(Catalog):
    """Arrays by name; ``specs`` are changes to their specs by name."""

    format = "memory"

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        specs: Mapping[str, dict[str, Any]] | None = None,
        optimizers: tuple[OptimizerSpec, ...] = (),
        attributes: Mapping[str, Any] | None = None,
        more: tuple[TensorSpec, ...] = (),
        form: str = "memory",
    ) -> None:
        self.arrays = dict(arrays)
        self.format = form
        made = [
            TensorSpec(n, a.shape, dtype_of(a.dtype)).with_(**(specs or {}).get(n, {}))
            for n, a in arrays.items()
        ]
        super().__init__([*made, *more], optimizers=optimizers, attributes=attributes)

    def read(self, name: str) -> np.ndarray:
        return self.arrays[self[name].name]


def target(path: str = "model.bin", *faults: Fault) -> Target:
    return Target(path, LocalFolder("."), path, None, faults=faults)


def subject(catalog: Catalog | None = None, *faults: Fault, depth: str = "full") -> Subject:
    """A subject with its values scanned."""
    stats: dict[str, TensorStats] = {}
    if catalog is not None and depth == "full":
        stats = {n: s for n, s in scan_catalog(catalog, jobs=1).items() if isinstance(s, TensorStats)}
    return Subject(target(), catalog, None, depth, list(faults), stats)


def found(slug: str, of: Subject) -> list[Finding]:
    """What one rule says."""
    rule = rule_named(slug)
    assert rule is not None, slug
    findings = list(rule.check(rule, of))
    assert all(f.slug == slug and f.code == rule.code and f.message for f in findings)
    return findings


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Dense random values about 0.02 wide, none of them zero."""
    values = np.random.default_rng(seed).normal(scale=0.02, size=shape)
    values[values == 0] = 0.01
    return values.astype(dtype)
