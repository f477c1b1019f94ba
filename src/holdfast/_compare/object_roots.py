"""One model out of a TensorFlow checkpoint of several: ``tf.train.Checkpoint(generator=g, discriminator=d)``.

The file names each variable by the way that leads to it from the checkpoint's root, whose attributes are the words the
objects were given (tensorflow/core/protobuf/trackable_object_graph.proto); the live model knows the same ways, from
itself on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from .._core.catalog import Catalog
from .._core.spec import TensorSpec

__all__ = ["beside_root", "root_of"]

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def root_of(stored: Catalog, live: Catalog) -> str | None:
    """The root's attribute below which every weight of the live model is found, at its way and in its shape; ``None``
    where there is no such one, where there are several, and where the root is the model itself."""
    if not stored.attributes.get("object_based"):
        return None
    wanted = {way: spec.shape for spec in live.values() if spec.role == "weight" for way in _inner_ways(spec)}
    count = sum(spec.role == "weight" for spec in live.values())
    found: Counter[str] = Counter()
    for spec in stored.values():
        if spec.role == "weight":
            ways = [way.partition("/") for way in _ways(spec)]
            found.update({root for root, _, inner in ways if wanted.get(inner) == spec.shape})
            if any(wanted.get(way) == spec.shape for way in _ways(spec)):
                return None
    roots = [root for root, number in found.items() if number == count]
    return roots[0] if len(roots) == 1 else None


def beside_root(stored: Catalog, root: str) -> Mapping[str, str]:
    """The file's weights that no way from that attribute leads to -> the attribute that one does from. Averages that an
    optimizer keeps (Keras's ``use_ema``) are the optimizer's, and beside nothing."""
    optimizers = {o.name for o in stored.optimizers}
    found = {}
    for spec in stored.values():
        if spec.role in ("weight", "buffer", "average") and spec.optimizer is None:
            roots = [way.partition("/")[0] for way in _ways(spec)]
            others = [other for other in roots if other not in optimizers]
            if root not in roots and others:
                found[spec.name] = others[0]
    return found


def _ways(spec: TensorSpec) -> Iterator[str]:
    """Ways through the objects, as the key and the aliases tell them; full names bear an output's number."""
    for word in (spec.key, *spec.aliases):
        if "/" in word and not word.endswith(":0"):
            yield word.removesuffix(_VALUE)


def _inner_ways(spec: TensorSpec) -> Iterator[str]:
    """The ways of a live weight from its model on, which goes by the word of the part."""
    for way in _ways(spec):
        part, _, inner = way.partition("/")
        if part == "model":
            yield inner
