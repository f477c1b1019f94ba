"""Keras: ``load_model`` and ``save``, classes and configs."""

from __future__ import annotations

import re

from ...concerning import of_no_service
from ...knowledge import Entry, Guess, Look
from ...where import storing_or_alone


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


def whose_module(look: Look) -> list[Guess]:
    """A module of the library, or of the user's own code."""
    if look.match["module"].startswith(("keras", "tensorflow", "tf_keras")):
        return [
            look.entry.guess(look, confidence=0.97),
            look.entry.guess(look, "custom-object", confidence=0.5),
        ]
    return [
        look.entry.guess(
            look,
            "custom-object",
            confidence=0.97,
            why="the class `{name}` of your own module `{module}` cannot be imported here".format_map(
                look.facts()
            ),
            remedy="Put that module on the path, or register the class.",
        )
    ]


_REBUILDS = re.compile(
    r"\b(?:deserialize\w*|get_from_module|from_config|model_from_\w+|load_\w+|custom_object\w*)\b|revive"
)


def unless_parent_module(look: Look) -> list[Guess]:
    """Where a model is made anew, or the message stands alone. Of a class whose module is gone, another entry tells more."""
    text = look.reading.text
    rebuilt = _REBUILDS.search(text) is not None and "in compile" not in text and "compile(" not in text
    here = look.around.loading or look.around.alone or rebuilt
    return [look.entry.guess(look)] if here and "because its parent module" not in look.reading.lower else []


ENTRIES = (
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
            "invalid layer",
            "invalid loss",
            "invalid objective",
            "invalid optimizer",
            "invalid activation",
            "invalid initialization",
            "invalid regularizer",
            "invalid metric",
        ),
        r"Invalid (?:metric|layer|loss|objective|optimizer|activation(?: function)?|initialization|regularizer): (?P<name3>\w+)"
        r"|Unknown (?P<kind>layer|loss(?: ?function)?|metric ?(?:function)?|object|activation(?: ?function)?"
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
        weigh=unless_parent_module,
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
        ("unrecognized keyword arguments",),
        r"Unrecognized keyword arguments(?: passed to (?P<layer>[A-Z]\w+))?: ?(?P<what>\{[^}]*\}|\['[^\]]*\])",
        why="the saved config (of {layer}) has an argument that this version does not take: {what}",
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
        "keras-not-serialisable",
        "unserialisable",
        ("get_config", "cannot be serialized", "deepcopy", "object of type", "erializable"),
        r"NotImplementedError: .{0,160}get_config"
        r"|Layers? with arguments in `?__init__`? must (?:therefore )?override `?get_config`?"
        r"|not JSON serializable|in get_config .{0,400}deepcopy"
        r"|get_config\(\).{0,400}(?:deepcopy|copier)|cannot be serialized",
        why=(
            "something in the model's config cannot be written: a layer without `get_config`, a tensor or array or "
            "object as an argument (of a Lambda)"
        ),
        remedy=(
            "Give the layer a `get_config` of plain values, or save the weights alone; `holdfast isolate` names the "
            "part."
        ),
        where=storing_or_alone,
        weigh=of_no_service,
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
            "and thus it is disallowed by default",
        ),
        r"(?:Requested the deserialization of|deserializ\w+ of) a `?Lambda`?(?: layer)?|and thus it is disallowed by default"
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
        r"bad marshal data\b\W{0,2}(?P<what>[\w ]*)",
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
        weigh=whose_module,
        example=(
            "TypeError: Could not deserialize class 'Functional' because its parent module "
            "keras.src.engine.functional cannot be imported."
        ),
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
)
