"""Sharded checkpoints: an ``*.index.json`` that maps tensors to files, and those files as one catalog.

Format facts: huggingface_hub ``serialization/_base.py`` and transformers ``modeling_utils.py``
(``SAFE_WEIGHTS_INDEX_NAME``, ``WEIGHTS_INDEX_NAME``): ``{"metadata": {"total_size": bytes}, "weight_map":
{tensor: file}}``. ``total_size`` counts the bytes of the tensors' elements, not of the files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotReadable, PartMissing
from .._core.fault import Check, Fault
from .._core.spec import TensorSpec
from .._core.words import plural
from .._storage import Source, Store
from .broken_zip import broken_zip
from .junk import classify
from .registry import Format, recognise
from .safetensors.header import demand_sane
from .shard_checks import compare_with_map, look_for_mixture

__all__ = ["FORMATS", "ShardedCatalog", "open_sharded", "read_index"]

_MAX_INDEX = 256 << 20
_MAX_SHARDS = 20_000
_MAX_DEPTH = 2  # an index may not name an index that names an index


def _looks_like_index(source: Source, *endings: str) -> bool:
    head = source.head()
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    text = head + (source.tail(4096) if source.size > len(head) else b"")
    if b'"weight_map"' not in text:
        return False
    return any(
        re.search(rb'"\s*:\s*"[^"]*' + re.escape(e.encode()) + rb'"', text) is not None for e in endings
    )


def recognise_safetensors_index(source: Source) -> bool:
    """Whether this is a JSON object with a ``weight_map`` to ``.safetensors`` files."""
    return _looks_like_index(source, ".safetensors")


def recognise_torch_index(source: Source) -> bool:
    """Whether this is a JSON object with a ``weight_map`` to files of PyTorch."""
    return _looks_like_index(source, ".bin", ".pt", ".pth")


def read_index(source: Source) -> tuple[dict[str, str], dict[str, Any], list[Fault]]:
    """``weight_map``, ``metadata`` and what is odd about the index.

    Raises :class:`DamagedCheckpoint` where it is no JSON object with a ``weight_map`` of strings.
    """
    if source.size > _MAX_INDEX:
        raise LimitExceeded(
            "an index larger than any honest one", file=source.name, found=source.size, expected=_MAX_INDEX
        )
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            twice.extend(key for key, times in Counter(key for key, _ in items).items() if times > 1)
        return made

    try:
        raw = source.read(0, source.size)
        demand_sane(source, raw)
        document = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpoint(
            f"the index is not valid JSON: {error}",
            file=source.name,
            offset=getattr(error, "pos", None) or getattr(error, "start", None),
            remedy="The shards may be whole: open one of them by name, or download the index again.",
        ) from error
    found = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise DamagedCheckpoint(
            "the index has no weight_map of file names", file=source.name, expected='{"weight_map": {...}}'
        )
    if len(set(found.values())) > _MAX_SHARDS:
        raise LimitExceeded(
            "the index names more shards than any honest one",
            file=source.name,
            expected=f"at most {_MAX_SHARDS}",
            found=len(set(found.values())),
        )
    metadata = document.get("metadata")
    faults = []
    if twice:
        faults.append(
            Fault(
                "duplicate-key",
                f"the index names {twice[0]!r} more than once; readers take the last",
                file=source.name,
                seen=", ".join(twice[:5]),
                expected="every name once",
                attributes={"names": twice[:100]},
            )
        )
    return found, metadata if isinstance(metadata, dict) else {}, faults


@dataclass(slots=True)
class Shard:
    """One shard: its name in the map, what it holds, or why it could not be opened."""

    name: str
    mapped: list[str] = field(default_factory=list)
    catalog: Catalog | None = None
    error: HoldfastError | None = None


def _by_its_names(shard: Shard, catalog: Catalog, weight_map: dict[str, str]) -> None:
    """The index has a shard's keys; from here on the names that these are read as (paths that JAX spells)."""
    known = set(catalog)
    read_as = {spec.key: spec.name for spec in catalog.values() if spec.key not in known}
    for at, key in enumerate(shard.mapped):
        if key in read_as:
            shard.mapped[at] = name = read_as[key]
            weight_map[name] = weight_map.pop(key)


def open_sharded(source: Source, store: Store) -> Catalog:
    """Open the index and the header of every shard.

    A shard that is missing or damaged is a fault that names the tensors it takes along; raises where no shard
    opens.
    """
    return ShardedCatalog(source, store)


