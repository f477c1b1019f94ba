"""HDF5 files of Keras: ``.weights.h5`` of 2.13 to 3.x, legacy ``.h5`` of Keras 0.x to 3, and plain HDF5.

Recognised by what the root holds: legacy files bear ``layer_names`` or a group ``model_weights``
(``keras/src/legacy/saving/legacy_h5_format.py``), newer ones have groups ``vars`` (``saving_lib.py``).
"""

from __future__ import annotations

import struct
from typing import Any

from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.spec import TensorSpec
from ..._facts.keras_modules import keras_modules
from ..._storage import Source, Store
from ..hdf5.file import H5File
from ..hdf5.groups import links_of
from ..hdf5.superblock import signature_at
from ..hdf5.tree import Tree, Unsupported
from ..registry import Format
from .archive import open_folder
from .catalog import H5Catalog, stored_at
from .legacy import LegacyReader
from .weights import WeightsReader

__all__ = ["FORMATS", "kind_of", "open_hdf5", "open_legacy", "open_weights"]

_SNIFF = 1 << 16
_LEGACY_GROUPS = {"model_weights", "optimizer_weights", "top_level_model_weights"}
_LEGACY_ATTRIBUTES = {"layer_names", "layer_names0", "nb_layers", "model_config"}


def kind_of(source: Source) -> str | None:
    """``"keras-weights-h5"``, ``"keras-h5-legacy"``, ``"hdf5"``, or ``None`` where it is no HDF5 file.

    Asked once per source; a file that the HDF5 library cannot open is judged by the words in its first 64
    KiB.
    """
    return source.once("HDF5 kind", _sniffed)


def _sniffed(source: Source) -> str | None:
    try:
        return None if signature_at(source) is None else _kind(source)
    except HoldfastError:
        return None


def _kind(source: Source) -> str:
    try:
        tree = Tree(source)
        root = tree.header(tree.superblock.root)
        links = {link.name: link.address for link in links_of(tree, root) if link.kind == "hard"}
        if _LEGACY_GROUPS & links.keys() or _LEGACY_ATTRIBUTES & {a.name for a in tree.attributes(root)}:
            return "keras-h5-legacy"
        return "keras-weights-h5" if "vars" in links or _has_vars(tree, links) else "hdf5"
    except (HoldfastError, Unsupported, struct.error, IndexError, ValueError):
        head = source.head(_SNIFF)
        if any(word in head for word in (b"layer_names", b"model_weights", b"model_config", b"weight_names")):
            return "keras-h5-legacy"
        if b"vars\0" in head and any(
            word in head for word in (b"layers\0", b"_layer_checkpoint", b"optimizer\0")
        ):
            return "keras-weights-h5"
        return "hdf5"


def _has_vars(tree: Tree, links: dict[str, int]) -> bool:
    """Shards hold only some objects: look for a group ``vars`` a few levels down, at a few places."""
    queue = [(address, 1) for _, address in sorted(links.items())[:64]]
    for looked, (address, depth) in enumerate(queue):
        if looked > 512:
            break
        header = tree.header(address)
        if not header.is_group or header.is_dataset:
            continue
        inner = [
            link for link, _ in zip(links_of(tree, header), range(256), strict=False) if link.kind == "hard"
        ]
        if any(link.name == "vars" for link in inner):
            return True
        if depth < 5 and len(queue) < 4096:
            queue.extend((link.address, depth + 1) for link in inner)
    return False


def open_weights(source: Source, store: Store) -> H5Catalog:
    """A ``.weights.h5`` file: names from the groups, roles, owners where order and shapes prove them."""
    if source.name.replace("\\", "/").rpartition("/")[2] == "model.weights.h5" and store.exists(
        "config.json"
    ):
        unzipped = open_folder(source, store)
        if unzipped is not None:
            return unzipped
    file = H5File(source)
    reader = WeightsReader([file], {source.name: (source.name, 0)})
    writer = {3: "Keras 3", 2: "Keras 2 (2.12 or newer)"}.get(reader.generation or 0, "Keras 2.12 or newer")
    root = reader.holders.get("")
    attributes: dict[str, Any] = {"writer": writer}
    if root is not None and root.label:
        attributes["model_name"] = root.label
    if root is not None and root.class_name:
        attributes["model_class_likely"] = root.class_name
    _step(attributes, reader.optimizers)
    return H5Catalog(
        reader.specs,
        reader.datasets,
        (file, source),
        format="keras-weights-h5",
        files=(source.name,),
        attributes=attributes,
        optimizers=reader.optimizers,
        faults=reader.faults,
    )


def _step(attributes: dict[str, Any], optimizers: Any) -> None:
    step = next((o.step for o in optimizers if o.step is not None), None)
    if step is not None:
        attributes["step"] = step


def open_legacy(source: Source, store: Store) -> H5Catalog:
    """A legacy ``.h5`` file: names as their framework gave them, order, configuration, optimizer."""
    file = H5File(source)
    reader = LegacyReader(file)
    _step(reader.attributes, reader.optimizers)
    catalog = H5Catalog(
        reader.specs,
        file.datasets,
        (file, source),
        format="keras-h5-legacy",
        files=(source.name,),
        attributes=reader.attributes,
        optimizers=reader.optimizers,
        faults=reader.faults,
    )
    catalog.modules = keras_modules(reader.config)
    return catalog


def open_hdf5(source: Source, store: Store) -> H5Catalog:
    """Any other HDF5 file: its datasets by path."""
    file = H5File(source)
    places = {source.name: (source.name, 0)}
    attributes: dict[str, Any] = {}
    try:
        for name in file.attributes("")[:50]:
            value = file.attribute("", name)
            if isinstance(value, (str, int, float)) and len(str(value)) < 1000:
                attributes[name] = value
    except DamagedCheckpoint as error:
        attributes["unreadable_attributes"] = error.message
    specs = [
        TensorSpec(
            name=d.path,
            shape=d.shape,
            dtype=d.dtype,
            role="other",
            nbytes=d.nbytes,
            stored=stored_at(d, places),
            dialect="numpy",
        )
        for d in file.datasets.values()
    ]
    return H5Catalog(
        specs,
        file.datasets,
        (file, source),
        format="hdf5",
        files=(source.name,),
        attributes=attributes,
        faults=file.faults,
    )


def _format(name: str, title: str, opener: Any, suffixes: tuple[str, ...], family: str) -> Format:
    return Format(name, title, lambda source: kind_of(source) == name, opener, suffixes, family)


FORMATS: tuple[Format, ...] = (
    _format("keras-weights-h5", "Keras weights (HDF5)", open_weights, (".weights.h5", ".h5"), "keras"),
    _format(
        "keras-h5-legacy", "Keras HDF5 (legacy)", open_legacy, (".h5", ".hdf5", ".keras", ".hdf"), "keras"
    ),
    _format("hdf5", "HDF5", open_hdf5, (".h5", ".hdf5", ".hdf", ".he5"), "numpy"),
)
