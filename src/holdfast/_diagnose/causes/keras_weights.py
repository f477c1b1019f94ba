"""Keras: ``load_weights`` and ``set_weights``, layers and weights that do not agree."""

from __future__ import annotations

import re
from dataclasses import replace

from ..knowledge import Entry, Guess, Look

_CHECK = "`holdfast check FILE module:factory` lists the layers on both sides."

_ASSIGNED = re.compile(
    r"variable\.shape=(?P<model>\([\d, ]*\)), Received: value\.shape=(?P<file>\([\d, ]*\))"
)


def layer_counts(look: Look) -> list[Guess]:
    """A file with another number of layers than the model."""
    facts = {k: int(v) for k, v in look.facts().items() if v.isdigit()}
    there, here = facts.get("there", facts.get("saved", -1)), facts.get("here", facts.get("model", -1))
    first = "unexpected-tensor" if there > here else "missing-tensor"
    version = look.entry.guess(
        look, "version-mismatch", confidence=0.46, why="the code that builds the model is of another version"
    )
    if here == 0:
        why = "the model has no weights yet: it is not built (or an old version of Keras does not count nested layers)"
        remedy = "Call the model once (or give it an Input) before loading."
        built = look.entry.guess(look, "lazy-build", confidence=0.85, why=why, remedy=remedy)
        return [built, look.entry.guess(look, first, confidence=0.5), version]
    if there == 0:
        why = "the file has no layers where this loader looks: another tool or version wrote it"
        other = look.entry.guess(look, "format-mismatch", confidence=0.6, why=why)
        return [
            other,
            look.entry.guess(look, "renamed", confidence=0.5),
            look.entry.guess(look, first, confidence=0.5),
        ]
    return [look.entry.guess(look, first), version, look.entry.guess(look, "shape-mismatch", confidence=0.36)]


def one_weight_count(look: Look) -> list[Guess]:
    """Keras 2 and 3: one layer has another number of weights."""
    facts = look.facts()
    want, got = int(facts.get("want", -1)), int(facts.get("got", -1))
    if want == 0:
        remedy = "Build the model (call it once) before loading."
        built = look.entry.guess(
            look,
            "lazy-build",
            confidence=0.82,
            why="the layer has no variables yet: it is not built",
            remedy=remedy,
        )
        return [
            built,
            look.entry.guess(look, confidence=0.5),
            look.entry.guess(look, "custom-object", confidence=0.4),
        ]
    fewer = look.entry.guess(look, "missing-tensor" if want > got else "unexpected-tensor", confidence=0.64)
    why = "the layer's class keeps another number of weights in this version of the code or library"
    version = look.entry.guess(look, "version-mismatch", confidence=0.66, why=why)
    return [fewer, version, look.entry.guess(look, "shape-mismatch", confidence=0.45)]


