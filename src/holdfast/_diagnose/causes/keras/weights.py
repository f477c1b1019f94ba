"""Keras: ``load_weights`` and ``set_weights``, layers and weights that do not agree."""

from __future__ import annotations

import re
from dataclasses import replace

from ...knowledge import Entry, Guess, Look

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
        return [built, replace(version, confidence=0.7), look.entry.guess(look, first, confidence=0.5)]
    if there == 0:
        why = "the file has no layers where this loader looks: another tool or version wrote it"
        other = look.entry.guess(look, "format-mismatch", confidence=0.6, why=why)
        return [
            other,
            look.entry.guess(look, "renamed", confidence=0.5),
            look.entry.guess(look, first, confidence=0.5),
        ]
    if there == 1 or here == 1:
        why = (
            "one side wraps the whole model as a single layer: it was saved by (or is loaded into) a `multi_gpu_model`, or "
            "is nested in another model"
        )
        remedy = (
            "Load into the model of the same kind, take the inner one (`parallel.layers[-2]`), and save that; or "
            "load by name."
        )
        wrapped = look.entry.guess(look, "topology", confidence=0.72, why=why, remedy=remedy)
        return [wrapped, look.entry.guess(look, first, confidence=0.68), version]
    return [look.entry.guess(look, first), version, look.entry.guess(look, "renamed", confidence=0.36)]


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
        why = "the layer's class makes no variables in this version (of the library, or of its own code)"
        return [
            built,
            look.entry.guess(look, "version-mismatch", confidence=0.7, why=why),
            look.entry.guess(look, "unexpected-tensor", confidence=0.5),
        ]
    fewer = look.entry.guess(look, "missing-tensor" if want > got else "unexpected-tensor", confidence=0.64)
    why = "the layer's class keeps another number of weights in this version of the code or library"
    version = look.entry.guess(look, "version-mismatch", confidence=0.66, why=why)
    if got == 0:
        why = "the file keeps the layer's weights elsewhere: it is a whole model given for weights, or one written by another way"
        return [version, fewer, look.entry.guess(look, "format-mismatch", confidence=0.52, why=why)]
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
    if re.search(r"object <(?:[\w.]*optimizers?\.|\w*(?:Adam|SGD|RMSprop|Optimizer)\b)", flat):
        why = "the optimizer's variables are not those that were saved: another model, other trainable layers, a part not built"
        return [
            look.entry.guess(look, "optimizer-structure", confidence=0.84, why=why),
            replace(missing, confidence=0.56),
            look.entry.guess(look, "version-mismatch", confidence=0.5),
        ]
    if re.search(r"object <\w+Cell\b", flat):
        why = (
            "some versions of Keras do not write the weights of a cell within a wrapper (Bidirectional, RNN)"
        )
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.78, why=why),
            missing,
            look.entry.guess(look, confidence=0.5),
        ]
    return [
        missing,
        look.entry.guess(look, confidence=0.62),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


def old_weight_count(look: Look) -> list[Guess]:
    """Keras 1: one layer has another number of weights."""
    facts = look.facts()
    want, got = int(facts["want"]), int(facts["got"])
    if want == 0:
        remedy = "Build the layer (call the model once) before its weights are set."
        built = look.entry.guess(
            look,
            "lazy-build",
            confidence=0.84,
            why="the layer has no variables yet: it is not built",
            remedy=remedy,
        )
        return [
            built,
            look.entry.guess(look, "version-mismatch", confidence=0.56),
            look.entry.guess(look, "unexpected-tensor", confidence=0.5),
        ]
    if {want, got} in ({12, 3}, {9, 3}):
        why = "a recurrent layer keeps 12 (LSTM) or 9 (GRU) weights in Keras 1 and 3 in Keras 2: file and program are of both"
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.88, why=why),
            look.entry.guess(look, "missing-tensor" if want > got else "unexpected-tensor", confidence=0.6),
            look.entry.guess(look, "shape-mismatch", confidence=0.3),
        ]
    first = "unexpected-tensor" if got > want else "missing-tensor"
    version = look.entry.guess(
        look, "version-mismatch", confidence=0.5, why="the code of the model is of another version"
    )
    return [look.entry.guess(look, first), version, look.entry.guess(look, "shape-mismatch", confidence=0.3)]


