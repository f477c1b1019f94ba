"""``.keras`` archives: configuration, metadata and weights in one zip.

Layout (``keras/src/saving/saving_lib.py``, ``_save_model_to_fileobj``): stored members ``metadata.json``,
``config.json``, ``model.weights.h5`` (or ``model.weights.npz``), ``assets/…``. The zip's CRC-32 covers every
byte of them.
A folder of the same files is what ``save(..., zipped=False)`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._core.errors import HoldfastError, LimitExceeded, PartMissing
from ..._core.fault import Check, Fault
from ..._facts.keras_modules import keras_modules
from ..._storage import Source, Store
from ..._storage.zip_archive import ZipArchive
from ..._storage.zip_directory import looks_like_zip
from ..hdf5.file import H5File
from ..registry import Format
from .assets import Vocabularies, asset_of, vocabularies
from .catalog import H5Catalog
from .config import executable, model_attributes, parsed
from .weights import WeightsReader

__all__ = ["FORMATS", "attributes_of", "open_archive", "open_folder", "recognise_archive"]

_CONFIG, _METADATA, _H5, _NPZ = "config.json", "metadata.json", "model.weights.h5", "model.weights.npz"
_SMALL = 64 << 20


def recognise_archive(source: Source) -> bool:
    """A zip with Keras's members; one whose directory is lost is judged by its first member and the names in
    its head.
    """
    if not looks_like_zip(source):
        return False
    head = source.head(4096)
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first not in (b"metadata.json", b"config.json", b"model.weights.h5", b"model.weights.npz", b"assets/"):
        return False
    try:
        members = ZipArchive(source).members
    except HoldfastError:
        return b"keras_version" in head or b"keras" in head
    keras = _METADATA in members or _CONFIG in members
    return keras and (_H5 in members or _NPZ in members or (_METADATA in members and _CONFIG in members))


def attributes_of(metadata: Any, config: Any) -> dict[str, Any]:
    """Catalog attributes out of ``metadata.json`` and ``config.json``."""
    found: dict[str, Any] = {}
    if isinstance(metadata, Mapping):
        for key in ("keras_version", "date_saved"):
            if isinstance(metadata.get(key), str):
                found[key] = metadata[key]
    version = found.get("keras_version")
    found["writer"] = f"Keras {version}" if version else "Keras"
    compiled = config.get("compile_config") if isinstance(config, Mapping) else None
    found.update(model_attributes(config, compiled))
    return found


def _json(archive: ZipArchive, name: str, faults: list[Fault]) -> Any:
    if name not in archive.members:
        faults.append(
            Fault(
                "part-missing",
                f"{name} is missing from the archive",
                file=archive.source.name,
                seen=sorted(archive.members)[:8],
            )
        )
        return None
    try:
        member = archive.open(name)
        if member.size > min(_SMALL, (8 << 20) + archive.source.size):
            raise LimitExceeded(f"{name} is larger than any model's", file=member.name, found=member.size)
        return parsed(member.read(0, member.size), member.name, name, archive.source.size)
    except HoldfastError as error:
        faults.append(
            Fault(
                "limit" if isinstance(error, LimitExceeded) else "malformed",
                error.message,
                file=error.file or archive.source.name,
                offset=error.offset,
                seen=error.found,
            )
        )
        return None


def open_archive(source: Source, store: Store) -> H5Catalog:
    """Open a ``.keras`` file. Reads the zip directory, the two JSON members and the structure of the weights.

    Raises :class:`DamagedCheckpoint` where the archive or its weights cannot be listed.
    """
    archive = ZipArchive(source)
    faults: list[Fault] = list(archive.faults)
    metadata = _json(archive, _METADATA, faults)
    config = _json(archive, _CONFIG, faults)
    attributes = attributes_of(metadata, config)
    if config is not None:
        faults.extend(executable(config, f"{source.name}:{_CONFIG}"))
    checks = _checks(archive)
    others = sorted(set(archive.members) - {_CONFIG, _METADATA, _H5, _NPZ})
    if others:
        attributes["other_members"] = others[:100]
    if _H5 not in archive.members:
        return _without_h5(source, archive, attributes, faults, checks, config)
    member = archive.open(_H5)
    stored = archive.members[_H5].method == 0
    places = {member.name: (source.name, archive.payload(_H5) if stored else -1)}
    file = H5File(member)
    words = vocabularies(others, archive.open, file.groups, config, (8 << 20) + source.size)
    return _catalog(
        file, source, places, config, attributes, faults, checks, (source.name,), f"{_H5}:", words
    )


def open_folder(source: Source, store: Store) -> H5Catalog | None:
    """``model.weights.h5`` beside ``config.json`` and ``metadata.json``: a ``.keras`` that was not zipped,
    or ``None``.
    """
    faults: list[Fault] = []
    read: dict[str, Any] = {}
    for name in (_METADATA, _CONFIG):
        if not store.exists(name):
            return None
        try:
            with_text = store.open(name)
            if with_text.size > _SMALL:
                return None
            read[name] = parsed(with_text.read(0, with_text.size), with_text.name, name)
            with_text.close()
        except HoldfastError as error:
            faults.append(Fault("malformed", error.message, file=store.shown(name), seen=error.found))
    metadata, config = read.get(_METADATA), read.get(_CONFIG)
    if not isinstance(metadata, dict) or "keras_version" not in metadata:
        return None
    attributes = attributes_of(metadata, config)
    if config is not None:
        faults.extend(executable(config, store.shown(_CONFIG)))
    files: tuple[str, ...] = (source.name, store.shown(_CONFIG), store.shown(_METADATA))
    places = {source.name: (source.name, 0)}
    file = H5File(source)
    words = Vocabularies()
    if store.is_folder("assets"):
        paths = (group.removesuffix("/vars") for group in file.groups)
        kept = [member for path in paths if store.exists(member := asset_of(path))]
        words = vocabularies(kept, store.open, file.groups, config)
        files = (*files, *(store.shown(member) for member in kept))
    return _catalog(file, source, places, config, attributes, faults, [], files, f"{_H5}:", words)


def _catalog(
    file: H5File,
    source: Source,
    places: Mapping[str, tuple[str, int]],
    config: Any,
    attributes: dict[str, Any],
    faults: list[Fault],
    checks: list[Check],
    files: tuple[str, ...],
    prefix: str,
    words: Vocabularies,
) -> H5Catalog:
    node = config if isinstance(config, dict) else None
    compiled = node.get("compile_config") if node else None
    reader = WeightsReader(
        [file],
        places,
        config=node,
        compiled=compiled if isinstance(compiled, dict) else None,
        version=attributes.get("keras_version"),
        prefix=prefix,
    )
    step = next((o.step for o in reader.optimizers if o.step is not None), None)
    if step is not None:
        attributes["step"] = step
    catalog = H5Catalog(
        reader.specs,
        reader.datasets,
        (file, source),
        format="keras-archive",
        checks=checks,
        files=files,
        attributes=attributes,
        optimizers=reader.optimizers,
        faults=[*faults, *reader.faults],
    )
    catalog.modules, catalog.lookups = keras_modules(node, words.texts), words.lookups
    return catalog


def _checks(archive: ZipArchive) -> list[Check]:
    found = (archive.check(name) for name in archive.members)
    return [check for check in found if check is not None]


def _without_h5(
    source: Source,
    archive: ZipArchive,
    attributes: dict[str, Any],
    faults: list[Fault],
    checks: list[Check],
    config: Any,
) -> H5Catalog:
    """An archive without HDF5 weights: what it is, and why nothing can be read from it."""
    if config is None and _NPZ not in archive.members:
        raise PartMissing(
            "the archive holds neither weights nor a configuration", file=source.name, expected=_H5
        )
    if _NPZ in archive.members:
        faults.append(
            Fault(
                "not-readable",
                "the weights are pickled dictionaries in model.weights.npz, which Holdfast does not unpickle",
                file=f"{source.name}:{_NPZ}",
                seen=_NPZ,
                expected=_H5,
            )
        )
    else:
        faults.append(
            Fault("part-missing", f"{_H5} is missing from the archive", file=source.name, expected=_H5)
        )
    return H5Catalog(
        (),
        {},
        (source,),
        format="keras-archive",
        checks=checks,
        files=(source.name,),
        attributes=attributes,
        faults=faults,
    )


FORMATS: tuple[Format, ...] = (
    Format(
        "keras-archive",
        "Keras archive (.keras)",
        recognise_archive,
        open_archive,
        (".keras", ".zip"),
        "keras",
    ),
)
