"""Keras: ``load_weights``, ``load_model``, ``save``."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look

_CHECK = "`holdfast check FILE module:factory` lists the layers on both sides."


def layer_counts(look: Look) -> list[Guess]:
    """A file with other numbers of layers."""
    facts = {k: int(v) for k, v in look.facts().items() if v.isdigit()}
    there, here = facts.get("there", facts.get("saved", 0)), facts.get("here", facts.get("model", 0))
    first = "unexpected-tensor" if there > here else "missing-tensor"
    other = "missing-tensor" if first == "unexpected-tensor" else "unexpected-tensor"
    if "into a model with 0 layers" in look.match[0] or ("here" in facts and here == 0):
        return [
            look.entry.guess(
                look,
                "lazy-build",
                confidence=0.85,
                why="the model has no weights yet: it is not built",
                remedy="Call the model once (or give it an Input) before loading.",
            ),
            look.entry.guess(look, first, confidence=0.5),
        ]
    if facts and there == 0:
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.6,
                why="the file has no layers where this loader looks: another tool or version wrote it",
            ),
            look.entry.guess(look, "renamed", confidence=0.5),
            look.entry.guess(look, first, confidence=0.5),
        ]
    return [
        look.entry.guess(look, first),
        look.entry.guess(
            look,
            "version-mismatch",
            confidence=0.42,
            why="the code that builds the model is of another version",
        ),
        look.entry.guess(look, "shape-mismatch", confidence=0.36),
        look.entry.guess(look, other, confidence=0.3),
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
        r" (?P<saved>\d+) saved layers|You are trying to load a weight file .{0,60}layers",
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
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "lazy-build",
                    confidence=0.82,
                    why="the layer has no variables yet: it is not built",
                    remedy="Build the model (call it once) before loading.",
                ),
                look.entry.guess(look, confidence=0.5),
                look.entry.guess(look, "custom-object", confidence=0.4),
            ]
            if any(look.facts().get(k) == "0" for k in ("want", "want2", "want3"))
            else [
                look.entry.guess(
                    look,
                    "version-mismatch",
                    confidence=0.62,
                    why="the layer's class keeps another number of weights in this version of the code or library",
                ),
                look.entry.guess(look, "missing-tensor", confidence=0.62),
                look.entry.guess(look, "shape-mismatch", confidence=0.45),
            ]
        ),
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
            "has not created its variables yet",
            "unable to load weights saved in hdf5 format into a subclassed",
            "has not been built",
            "weights for model",
            "not yet been called",
            "is not built",
            "was never built",
        ),
        r"subclassed Model which has not created its variables yet|(?:[Ww]eights for model .{0,60}"
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
            "could not be located",
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
            "the filename must end in",
            "accessible `.keras` zip",
            "file not found: filepath",
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
        ("no model config found", "no model found in config", "cannot create group in read"),
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
        ("axes don't match array", "'dataset' object has no attribute"),
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
            "the shape of the target variable",
            "not compatible with provided weight shape",
            "cannot be assigned",
            "dimension 0 in both shapes must be equal",
            "the target variable and the shape of the target value",
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
        context=("keras", "load_weights", "checkpoint", "load_own_variables", "assign", "tensorflow"),
        only_in=True,
        example=(
            "  in load_weights\nValueError: Layer weight shape (3, 3, 3, 64) not compatible with provided weight "
            "shape (3, 3, 1, 64)"
        ),
    ),
    Entry(
        "keras-not-serialisable",
        "unserialisable",
        (
            "get_config",
            "not json serializable",
            "is not serializable",
            "cannot be serialized",
            "deepcopy",
            "_serialize_model",
        ),
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
        ("safe_mode", "enable_unsafe_deserialization", "lambda` layer", "loading a lambda"),
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
            "used more than once",
        ),
        r"Unable to (?:create|synchronously create) (?:dataset|link|group) \(name already exists\)"
        r"|The name \"(?P<name>[\w/.]+)\" is used \d+ times in the model|All layer names should be unique",
        why="two layers or weights of the model have the same name, and the file can hold one",
        remedy="Give the layers names of their own.",
        also=("unserialisable",),
        weight=0.85,
        example="RuntimeError: Unable to create link (name already exists)",
    ),
)
