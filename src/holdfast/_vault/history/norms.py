"""Norms of weights by checkpoint, and tensors that are dead or not finite: one streaming pass over what is there.

Equal tensors have equal digests, so that what did not change from one checkpoint to the next is read once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._core.catalog import Catalog
from ..._core.dtypes import is_float
from ..._core.errors import HoldfastError
from ..._core.fault import Progress
from ..._core.stats import TensorStats
from ..._examine.scan import scan_catalog
from ..._layouts.opening import open_path

__all__ = ["LAYERS", "StepNumbers", "layer_of", "numbers_of_steps", "sizes_of_layers"]

LAYERS = 8
"""How many layers have a line of their own."""
_ROLES = frozenset({"weight", "average"})
_BESIDE = frozenset({"buffer"})
_FEW = 40
"""Names that are listed of one kind."""


@dataclass(slots=True)
class StepNumbers:
    """What one checkpoint's values are like.

    ``norm``: L2 norm over all floating weights; ``layers``: of each layer (the tensors under one path). ``nan``, ``inf``,
    ``dead`` (all zero, more than one dimension): names. ``still``: trainable weights with the same values as in the
    checkpoint before. ``tensors``: how many were looked at. ``unread``: name -> why a tensor could not be read.
    ``fault``: why none could.
    """

    norm: float | None = None
    layers: dict[str, float] = field(default_factory=dict)
    nan: list[str] = field(default_factory=list)
    inf: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    tensors: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    fault: str | None = None

    def as_document(self, layers: Iterable[str]) -> dict[str, Any]:
        """Plain data, the norms of these layers only, and names up to a number."""
        return {
            "norm": self.norm,
            "layers": {name: self.layers[name] for name in layers if name in self.layers},
            **{
                word: {"count": len(names), "tensors": names[:_FEW]}
                for word, names in (
                    ("nan", self.nan),
                    ("inf", self.inf),
                    ("dead", self.dead),
                    ("still", self.still),
                )
            },
            "tensors": self.tensors,
            "unread": dict(list(self.unread.items())[:_FEW]),
            "fault": self.fault,
        }


def layer_of(name: str) -> str:
    """The layer of a tensor: its name without the last word."""
    cut = max(name.rfind("/"), name.rfind("."))
    return name[:cut] if cut > 0 else name


def sizes_of_layers(catalog: Catalog) -> dict[str, int]:
    """Layer -> elements of its floating weights."""
    found: dict[str, int] = {}
    for spec in catalog.values():
        if spec.role in _ROLES and is_float(spec.dtype):
            found[layer_of(spec.name)] = found.get(layer_of(spec.name), 0) + math.prod(spec.shape)
    return found


def numbers_of_steps(
    paths: Mapping[str, str],
    *,
    all_roles: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
    begin: Callable[[str, int], None] = lambda path, nbytes: None,
) -> tuple[dict[str, StepNumbers], list[str]]:
    """Name -> the numbers of the checkpoint at each of ``paths``, in their order, and the layers worth a line: the
    largest of the last checkpoint that could be read.

    Weights, averages and buffers are read, with ``all_roles`` optimizer slots and the rest too; memory stays at a few
    pieces for each of ``jobs`` threads. ``progress`` is called with byte counts, ``begin`` with a path and what is to be
    read of it. A checkpoint that cannot be read has a ``fault``; nothing is raised for it.
    """
    seen: dict[str, TensorStats] = {}
    found: dict[str, StepNumbers] = {}
    sizes: dict[str, int] = {}
    before: dict[str, str] = {}
    for name, path in paths.items():
        found[name] = numbers = StepNumbers()
        try:
            with open_path(path) as catalog:
                begin(path, _todo_bytes(catalog, seen, all_roles))
                before = _numbers(catalog, numbers, seen, before, all_roles, jobs, progress)
                sizes = sizes_of_layers(catalog)
        except (HoldfastError, OSError) as error:
            numbers.fault = str(getattr(error, "message", None) or error)
    largest = sorted(sizes, key=lambda layer: -sizes[layer])[:LAYERS]
    return found, [layer for layer in sizes if layer in largest]


def _wanted(catalog: Catalog, all_roles: bool) -> list[str]:
    return [
        spec.name
        for spec in catalog.values()
        if is_float(spec.dtype)
        and not spec.name.startswith("recorded/")
        and (all_roles or spec.role in _ROLES or spec.role in _BESIDE)
    ]


def _digests(catalog: Catalog) -> dict[str, str]:
    """Name -> what only equal tensors share."""
    record = getattr(catalog, "record", None)
    rows = record.tensors if record is not None else ()
    return {row.name: f"{row.digest} {row.dtype} {row.shape}" for row in rows if row.digest}


def _todo_bytes(catalog: Catalog, seen: Mapping[str, TensorStats], all_roles: bool) -> int:
    digests = _digests(catalog)
    return sum(catalog[n].nbytes for n in _wanted(catalog, all_roles) if digests.get(n) not in seen)


def _numbers(
    catalog: Catalog,
    numbers: StepNumbers,
    seen: dict[str, TensorStats],
    before: Mapping[str, str],
    all_roles: bool,
    jobs: int | None,
    progress: Progress | None,
) -> dict[str, str]:
    """Fill ``numbers``; gives the digests of this checkpoint."""
    digests = _digests(catalog)
    wanted = _wanted(catalog, all_roles)
    todo = [name for name in wanted if digests.get(name) not in seen]
    fresh = scan_catalog(catalog, names=todo, jobs=jobs, progress=progress)
    squares: dict[str, float] = {}
    for name in wanted:
        stats = fresh[name] if name in fresh else seen[digests[name]]
        if not isinstance(stats, TensorStats):
            numbers.unread[name] = stats.message
            continue
        if name in digests:
            seen[digests[name]] = stats
        spec = catalog[name]
        numbers.tensors += 1
        if stats.nan:
            numbers.nan.append(name)
        if stats.inf:
            numbers.inf.append(name)
        if spec.role not in _ROLES:
            continue
        if stats.size > 1 and stats.zeros == stats.size and len(spec.shape) > 1:
            numbers.dead.append(name)
        if spec.trainable is not False and name in before and before[name] == digests.get(name):
            numbers.still.append(name)
        square = _square(stats)
        if square is not None:
            squares[layer_of(name)] = squares.get(layer_of(name), 0.0) + square
    numbers.layers = {layer: math.sqrt(square) for layer, square in squares.items()}
    numbers.norm = math.sqrt(math.fsum(squares.values())) if squares else None
    return digests


def _square(stats: TensorStats) -> float | None:
    """The sum of squares of the finite elements, from their mean and standard deviation."""
    if stats.mean is None or stats.std is None:
        return None
    square = (stats.size - stats.nan - stats.inf) * (stats.std**2 + stats.mean**2)
    return square if math.isfinite(square) else None
