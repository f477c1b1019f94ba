"""Layers that look terms up, at the places where Keras would save their vocabularies and the weights of their terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..._core.modules import ModuleSpec
from ..._core.spec import TensorSpec
from ..._facts.keras_vocabulary import vocabulary_digest
from ..keras_terms import looks_up, terms_of
from ..live import Variable
from ..module_specs import walk_layers
from .derived import called
from .objects import Holder

__all__ = ["lookups", "term_weights"]


def lookups(models: Mapping[str, Any], known: Mapping[str, Sequence[Holder]]) -> dict[str, ModuleSpec]:
    """Path under which Keras saves -> the layer, with its terms as ``save_assets`` writes them, special tokens first. Of one
    model: of several nobody knows whose file it is."""
    found: dict[str, ModuleSpec] = {}
    if len(models) != 1:
        return found
    (name, model), *_ = models.items()
    paths = {id(layer): path for path, layer in walk_layers(model)}
    for holder in known[name]:
        layer = holder.layer
        if not looks_up(layer) or not terms_of(layer):
            continue
        read = partial(terms_of, layer, special=True)
        config = {"vocabulary": vocabulary_digest(read())}
        path = paths.get(id(layer), holder.path)
        found[holder.path] = ModuleSpec(path, type(layer).__name__, "keras", config, None, len(found), read)
    return found


def term_weights(
    known: Mapping[str, Sequence[Holder]], aliases: Callable[[Any], tuple[str, ...]]
) -> Iterator[Variable]:
    """What ``output_mode="tf_idf"`` keeps, in variables of TensorFlow's that are none of the model's, on every backend: the
    weights, which Keras saves by name (of a ``TextVectorization`` twice); and how many documents it has been adapted to so
    far, which only ``tf.train.Checkpoint`` does."""
    seen: set[int] = set()
    for model, holders in known.items():
        prefix = "" if len(known) == 1 else f"{model}/"
        for holder in holders:
            for word, role in (("idf_weights", "buffer"), ("num_documents", "other")):
                variable = vars(holder.layer).get(word)
                if variable is None or not hasattr(variable, "assign") or id(variable) in seen:
                    continue
                seen.add(id(variable))
                name, place = f"{called(holder)}/{word}", f"{holder.path}/vars/{word}"
                shorter = [name[at + 1 :] for at, letter in enumerate(name) if letter == "/"][:-1]
                spec = TensorSpec(
                    prefix + name,
                    tuple(variable.shape),
                    variable.dtype.name,
                    key=prefix + name if prefix else place,
                    role=role,  # type: ignore[arg-type]
                    aliases=tuple(dict.fromkeys((place, *shorter, *aliases(variable)))),
                    dialect="keras",
                    trainable=False,
                )
                yield Variable(spec, partial(_read, variable), variable.assign)


def _read(variable: Any) -> np.ndarray:
    array = np.asarray(variable).view()
    array.flags.writeable = False
    return array
