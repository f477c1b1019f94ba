"""Keras: ``load_weights``, ``load_model``, ``save``."""

from __future__ import annotations

import re
from dataclasses import replace

from ..knowledge import Entry, Guess, Look

_CHECK = "`holdfast check FILE module:factory` lists the layers on both sides."


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


_ASSIGNED = re.compile(
    r"variable\.shape=(?P<model>\([\d, ]*\)), Received: value\.shape=(?P<file>\([\d, ]*\))"
)


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


def keyword(look: Look) -> list[Guess]:
    """An argument of a layer's config that this version does not know."""
    return [
        look.entry.guess(look),
        look.entry.guess(
            look,
            "custom-object",
            confidence=0.45,
            why="a class of your own does not take what its saved config holds (`**kwargs` missing in `__init__`)",
        ),
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
        r"|expected) (?P<want>\d+) .{0,60}?[Rr]eceived (?P<got>\d+)"
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
        r"|subclassed Model which has not created its variables yet|(?:[Ww]eights for model .{0,60}"
        r"|[Tt]he (?:model|layer) .{0,60}|Model .{0,40})ha(?:s|ve) not (?:yet )?been (?:built|created|called)"
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
        "keras-unknown-class",
        "custom-object",
        (
            "unknown layer",
            "unknown loss",
            "unknown metric",
            "unknown object",
            "unknown activation",
            "unknown optimizer",
            "unknown initializer",
            "unknown regularizer",
            "could not locate class",
            "could not locate function",
            "could not deserialize class",
            "unknown config_item",
            "unknown",
            "function",
            "cannot load class",
        ),
        r"Unknown (?P<kind>layer|loss(?: ?function)?|metric ?(?:function)?|object|activation(?: ?function)?"
        r"|optimizer|initializer|regularizer|constraint|entries in|config_item)s?:? ?'?(?P<name>[\w.>]+)?"
        r"|Could not (?:locate|deserialize) (?:class|function) '?(?P<name2>[\w.]+)'?|Cannot load (?:class"
        r"|function)",
        why=(
            "the file names `{name}`, which this program does not know: a class or function of your own (or of "
            "another version) that is not registered"
        ),
        remedy=(
            "`load_model(path, custom_objects={{'Name': Name}})`, or `@keras.saving.register_keras_serializable()`; "
            "for inference `compile=False` skips losses and metrics."
        ),
        also=("version-mismatch", "unserialisable"),
        weight=0.92,
        test="names",
        weigh=lambda look: (
            [] if "because its parent module" in look.reading.lower else [look.entry.guess(look)]
        ),
        example="ValueError: Unknown layer: Attention. Please ensure you are using a `keras.utils.custom_object_scope`",
    ),
    Entry(
        "keras-unrecognised-keyword",
        "version-mismatch",
        (
            "unrecognized keyword argument",
            "unexpected keyword argument",
            "keyword argument not understood",
            "keyword arguments passed to",
            "could not be deserialized properly",
        ),
        r"Unrecognized keyword arguments?(?: passed)? to (?P<layer>\w+): (?P<what>\{[^}]*\}|[^.\n]{1,80})"
        r"|__init__\(\) got an unexpected keyword argument '(?P<key>\w+)'"
        r"|\('Keyword argument not understood:', '(?P<key2>\w+)'\)"
        r"|Class '?(?P<layer2>[\w.]+)'? could not be deserialized properly",
        why="the saved config of a layer has an argument that this version does not take ({what})",
        remedy=(
            "Load with the version that saved (or the nearest), or drop the argument from the config; weights alone "
            "load into a model built in code."
        ),
        weigh=keyword,
        context=("keras", "deserialize", "from_config", "load_model", "config"),
        calls=("load_model", "from_config", "deserialize"),
        only_in=True,
        weight=0.82,
        also=("format-mismatch",),
        example=(
            '  File "keras/saving.py", line 1, in load_model\nTypeError: Unrecognized keyword arguments passed to '
            "Conv2DTranspose: {'groups': 1}"
        ),
    ),
    Entry(
        "keras-layer-keyword",
        "version-mismatch",
        ("unrecognized keyword arguments passed to",),
        r"Unrecognized keyword arguments passed to (?P<layer>[A-Z]\w+): (?P<what>\{[^}]*\})",
        why="the saved config of {layer} has an argument that this version does not take: {what}",
        remedy=(
            "Load with the version that saved (or the nearest), or drop the argument from the config; weights alone "
            "load into a model built in code."
        ),
        weigh=keyword,
        weight=0.84,
        also=("format-mismatch",),
        example="ValueError: Unrecognized keyword arguments passed to Dense: {'quantization_config': None}",
    ),
    Entry(
        "keras-3-formats",
        "version-mismatch",
        ("file format not supported", "only supports v3", "keras 3 only supports"),
        r"File format not supported: ?(?:filepath=)?(?P<path>\S+)?|Keras 3 only supports V3 `?\.keras`? files",
        why="Keras 3 reads `.keras` and legacy `.h5` only; a SavedModel (or TF-format weights) was given",
        remedy=(
            "`keras.layers.TFSMLayer(path, call_endpoint='serving_default')` for inference, or load it with "
            "`tf_keras` (Keras 2) and save as `.keras`."
        ),
        also=("format-mismatch", "not-found"),
        weight=0.92,
        test="whole",
        example=(
            "ValueError: File format not supported: filepath=model. Keras 3 only supports V3 `.keras` files and "
            "legacy H5 format files"
        ),
    ),
    Entry(
        "keras-3-suffix",
        "format-mismatch",
        (
            "must end in",
            "invalid filepath extension",
            "accessible `.keras` zip",
            "ensure the file is an accessible",
        ),
        r"(?:filename|filepath) must end in `?(?P<want>[\w.]+)`?\.? ?(?:Received: filepath=(?P<path>\S+))?"
        r"|Invalid filepath extension for saving|ensure the file is an accessible `?\.keras`? zip file",
        why="Keras 3 decides by the ending of the name, and this one is not what the call wants ({want})",
        remedy="save_weights: `name.weights.h5`; whole models: `name.keras`.",
        also=("version-mismatch", "not-found"),
        weight=0.9,
        test="path",
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "not-found",
                    confidence=0.75,
                    why="no `.keras` file lies under that path, or it is no zip archive",
                    remedy="Check the path; `holdfast PATH` says what lies there.",
                ),
                look.entry.guess(look, "corrupt", confidence=0.55),
                look.entry.guess(look, confidence=0.5),
            ]
            if "accessible" in look.match[0]
            else [look.entry.guess(look)]
        ),
        example="ValueError: The filename must end in `.weights.h5`. Received: filepath=/tmp/model.keras",
    ),
    Entry(
        "keras-config-missing",
        "format-mismatch",
        (
            "no model config found",
            "no model found in config",
            "cannot create group in read",
            "no model found in",
            "argument of type 'nonetype' is not iterable",
        ),
        r"No model (?:config )?found in (?:config )?(?:the )?(?:file|config)"
        r"|Cannot create group in read-only mode|argument of type 'NoneType' is not iterable.{0,60}model_config",
        why="the file holds weights only, no architecture",
        remedy="Build the model in code, then `load_weights(file)`.",
        also=("incomplete-save", "version-mismatch"),
        weight=0.88,
        test="names",
        example="ValueError: No model config found in the file at <tensorflow.python...>",
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
            "the target variable and the shape of the target value",
            "cannot assign",
            "in both shapes must be equal",
        ),
        r"shape of the target variable and the shape of the target value .{0,60}do not match"
        r"|[Ll]ayer weight shape (?P<a>\([\d, ]*\)) not compatible with provided weight shape (?P<b>\([\d, ]*\))"
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
        "keras-not-serialisable",
        "unserialisable",
        ("get_config", "cannot be serialized", "deepcopy", "object of type", "erializable"),
        r"NotImplementedError: .{0,160}get_config"
        r"|Layers? with arguments in `?__init__`? must (?:therefore )?override `?get_config`?"
        r"|[Nn]ot JSON [Ss]erializable|Object of type \w+ is not JSON|in get_config .{0,400}deepcopy"
        r"|get_config\(\).{0,400}(?:deepcopy|copier)|cannot be serialized",
        why=(
            "something in the model's config cannot be written: a layer without `get_config`, a tensor or array or "
            "object as an argument (of a Lambda)"
        ),
        remedy=(
            "Give the layer a `get_config` of plain values, or save the weights alone; `holdfast isolate` names the "
            "part."
        ),
        also=("custom-object",),
        weight=0.88,
        calls=("save", "save_model", "get_config", "_serialize_model", "to_json"),
        example="NotImplementedError: Layers with arguments in `__init__` must override `get_config`.",
    ),
    Entry(
        "keras-lambda-unsafe",
        "unsafe-pickle",
        (
            "safe_mode",
            "enable_unsafe_deserialization",
            "lambda` layer",
            "requested the deserialization of a",
            "deserializ",
        ),
        r"(?:Requested the deserialization of|deserializ\w+ of) a `?Lambda`?(?: layer)?"
        r"|enable_unsafe_deserialization|safe_mode=False",
        why="the file holds Python byte code (a Lambda layer), which Keras refuses to run unless told so",
        remedy=(
            "Where you trust the file: `load_model(path, safe_mode=False)`; better replace the Lambda by a "
            "registered layer."
        ),
        also=("custom-object", "version-mismatch"),
        weight=0.93,
        test="pickle",
        example="ValueError: Requested the deserialization of a `Lambda` layer with a Python `lambda` inside it.",
    ),
    Entry(
        "keras-marshal",
        "version-mismatch",
        ("bad marshal data",),
        r"bad marshal data \(?(?P<what>[\w ]*)",
        why="the file holds Python byte code (a Lambda layer) of another Python version",
        remedy="Load it with the Python that saved, or rebuild the model in code and load the weights.",
        also=("custom-object", "unsafe-pickle"),
        weight=0.93,
        example="ValueError: bad marshal data (unknown type code)",
    ),
    Entry(
        "keras-moved-module",
        "version-mismatch",
        (
            "no module named 'keras",
            "no module named keras",
            "keras.src",
            "keras.engine",
            "keras.layers.merge",
            "tensorflow.python.keras",
        ),
        r"No module named '?(?P<module>(?:tensorflow\.python\.)?keras[\w.]+)",
        why="`{module}` is not there in this version of Keras: the file or the code is of another generation",
        remedy=(
            "Install the version that saved (`tf_keras` for Keras 2 files), or rebuild the model in code and load "
            "the weights."
        ),
        also=("custom-object",),
        weight=0.85,
        example="ModuleNotFoundError: No module named 'keras.src.engine'",
    ),
    Entry(
        "keras-str-decode",
        "version-mismatch",
        ("'str' object has no attribute 'decode'",),
        r"'str' object has no attribute 'decode'",
        why="h5py 3 gives texts where Keras before 2.4 expects bytes",
        remedy="Upgrade TensorFlow to 2.4 or later, or install `h5py<3`.",
        weight=0.95,
        example="AttributeError: 'str' object has no attribute 'decode'",
    ),
    Entry(
        "keras-name-twice",
        "renamed",
        (
            "name already exists",
            "unable to create dataset",
            "unable to create link",
            "unable to create group",
            "all layer names should be unique",
            "times in the model",
        ),
        r"Unable to (?:create|synchronously create) (?:dataset|link|group) \(name already exists\)"
        r"|The name \"(?P<name>[\w/.]+)\" is used \d+ times in the model|All layer names should be unique",
        why="two layers or weights of the model have the same name, and the file can hold one",
        remedy="Give the layers names of their own.",
        also=("unserialisable",),
        weight=0.85,
        example="RuntimeError: Unable to create link (name already exists)",
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
        "keras-parent-module",
        "version-mismatch",
        ("parent module", "cannot be imported"),
        (
            r"Could not deserialize class '(?P<name>\w+)' because its parent module (?P<module>[\w.]+) cannot be"
            r" imported"
        ),
        why="the file names `{module}`, which this version does not have",
        remedy=(
            "Load with the version that saved (`tf_keras` for files of Keras 2), or rebuild the model in code and "
            "load the weights."
        ),
        weigh=lambda look: (
            [look.entry.guess(look, confidence=0.97), look.entry.guess(look, "custom-object", confidence=0.5)]
            if look.match["module"].startswith(("keras", "tensorflow", "tf_keras"))
            else [
                look.entry.guess(
                    look,
                    "custom-object",
                    confidence=0.97,
                    why=(
                        f"the class `{look.match['name']}` of your own module `{look.match['module']}` cannot be "
                        f"imported here"
                    ),
                    remedy="Put that module on the path, or register the class.",
                )
            ]
        ),
        example=(
            "TypeError: Could not deserialize class 'Functional' because its parent module "
            "keras.src.engine.functional cannot be imported."
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
        "savedmodel-missing",
        "not-found",
        ("savedmodel file does not exist",),
        r"SavedModel file does not exist at: ?(?P<path>\S+)",
        why="no SavedModel lies at {path}",
        remedy="Give the folder that holds saved_model.pb; a `.h5` or `.keras` file is loaded by its full name.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="path",
        example="OSError: SavedModel file does not exist at: model/{saved_model.pbtxt|saved_model.pb}",
    ),
    Entry(
        "savedmodel-tags",
        "format-mismatch",
        ("metagraphdef associated with tags",),
        r"MetaGraphDef associated with tags (?P<tags>.{1,60}?) could not be found",
        why="the SavedModel has no graph for the tags {tags}",
        remedy="`saved_model_cli show --dir DIR` lists them.",
        weight=0.9,
        also=("version-mismatch",),
        example="RuntimeError: MetaGraphDef associated with tags 'serve' could not be found in SavedModel",
    ),
    Entry(
        "strategy-scope",
        "topology",
        ("under the scope for", "tf.distribute.strategy", "mirroredvariable", "replica context", "trategy"),
        r"under the scope for\s+\"?\s*\"?tf\.distribute\.Strategy"
        r"|must specify an aggregation method to update a MirroredVariable|[Ss]trategy scope.{0,120}(?:different"
        r"|same|create|restor)|not in cross-replica context",
        why="variables of a distribution strategy are restored or made outside of its scope",
        remedy="Build the model, and restore, inside `with strategy.scope():`.",
        also=("lazy-build", "version-mismatch", "optimizer-structure"),
        weight=0.85,
        example="ValueError: You must specify an aggregation method to update a MirroredVariable in Tower Context",
    ),
    Entry(
        "keras-h5-attribute-frames",
        "size-limit",
        ("layer_names", "weight_names", "save_attributes_to_hdf5_group"),
        r"attrs\['(?:layer_names|weight_names)'\]|save_attributes_to_hdf5_group",
        why="the list of layer names is written as one HDF5 attribute, which takes 64 KB",
        remedy="Use the `.keras` or `.weights.h5` format, shorter names, or fewer layers at the top.",
        calls=("save_weights_to_hdf5_group", "save_attributes_to_hdf5_group"),
        context=("attrs.py",),
        only_in=True,
        weight=0.72,
        also=("unserialisable",),
        example=(
            "  File \"keras/engine/topology.py\", line 1, in save_weights_to_hdf5_group\n    f.attrs['layer_names'] "
            '= [...]\n  File "h5py/_hl/attrs.py", line 87, in __setitem__\n    self.create(name, data=value)'
        ),
    ),
)
