"""What a seal says of the model beside its tensors, and the check that it is the checkpoint's own model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._core.catalog import Catalog
from .._core.errors import SealError
from .._core.modules import ModuleSpec
from .._record.canonical import plain

if TYPE_CHECKING:
    from .seal import Seal

__all__ = [
    "architecture_record",
    "called_by",
    "check_model",
    "modules_of",
    "modules_of_record",
    "names_given",
]

_MOST_TOLD = 5
_CONTRADICTS = frozenset({"T201", "T203"})
_NOT_SAVED = frozenset({"rng", "metric", "other"})
"""What a live model has and a sound checkpoint of it need not: generators' states, variables of metrics."""


def architecture_record(
    modules: Iterable[ModuleSpec], called: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The section ``architecture`` of a record: ``modules``, rows of ``path``, ``class``, ``package``, ``config``, and
    ``code`` where there is a digest; in the order of construction. ``called``: see :func:`names_given`."""
    rows = []
    for module in modules:
        row: dict[str, Any] = {"path": module.path, "class": module.class_name, "package": module.package}
        if module.config:
            row["config"] = plain(module.config)
        if module.code is not None:
            row["code"] = module.code
        rows.append(row)
    return {"modules": rows, **({"called": dict(called)} if called else {})}


def names_given(catalog: Catalog, live: Catalog) -> dict[str, str]:
    """Names in the checkpoint -> names that people gave in the model, for tensors that the format stores under other
    ones: ``tf.train.Checkpoint`` keeps ``model/_operations/1/_kernel`` of the layer called ``encoder``, which is all
    that tells two layers of one shape apart."""
    from .._compare.compare import compare_catalogs

    pairs = compare_catalogs(catalog, live, depth="header").pairs
    return {
        pair.a: pair.b
        for pair in pairs
        if pair.certain and pair.a != pair.b and live[pair.b].attributes.get("explicit_name")
    }


def called_by(seal: Seal | None) -> dict[str, str]:
    """What a seal says of names (:func:`names_given`); empty where it says nothing."""
    section = seal.record.architecture if seal is not None and seal.record is not None else None
    called = section.get("called") if isinstance(section, Mapping) else None
    if not isinstance(called, Mapping):
        return {}
    return {k: v for k, v in called.items() if isinstance(k, str) and isinstance(v, str)}


def modules_of_record(architecture: Mapping[str, Any] | None) -> tuple[ModuleSpec, ...]:
    """The modules that such a section lists; rows that make no sense are left out."""
    rows = architecture.get("modules") if isinstance(architecture, Mapping) else None
    found: list[ModuleSpec] = []
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, Mapping):
            continue
        path, name, package = row.get("path"), row.get("class"), row.get("package", "")
        config, code = row.get("config", {}), row.get("code")
        if isinstance(path, str) and isinstance(name, str) and isinstance(package, str):
            kept = config if isinstance(config, Mapping) else {}
            digest = code if isinstance(code, str) else None
            found.append(ModuleSpec(path, name, package, kept, digest, len(found)))
    return tuple(found)


def modules_of(catalog: Catalog, seal: Seal | None) -> tuple[ModuleSpec, ...]:
    """The modules of a stored checkpoint: those that the file itself lists (with digests of code from its seal),
    else those of its seal; empty where neither tells."""
    record = seal.record if seal is not None else None
    sealed = modules_of_record(record.architecture) if record is not None else ()
    if not catalog.modules:
        return sealed
    codes = {(module.path, module.class_name): module.code for module in sealed}
    return tuple(
        module
        if module.code is not None
        else replace(module, code=codes.get((module.path, module.class_name)))
        for module in catalog.modules
    )


def check_model(catalog: Catalog, live: Catalog) -> None:
    """Raise :class:`SealError` where ``live`` cannot be the model that was saved: it wants tensors that the
    checkpoint lacks, or other shapes; a seal would vouch for another model's architecture."""
    from .._compare.compare import compare_catalogs

    delta = compare_catalogs(catalog, live, depth="header")
    against = [
        d
        for d in delta.differences
        if (d.code in _CONTRADICTS and d.evidence.get("role") not in _NOT_SAVED)
        or (d.code in ("T218", "T225") and d.evidence.get("severity") == "error")
    ]
    if against or not delta.pairs:
        told: Sequence[str] = [d.message for d in against[:_MOST_TOLD]] or [
            "no tensor of one is in the other"
        ]
        more = f"; and {len(against) - _MOST_TOLD} more" if len(against) > _MOST_TOLD else ""
        raise SealError(
            "the model is not the one that was saved",
            file=catalog.files[0] if catalog.files else None,
            expected="a model with the checkpoint's tensors and settings",
            found="; ".join(told) + more,
            remedy="Build it as it was when the checkpoint was written (A is the checkpoint, B the model).",
        )
