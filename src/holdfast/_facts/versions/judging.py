"""A catalog's writer against a reader's versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..._core.catalog import Catalog
from ..._core.fault import Fault
from .keras_needs import KERAS_NEEDS
from .need import Need
from .spans import parse_version, within
from .torch_needs import TORCH_NEEDS
from .traits import TRAITS, Trait, writer_of

__all__ = ["NEEDS", "judge", "matching"]

NEEDS: tuple[Need, ...] = (*KERAS_NEEDS, *TORCH_NEEDS)
"""All rows."""

_SLUGS = {"does-not-load": "reader-refuses", "loads-with-losses": "reader-loses"}


def matching(catalog: Catalog, reader: Mapping[str, str]) -> Iterator[tuple[Need, str, Trait]]:
    """The rows that hold of a catalog and a reader, with the package that they hold for and what shows it."""
    writer = writer_of(catalog)
    for need in NEEDS:
        if catalog.format not in need.formats:
            continue
        package = next((p for p in need.readers if _in(reader.get(p), need.versions)), None)
        if package is None:
            continue
        if need.writer and (writer is None or not within(writer, need.writer)):
            continue
        trait = TRAITS[need.trait](catalog)
        if trait is not None:
            yield need, package, trait


def judge(catalog: Catalog, *, reader: Mapping[str, str]) -> list[Fault]:
    """What that reader cannot do with the catalog: faults ``reader-refuses`` (does not load) and ``reader-loses``
    (loads with losses); an empty list says that nothing known stands against loading it.

    ``reader`` maps packages to versions (:func:`installed_readers`, :func:`parse_reader`); packages that it lacks are
    not asked. Only the catalog's listing is looked at. Where a file does not load at all, losses are left out.
    """
    found = list(matching(catalog, reader))
    refused = [row for row in found if row[0].outcome == "does-not-load"]
    return [_fault(catalog, reader, *row) for row in (refused or found)]


def _fault(catalog: Catalog, reader: Mapping[str, str], need: Need, package: str, trait: Trait) -> Fault:
    version = reader[package]
    return Fault(
        _SLUGS[need.outcome],
        f"{package} {version}: {need.text}",
        file=catalog.files[0] if catalog.files else None,
        seen=trait.seen or catalog.attributes.get("writer"),
        expected=f"{package} outside {need.versions}" if need.versions else None,
        tensors=trait.tensors if need.outcome == "loads-with-losses" else (),
        attributes={
            "outcome": need.outcome,
            "package": package,
            "version": version,
            "row": need.key,
            "remedy": need.remedy,
            **({"lost": need.lost} if need.lost else {}),
        },
    )


def _in(version: str | None, span: str) -> bool:
    numbers = parse_version(version)
    return numbers is not None and within(numbers, span)