def converted(look: Look) -> list[Guess]:
    """Arrays turned for another backend or version: in Keras, or where nothing else stands."""
    known = any(
        word in look.reading.lower
        for word in ("keras", "preprocess_weights", "h5py", "'dataset'", "load_weights")
    )
    if not known and not look.around.alone:
        return []
    return [
        look.entry.guess(look, confidence=0.85 if known else 0.6),
        look.entry.guess(look, "shape-mismatch", confidence=0.5),
        look.entry.guess(look, "renamed", confidence=0.42),
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
            "mismatch in number of weights",
        ),
        r"Weight count mismatch for (?:layer|top-level weights).{0,160}?(?:expects"
        r"|expected) (?P<want>\d+) .{0,60}?received (?P<got>\d+)"
        r"|Layer '?(?P<layer>[\w/.]+)'? expected (?P<want2>\d+) variables, but received (?P<got2>\d+) variables"
        r" during loading|Layer \#?\d+ .{0,120}?expects (?P<want3>\d+) weight\(s\), but the saved weights have"
        r" (?P<got3>\d+)|mismatch in number of weights\.? (?:(?:Layer|Model) expects (?P<want4>\d+) .{0,20}?weight\(s\)\. "
        r"Received (?P<got4>\d+) saved|\((?P<want5>\d+) vs (?P<got5>\d+)\))",
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
            "unbuilt state",
        ),
        r"(?:model|layer|optimizer) that has not (?:yet )?been built"
        r"|subclassed Model which has not created its variables yet|(?:weights for model .{0,60}"
        r"|the (?:model|layer) .{0,60}|Model .{0,40})ha(?:s|ve) not (?:yet )?been (?:built|created|called)"
        r"|model (?:that )?has not yet been built|was never built|but the layer .{0,60}not built"
        r"|has never been called|looks like it has unbuilt state",
        why="the model has no variables yet: a subclassed model makes them when it is first called",
        remedy="Call it once with a real batch (not only `build()`), then load.",
        weight=0.93,
        also=("version-mismatch", "missing-tensor", "custom-object"),
        example=(
            "ValueError: Unable to load weights saved in HDF5 format into a subclassed Model which has not created "
            "its variables yet. Call the Model first, then load the weights."
        ),
    ),
    Entry(
        "keras-transpose-axes",
        "version-mismatch",
        (
            "axes don't match array",
            "'dataset' object has no attribute",
            "preprocess_weights_for_loading",
            "'dataset' and '",
        ),
        r"axes don't match array|'Dataset' object has no attribute '\w+'|preprocess_weights_for_loading"
        r"|unsupported operand type\(s\) for \S+: 'Dataset' and '",
        why="weights of another Keras generation or backend are converted on loading, and do not fit that conversion",
        remedy=(
            "Load with the version that saved, and save again; or drop the attributes `keras_version` and `backend` "
            "that choose the conversion."
        ),
        also=("shape-mismatch", "renamed"),
        weight=0.85,
        weigh=converted,
        example=(
            '  File "keras/engine/topology.py", line 3141, in preprocess_weights_for_loading\nValueError: axes '
            "don't match array"
        ),
    ),
    Entry(
        "keras-1-weight-count",
        "missing-tensor",
        ("was found to correspond to layer", "but the saved weights have"),
        r"(?P<layer>[^\"()]{1,80})\"? in the current model\)\s+was found to correspond to layer (?P<saved>.{1,80}?) in the save"
        r" file\.\s+However the new layer .{1,80}? expects (?P<want>\d+) weights, \s*but the saved weights have"
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
        "keras-set-weights",
        "missing-tensor",
        ("set_weights(weights)", "does not match layer weights"),
        r"set_weights\(weights\)`? on layer [\"'](?P<layer>[\w/.]+)[\"'] with a\s+weight list of "
        r"length (?P<got>\d+), but the layer was expecting (?P<want>\d+) weights"
        r"|does not match layer weights \((?P<want2>\d+) layer params vs\. (?P<got2>\d+) provided weights\)",
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