def objects_not_loaded(look: Look) -> list[Guess]:
    """Keras 3 tells the first object that could not be loaded, and why."""
    flat = look.reading.flat
    shapes = _ASSIGNED.search(flat)
    missing = look.entry.guess(
        look, "missing-tensor", confidence=0.76, why="the file has nothing for layers that the model has"
    )
    if shapes is not None:
        why = (
            f"a weight has shape {shapes['file']} in the file and {shapes['model']} in the model (other sizes, or "
            f"other layers)"
        )
        shape = look.entry.guess(look, "shape-mismatch", confidence=0.86, why=why)
        surplus = look.entry.guess(look, "unexpected-tensor", confidence=0.42)
        return [shape, replace(missing, confidence=0.48), surplus]
    if "expected 0 variables" in flat.lower() or "never been built" in flat.lower():
        remedy = "Build the model (call it once) before loading."
        built = look.entry.guess(
            look,
            "lazy-build",
            confidence=0.86,
            why="layers of the model have no variables yet",
            remedy=remedy,
        )
        return [built, look.entry.guess(look, confidence=0.55), replace(missing, confidence=0.5)]
    return [
        missing,
        look.entry.guess(look, confidence=0.62),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


def old_weight_count(look: Look) -> list[Guess]:
    """Keras 1: one layer has another number of weights."""
    want, got = int(look.match["want"]), int(look.match["got"])
    first = "unexpected-tensor" if got > want else "missing-tensor"
    version = look.entry.guess(
        look, "version-mismatch", confidence=0.5, why="the code of the model is of another version"
    )
    return [look.entry.guess(look, first), version, look.entry.guess(look, "shape-mismatch", confidence=0.3)]


def weight_shapes(look: Look) -> list[Guess]:
    """Two shapes of one weight: of the same rank, or of different ones."""
    a, b = look.match["a"].count(","), look.match["b"].count(",")
    if a == b:
        return [look.entry.guess(look), look.entry.guess(look, "missing-tensor", confidence=0.35)]
    why = (
        "shapes {b} and {a} are of different kinds of weights: the list is in another order than the model's layers "
        "want"
    )
    return [
        look.entry.guess(look, "version-mismatch", confidence=0.68, why=why.format_map(look.facts())),
        look.entry.guess(
            look,
            "renamed",
            confidence=0.6,
            why="layers or weights are in another order than they were saved in",
        ),
        look.entry.guess(look, confidence=0.58),
    ]


ENTRIES = (
    Entry(
        "keras-layer-counts",
        "missing-tensor",
        (
            "weight file containing",
            "layer count mismatch",
            "layers into a model with",
            "expects",
            "saved layers into",
        ),
        r"load a weight file containing (?P<there>\d+) (?:saved )?layers into a model with (?P<here>\d+) layers"
        r"|Layer count mismatch when loading weights from file\.? Model expected (?P<model>\d+) layers, found"
        r" (?P<saved>\d+) saved layers",
        why=(
            "the file holds another number of layers with weights than the model ({there} and {here}): another "
            "architecture, a head left out or added"
        ),
        remedy="Build the model as it was saved, or load by name. " + _CHECK,
        weigh=layer_counts,
        weight=0.86,
        test="names",
        example="ValueError: You are trying to load a weight file containing 13 layers into a model with 19 layers.",
    ),
    Entry(
        "keras-weight-count",
        "missing-tensor",
        (
            "weight count mismatch",
            "variables, but received",
            "expects",
            "element(s) in file",
            "weight(s)",
        ),
        r"Weight count mismatch for (?:layer|top-level weights).{0,160}?(?:expects"
        r"|expected) (?P<want>\d+) .{0,60}?received (?P<got>\d+)"
        r"|Layer '?(?P<layer>[\w/.]+)'? expected (?P<want2>\d+) variables, but received (?P<got2>\d+) variables"
        r" during loading|Layer \#\d+ .{0,120}?expects (?P<want3>\d+) weight\(s\), but the saved weights have"
        r" (?P<got3>\d+)",
        why=(
            "a layer has another number of weights in the file than in the model (a bias, normalisation statistics, "
            "another layer in its place, or it is not built)"
        ),
        remedy="Build the layer as it was saved. " + _CHECK,
        weigh=one_weight_count,
        weight=0.8,
        test="names",
        example=(
            "ValueError: Layer 'dense_1' expected 2 variables, but received 1 variables during loading. Expected: "
            "['kernel', 'bias']"
        ),
    ),
    Entry(
        "keras-not-built",
        "lazy-build",
        (
            "been built",
            "has not created its variables yet",
            "has not been built",
            "not yet been called",
            "was never built",
            "not been",
            "not yet been",
            "has never been called",
            "but the layer",
        ),
        r"(?:model|layer|optimizer) that has not (?:yet )?been built"
        r"|subclassed Model which has not created its variables yet|(?:weights for model .{0,60}"
        r"|the (?:model|layer) .{0,60}|Model .{0,40})ha(?:s|ve) not (?:yet )?been (?:built|created|called)"
        r"|model (?:that )?has not yet been built|was never built|but the layer .{0,60}not built"
        r"|has never been called",
        why="the model has no variables yet: a subclassed model makes them when it is first called",
        remedy="Call it once with a real batch (not only `build()`), then load.",
        weight=0.93,
        also=("missing-tensor",),
        example=(
            "ValueError: Unable to load weights saved in HDF5 format into a subclassed Model which has not created "
            "its variables yet. Call the Model first, then load the weights."
        ),
    ),
    Entry(
        "keras-transpose-axes",
        "version-mismatch",
        ("axes don't match array", "'dataset' object has no attribute", "preprocess_weights_for_loading"),
        r"axes don't match array|'Dataset' object has no attribute '\w+'|preprocess_weights_for_loading",
        why="weights of another Keras generation or backend are converted on loading, and do not fit that conversion",
        remedy=(
            "Load with the version that saved, and save again; or drop the attributes `keras_version` and `backend` "
            "that choose the conversion."
        ),
        context=("keras", "preprocess_weights_for_loading"),
        only_in=True,
        also=("shape-mismatch", "renamed"),
        weight=0.85,
        example=(
            '  File "keras/engine/topology.py", line 3141, in preprocess_weights_for_loading\nValueError: axes '
            "don't match array"
        ),
    ),
    Entry(
        "keras-shape",
        "shape-mismatch",
        (
            "shape mismatch",
            "not compatible with provided weight shape",
            "not compatible with weight shape",
            "the target variable and the shape of the target value",
            "cannot assign",
            "in both shapes must be equal",
        ),
        r"shape of the target variable and the shape of the target value .{0,60}do not match"
        r"|layer (?:weight )?shape (?P<a>\([\d, ]*\)) not compatible with (?:provided )?weight shape (?P<b>\([\d, ]*\))"
        r"|Shape mismatch in layer.{0,200}|Cannot assign (?:value )?.{0,80}(?:to variable|shape)"
        r"|Dimension \d+ in both shapes must be equal",
        why="a weight has another shape in the file than in the model ({b} and {a})",
        remedy="Build the layer as it was saved. " + _CHECK,
        also=("missing-tensor", "preprocessing"),
        weight=0.88,
        test="names",
        context=("load_weights", "checkpoint", "load_own_variables", "restore", "load_model", "set_weights"),
        only_in=True,
        example=(
            "  in load_weights\nValueError: Layer weight shape (3, 3, 3, 64) not compatible with provided weight "
            "shape (3, 3, 1, 64)"
        ),
    ),
    Entry(
        "keras-1-weight-count",
        "missing-tensor",
        ("was found to correspond to layer", "but the saved weights have"),
        r"(?P<layer>\w+)\"? in the current model\) was found to correspond to layer (?P<saved>\w+) in the save"
        r" file\. However the new layer \w+ expects (?P<want>\d+) weights, but the saved weights have"
        r" (?P<got>\d+)",
        why=(
            "`{layer}` has {want} weights in the model and {got} in the file (a bias left out or added, another "
            "class)"
        ),
        remedy="Build the layer as it was saved. " + _CHECK,
        weigh=old_weight_count,
        weight=0.84,
        test="names",
        example=(
            'ValueError: Layer #0 (named "conv2d_1" in the current model) was found to correspond to layer '
            "convolution2d_1 in the save file. However the new layer conv2d_1 expects 1 weights, but the saved "
            "weights have 2 elements."
        ),
    ),
    Entry(
        "keras-weight-shape",
        "shape-mismatch",
        ("not compatible with provided weight shape",),
        r"weight shape (?P<a>\([\d, ]*\)) not compatible with provided weight shape (?P<b>\([\d, ]*\))",
        why="a weight has shape {b} in what is set and {a} in the layer",
        remedy="Build the layer as it was saved. " + _CHECK,
        weigh=weight_shapes,
        weight=0.88,
        test="names",
        also=("preprocessing",),
        example="ValueError: Layer weight shape (3, 3, 3, 64) not compatible with provided weight shape (3, 3, 1, 64)",
    ),
    Entry(
        "keras-objects-not-loaded",
        "renamed",
        ("objects could not be loaded",),
        (
            r"A total of (?P<count>\d+) objects could not be loaded\. Example error message for object"
            r" <?(?P<object>\w+)"
        ),
        why=(
            "{count} objects of the file found no place in the model: its layers are in another order, of other "
            "classes, or not built"
        ),
        remedy="Build the model as it was saved. " + _CHECK,
        weigh=objects_not_loaded,
        test="names",
        example=(
            "ValueError: A total of 12 objects could not be loaded. Example error message for object <Dense "
            "name=dense, built=True>: Layer 'dense' expected 2 variables, but received 0 variables during loading."
        ),
    ),
    Entry(
        "keras-name-twice",
        "renamed",
        (
            "name already exists",
            "unable to create",
            "unable to synchronously create",
            "all layer names should be unique",
            "times in the model",
        ),
        r"Unable to (?:create|synchronously create) (?:dataset|link|group) \((?:name already exists|symbol table)"
        r"|The name \"(?P<name>[\w/.]+)\" is used \d+ times in the model|All layer names should be unique",
        why="two layers or weights of the model have the same name, and the file can hold one",
        remedy="Give the layers names of their own.",
        also=("unserialisable",),
        weight=0.85,
        example="RuntimeError: Unable to create link (name already exists)",
    ),
    Entry(
        "keras-layer-shape",
        "shape-mismatch",
        (
            "shape mismatch in",
            "weight <tf.variable",
            "has shape",
            "the saved weight has shape",
            "received saved weight with shape",
            "due to mismatch in shape",
        ),
        r"shape mismatch in (?:layer|top-level).{0,120}?(?:expects shape (?P<a>\([\d, ]*\))\. received "
        r"saved weight with shape (?P<b>\([\d, ]*\)))?"
        r"|layer \#?\d+ \(named .{1,60}?\), weight <tf\.Variable|the saved weight has shape"
        r"|received saved weight with shape|due to mismatch in shape",
        why="a weight has shape {b} in the file and {a} in the model",
        remedy="Build the layer as it was saved, or load by name with `skip_mismatch=True` on purpose. "
        + _CHECK,
        also=("missing-tensor", "version-mismatch"),
        weight=0.9,
        test="names",
        example=(
            "ValueError: Shape mismatch in layer #1 (named c) for weight c/kernel:0. Weight expects shape "
            "(3, 3, 8, 8). Received saved weight with shape (8, 3, 3, 3)"
        ),
    ),
    Entry(
        "keras-set-weights",
        "missing-tensor",
        ("you called `set_weights(weights)` on layer", "set_weights(weights)"),
        r"set_weights\(weights\)`? on layer [\"'](?P<layer>[\w/.]+)[\"'] with a\s+weight list of "
        r"length (?P<got>\d+), but the layer was expecting (?P<want>\d+) weights",
        why="layer `{layer}` was given {got} weights and has {want}",
        remedy="Build the layer as it was saved, and call the model once before setting weights. " + _CHECK,
        weigh=old_weight_count,
        weight=0.84,
        example=(
            'ValueError: You called `set_weights(weights)` on layer "dense" with a weight list of length '
            "3, but the layer was expecting 2 weights."
        ),
    ),
)
