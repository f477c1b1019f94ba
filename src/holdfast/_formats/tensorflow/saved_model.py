"""SavedModel: ``saved_model.pb`` (the program) with its variables in ``variables/`` (a tensor bundle).

Only what concerns the variables is read of the program: which TensorFlow wrote it, the tags, and from the
object graph each variable's name and whether it is trainable (checkpoints inside a SavedModel do not tell).
The graphs themselves are stepped over, whatever their size. Sources:
tensorflow/core/protobuf/saved_model.proto, meta_graph.proto, saved_object_graph.proto; keras_metadata.pb:
tf_keras/protobuf/saved_metadata.proto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.fault import Fault
from ..._core.words import plural
from ..._storage import Source, Store
from ..protobuf import fields, message, signed, text, varint
from .catalog import BundleCatalog

__all__ = ["SavedModelInfo", "looks_like_saved_model", "open_saved_model", "read_saved_model"]

VARIABLES = "variables/variables.index"
_METADATA_LIMIT = 64 << 20


@dataclass(slots=True)
class SavedModelInfo:
    """What ``saved_model.pb`` tells of the variables.

    ``variables``: node of the object graph -> (name, trainable). ``has_variables``: whether the program
    restores any. ``keras``: the root object's Keras metadata (a dict), where recorded.
    """

    tensorflow_version: str = ""
    tags: list[str] = field(default_factory=list)
    variables: dict[int, tuple[str, bool]] = field(default_factory=dict)
    has_variables: bool = False
    keras: Mapping[str, Any] | None = None


def looks_like_saved_model(source: Source) -> bool:
    """Whether a file begins as a SavedModel does: schema version 1, then meta graphs up to its end.

    An ONNX model begins alike, with its IR version and a producer's name; there the second field is no
    message that is followed by another of its kind or by the end of the file.
    """
    head = source.head(32)
    if head[:3] != b"\x08\x01\x12":
        return False
    try:
        length, at = varint(head, 3)
    except DamagedCheckpoint:
        return False
    end = at + length
    if end > source.size or length < 2 or at >= len(head) or head[at] not in b"\x0a\x12\x1a\x22\x2a\x32\x3a":
        return False
    return end == source.size or source.read(end, 1) == b"\x12"


def read_saved_model(source: Source) -> SavedModelInfo:
    """What a ``saved_model.pb`` tells. Raises :class:`DamagedCheckpoint`."""
    info = SavedModelInfo()
    for number, graph in fields(source.view(0, source.size)):
        if number != 2:
            continue
        for part, value in fields(message(graph)):
            if part == 1:
                for inner, what in fields(message(value)):
                    if inner == 4:
                        info.tags.append(text(what))
                    elif inner == 5:
                        info.tensorflow_version = text(what)
            elif part == 3:
                info.has_variables = True
            elif part == 7:
                _objects(message(value), info)
    return info


def _objects(data: memoryview, info: SavedModelInfo) -> None:
    """``SavedObjectGraph``: variables by node, and the root's metadata."""
    index = -1
    for number, value in fields(data):
        if number != 1:
            continue
        index += 1
        for part, what in fields(message(value)):
            if part == 7:
                name, trainable = "", False
                for inner, item in fields(message(what)):
                    if inner == 3:
                        trainable = bool(signed(item))
                    elif inner == 6:
                        name = text(item)
                info.variables[index] = (name, trainable)
                info.has_variables = True
            elif part == 4 and index == 0:
                for inner, item in fields(message(what)):
                    if inner == 3:
                        info.keras = _json(item)


def _json(data: object) -> Mapping[str, Any] | None:
    if not isinstance(data, memoryview) or not 0 < len(data) <= _METADATA_LIMIT:
        return None
    try:
        found = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _keras_metadata(store: Store) -> Mapping[str, Any] | None:
    """The root object's metadata from ``keras_metadata.pb`` (TensorFlow 2.5 to 2.15)."""
    if not store.exists("keras_metadata.pb"):
        return None
    try:
        source = store.open("keras_metadata.pb")
        for number, value in fields(source.view(0, source.size)):
            if number == 1:
                node = dict(fields(message(value)))
                if node.get(2, 0) == 0:
                    return _json(node.get(5))
    except HoldfastError:
        return None
    return None


def _optimizer_config(keras: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """``{"class_name", "config"}`` of the optimizer a Keras model was compiled with."""
    config: Any = keras
    for key in ("training_config", "optimizer_config"):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) and isinstance(config.get("class_name"), str) else None


def open_saved_model(source: Source, store: Store) -> Catalog:
    """A SavedModel's variables as a catalog; ``source`` is its ``saved_model.pb``, ``store`` the folder.

    A damaged ``saved_model.pb`` beside whole variables is a fault of the catalog. Raises
    :class:`DamagedCheckpoint` when the variables' index cannot be read.
    """
    faults: list[Fault] = []
    info = SavedModelInfo()
    try:
        info = read_saved_model(source)
    except DamagedCheckpoint as error:
        faults.append(
            Fault("malformed", f"the program is damaged: {error.message}", source.name, error.offset)
        )
        info.has_variables = True
    keras = info.keras or _keras_metadata(store)
    version = info.tensorflow_version
    attributes: dict[str, Any] = {
        "writer": f"TensorFlow {version}" if version else "TensorFlow",
        **({"tensorflow_version": version} if version else {}),
        **({"tags": info.tags} if info.tags else {}),
        **({"keras_metadata": True} if keras is not None else {}),
    }
    if keras is not None and isinstance(keras.get("class_name"), str):
        attributes["model_class"] = keras["class_name"]
    extra = [store.shown(name) for name in ("keras_metadata.pb", "fingerprint.pb") if store.exists(name)]
    if not store.exists(VARIABLES):
        if info.has_variables:
            faults.append(
                Fault(
                    "part-missing",
                    "the variables of the model are not there",
                    store.shown(VARIABLES),
                    seen="no such file",
                    expected=plural(len(info.variables), "variable")
                    if info.variables
                    else "variables/variables.index",
                    attributes={"part": VARIABLES},
                )
            )
        else:
            attributes["note"] = "the program has no variables"
        return EmptySavedModel((), files=[source.name, *extra], attributes=attributes, faults=faults)
    folder = store.sub("variables")
    catalog = BundleCatalog(
        folder.open("variables.index"),
        folder,
        "variables",
        variables=info.variables,
        optimizer_config=_optimizer_config(keras),
        attributes=attributes,
    )
    catalog.format = "savedmodel"
    catalog.files = (source.name, *catalog.files, *extra)
    catalog.faults = (*faults, *catalog.faults)
    return catalog


class EmptySavedModel(Catalog):
    """A SavedModel whose variables are not there, or that never had any."""

    format = "savedmodel"

    def read(self, name: str) -> np.ndarray:
        """Nothing can be read; raises :class:`UnknownTensor`."""
        raise AssertionError(f"an empty catalog has no {self[name]}")
