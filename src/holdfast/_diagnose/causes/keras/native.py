"""Keras: what stands in the way of an object's config, and a path given for a model.

Messages: keras/src/saving/{object_registration,saving_lib}.py, keras/src/legacy/saving/*.py, tensorflow/lite/python/lite.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked

ENTRIES = (
    Entry(
        "keras-registered-without-config",
        "unserialisable",
        ("cannot register a class that does not have a get_config",),
        "",
        why="a class is registered for saving that has no `get_config`, so that it cannot be written",
        remedy="Give it `get_config` (and `from_config` where its arguments are objects); a plain function is "
        "registered as it is.",
        weigh=ranked(("unserialisable", 0.76), ("custom-object", 0.72), ("version-mismatch", 0.36)),
        example="ValueError: Cannot register a class that does not have a get_config() method.",
    ),
    Entry(
        "keras-class-for-an-object",
        "unserialisable",
        ("get_config() missing 1 required positional", "from_config() missing 1 required positional"),
        r"(?P<name>get_config|from_config)\(\) missing 1 required positional argument",
        why="a class was given where an object is wanted (an optimizer, a loss, a metric, a layer without "
        "brackets), or an object of "
        "another Keras: its `{name}` is called on the class",
        remedy="Give an object (`Adam()`, not `Adam`), and take all parts from one Keras (`tensorflow.keras`, or `keras`).",
        weigh=ranked(("unserialisable", 0.8), ("version-mismatch", 0.66), ("custom-object", 0.56)),
        example="TypeError: get_config() missing 1 required positional argument: 'self'",
    ),
    Entry(
        "keras-name-of-built-in",
        "custom-object",
        ("likely due to name conflict",),
        r"Unable to restore object of class '(?P<name>\w+)' likely due to name conflict",
        why="the class `{name}` of the program has the name of one of Keras' own, and the wrong one was taken",
        remedy="Rename it, or register it with a package: `@keras.saving.register_keras_serializable(package=...)`.",
        weigh=ranked(("custom-object", 0.86), ("renamed", 0.5), ("version-mismatch", 0.44)),
        example="RuntimeError: Unable to restore object of class 'Recall' likely due to name conflict with built-in Keras class",
    ),
    Entry(
        "keras-path-for-a-model",
        "format-mismatch",
        ("'str' object has no attribute '",),
        r"'str' object has no attribute '(?P<name>call|inputs?|outputs?|_get_save_spec|get_config|to_json|state_dict|layers"
        r"|_is_graph_network|_keras_history|save|signatures|_set_save_spec)'",
        why="the call wants the model itself, and was given a text: the path of its file (`{name}` is asked of it)",
        remedy="Load the model first (`model = keras.models.load_model(path)`), and give the object.",
        context=("from_keras_model", "_def_function", "save_keras_model", "keras.model", ".h5", ".keras", "tflite", "convert"),
        only_in=True,
        weigh=ranked(("format-mismatch", 0.78), ("version-mismatch", 0.5), ("not-found", 0.42)),
        example="converter = TFLiteConverter.from_keras_model('m.h5')\nAttributeError: 'str' object has no attribute 'call'",
    ),
    Entry(
        "keras-archive-without-weights",
        "version-mismatch",
        ("expected a model.weights.", "local variable 'weights_store'"),
        r"Expected a model\.weights\.h5 or model\.weights\.npz file|local variable 'weights_store'",
        why="the `.keras` archive holds no weights this Keras knows the name of: another version wrote it, or its "
        "writing was cut short",
        remedy="List it (`unzip -l model.keras`): with `model.weights.h5` in it, load with the Keras that `metadata.json` names; "
        "without, save the model again.",
        weigh=ranked(("version-mismatch", 0.68), ("format-mismatch", 0.66), ("incomplete-save", 0.5)),
        example="ValueError: Expected a model.weights.h5 or model.weights.npz file.",
    ),
    Entry(
        "keras-lambda-of-another-module",
        "unserialisable",
        ("but a lambda layer uses it",),
        r"(?P<name>[\w.]+) is not loaded, but a Lambda layer uses it",
        why="a Lambda layer holds a function of `{name}`, which is not imported: the file has its name and not its code",
        remedy="Import `{name}` before loading, give it by `custom_objects`, or make the Lambda a layer of its own.",
        weigh=ranked(("unserialisable", 0.76), ("custom-object", 0.74), ("version-mismatch", 0.46)),
        example="UserWarning: mine.pooling is not loaded, but a Lambda layer uses it. It may cause errors.",
    ),
)  # fmt: skip