class ShardedCatalog(Catalog):
    """An index and its shards, merged. ``attributes`` holds the index's metadata and what all shards agree
    on.
    """

    def __init__(self, source: Source, store: Store, names: tuple[str, ...] | None = None) -> None:
        """``names``: the shards, where there is no index and ``source`` is the first of them."""
        self._index = source
        shards: dict[str, Shard] = {}
        weight_map: dict[str, str] = {}
        metadata: dict[str, Any] = {}
        faults: list[Fault] = []
        if names is None:
            weight_map, metadata, faults = read_index(source)
            for tensor, file in weight_map.items():
                shards.setdefault(file, Shard(file)).mapped.append(tensor)
        else:
            shards = {name: Shard(name) for name in names}
        for shard in shards.values():
            self._open(shard, source, store, faults)
            if names is None and shard.catalog is not None:
                _by_its_names(shard, shard.catalog, weight_map)
            if names is not None and shard.catalog is not None:
                shard.mapped = list(shard.catalog)
                for tensor in shard.mapped:
                    weight_map.setdefault(tensor, shard.name)
        opened = [s for s in shards.values() if s.catalog is not None]
        if shards and not opened:
            _raise_all(source, list(shards.values()))
        self.format = "torch-sharded"
        if all(s.name.endswith(".safetensors") for s in shards.values()):
            self.format = "safetensors-sharded"
        self._home: dict[str, tuple[Catalog, str]] = {}
        specs = list(self._merge(weight_map, opened))
        faults.extend(f for s in opened if s.catalog is not None for f in s.catalog.faults)
        faults.extend(compare_with_map(source.name, weight_map, metadata, shards))
        faults.extend(look_for_mixture(source.name, opened))
        attributes: dict[str, Any] = {
            **_common([s.catalog for s in opened if s.catalog is not None]),
            **metadata,
        }
        attributes["shards"] = list(shards)
        optimizers = tuple(o for s in opened if s.catalog is not None for o in s.catalog.optimizers)
        files = [
            *([source.name] if names is None else ()),
            *(f for s in opened if s.catalog is not None for f in s.catalog.files),
        ]
        super().__init__(specs, files=files, attributes=attributes, optimizers=optimizers, faults=faults)
        self.pickle_globals = tuple(
            dict.fromkeys(g for s in opened if s.catalog is not None for g in s.catalog.pickle_globals)
        )

    def _open(self, shard: Shard, source: Source, store: Store, faults: list[Fault]) -> None:
        try:
            inner = store.open(shard.name)
        except HoldfastError as error:
            shard.error = error
            gone = isinstance(error, PartMissing)
            faults.append(
                Fault(
                    "part-missing" if gone else "malformed",
                    f"shard {shard.name!r} is not there; it holds {plural(len(shard.mapped), 'tensor')}"
                    if gone
                    else f"shard {shard.name!r}: {error.message}",
                    file=error.file or source.name,
                    seen=error.found,
                    expected=shard.name,
                    tensors=tuple(shard.mapped),
                    attributes={"part": shard.name},
                )
            )
            return
        try:
            form = recognise(inner)
            broken = broken_zip(inner) if form is not None and form.name == "zip" else None
            if form is None or broken is not None:
                fault = broken or classify(inner)
                shard.error = DamagedCheckpoint(fault.message, file=inner.name)
                faults.append(replace(fault, tensors=tuple(shard.mapped)))
            elif form.name.endswith("-sharded"):
                raise DamagedCheckpoint("an index names another index as its shard", file=inner.name)
            else:
                shard.catalog = form.read(inner, store)
        except HoldfastError as error:
            shard.error = error
            faults.append(
                Fault(
                    "not-readable" if isinstance(error, NotReadable) else _slug_of(error),
                    f"shard {shard.name!r}: {error.message}",
                    file=error.file or inner.name,
                    offset=error.offset,
                    seen=error.found,
                    expected=error.expected,
                    tensors=tuple(shard.mapped),
                    attributes={"part": shard.name},
                )
            )
        if shard.catalog is None:
            inner.close()

    def _merge(self, weight_map: dict[str, str], opened: list[Shard]) -> Iterator[TensorSpec]:
        """Every shard's tensors in order; of one that lies in two shards the mapped one bears the name."""
        where: dict[str, list[Shard]] = {}
        for shard in opened:
            assert shard.catalog is not None
            for name in shard.catalog:
                where.setdefault(name, []).append(shard)
        for order, (name, found) in enumerate(where.items()):
            chosen = next((s for s in found if s.name == weight_map.get(name)), found[0])
            assert chosen.catalog is not None
            self._home[name] = (chosen.catalog, name)
            yield chosen.catalog[name].with_(order=order)

    def read(self, name: str) -> np.ndarray:
        spec = self[name]
        catalog, inner = self._home[spec.name]
        return catalog.read(inner)

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        spec = self[name]
        catalog, inner = self._home[spec.name]
        return catalog.pieces(inner, limit)

    def checks(self) -> Iterator[Check]:
        """The evidence of all shards."""
        for catalog in {id(c): c for c, _ in self._home.values()}.values():
            yield from catalog.checks()

    def close(self) -> None:
        self._index.close()
        for catalog in {id(c): c for c, _ in self._home.values()}.values():
            catalog.close()


def _slug_of(error: HoldfastError) -> str:
    from .._core.errors import ChecksumMismatch, Truncated

    if isinstance(error, Truncated):
        return "truncated"
    if isinstance(error, ChecksumMismatch):
        return "checksum"
    return "limit" if isinstance(error, LimitExceeded) else "malformed"


def _raise_all(source: Source, shards: list[Shard]) -> None:
    """No shard opens: raise the first one's error as the checkpoint's."""
    first = shards[0].error
    assert first is not None
    kind = PartMissing if all(isinstance(s.error, PartMissing) for s in shards) else DamagedCheckpoint
    names = ", ".join(s.name for s in shards[:5])
    raise kind(
        f"none of {plural(len(shards), 'shard')} that the index names can be opened ({names}): {first.message}",
        file=source.name,
        remedy="Download or copy the shards into the folder of the index.",
    )


def _common(catalogs: list[Catalog]) -> dict[str, Any]:
    """Attributes that all shards bear with the same value."""
    if not catalogs:
        return {}
    first, *others = catalogs
    return {
        k: v
        for k, v in first.attributes.items()
        if all(k in c.attributes and c.attributes[k] == v for c in others)
    }


FORMATS: tuple[Format, ...] = (
    Format(
        "safetensors-sharded",
        "sharded safetensors",
        recognise_safetensors_index,
        open_sharded,
        suffixes=(".index.json",),
        family="torch",
    ),
    Format(
        "torch-sharded",
        "sharded PyTorch checkpoint",
        recognise_torch_index,
        open_sharded,
        suffixes=(".index.json",),
        family="torch",
    ),
)
