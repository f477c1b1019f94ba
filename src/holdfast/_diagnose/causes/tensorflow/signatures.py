"""SavedModels: functions and signatures, as they are exported and as they are called.

Messages: tensorflow/python/saved_model/{save,signature_serialization,function_serialization,function_deserialization}.py,
tensorflow/python/eager/{function,polymorphic_function}, keras/src/export, tensorflow_hub.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone, storing_or_alone

ENTRIES = (
    Entry(
        "savedmodel-name-of-signature",
        "format-mismatch",
        (
            "is missing from meta graph",
            "could not find signature",
            "when using a signature, either output_key",
        ),
        r"Signature '?(?P<name>\w+)'? is missing from meta graph|Could not find signature \"?(?P<name2>\w+)\"?"
        r"|When using a signature, either output_key",
        why="the saved model is called by a signature (`{name}`) that it does not have, or that gives something else than "
        "is taken",
        remedy="`saved_model_cli show --all --dir DIR` lists them (in Python `model.signatures`); name one of "
        "these, and its output.",
        weigh=ranked(("format-mismatch", 0.86), ("version-mismatch", 0.6), ("missing-tensor", 0.3)),
        example="ValueError: Signature 'default' is missing from meta graph.",
    ),
    Entry(
        "savedmodel-untracked",
        "unserialisable",
        (
            "tried to export a function which references",
            "to an attribute of a tracked object",
            "failed to add concrete function",
            "unsupported or not reachable from root",
            "found an untracked dependency",
            "one or more dependency cycle",
            "cycle in the deserialization",
        ),
        "",
        why="a function that is exported uses a variable, table or dataset that no attribute of the saved object leads "
        "to",
        remedy=(
            "Assign it to an attribute of the module in `__init__` (not in a class body, a global or a plain list), "
            "and save "
            "that module; a summary writer needs `experimental_trackable=True`."
        ),
        also=("graph-lifecycle", "custom-object"),
        weight=0.93,
        example=(
            "AssertionError: Tried to export a function which references an 'untracked' resource. TensorFlow objects "
            "captured "
            "by functions must be 'tracked'"
        ),
    ),
    Entry(
        "savedmodel-cannot-export",
        "unserialisable",
        (
            "non-flat/non-unique argument names",
            "unable to save gradient functions",
            "error when tracing gradients for savedmodel",
            "cannot save custom gradient",
            "tensorflow function for which to generate a signature",
            "functions with an input signature or concrete functions can be used",
            "used to generate the savedmodel signature",
            "unable to serialize concrete_function",
            "cannot be exported as signatures",
            "can not serialize tf.function",
            "this is a reserved attribute used to store savedmodel signatures",
            "which has an attribute named 'signatures'",
            "unable to export savedmodel with object",
            "invalid resource type. expected a keras",
            "expected all elements in `variables` to be",
            "from non-whitelisted namespaces",
            "from untrusted custom ops namespaces",
            "from non-allowed namespaces",
            "cannot be converted to a signature",
            "invalid signature",
            "are insufficient to compute its output keys",
            "no endpoints have been set yet",
            "you must provide an `input_signature` argument",
            "models passed to `save` can only have",
            "only have `training` and the first argument",
            "can only have `training` and the first argument",
        ),
        "",
        why="what is to be exported as a function cannot be written: its arguments or outputs are no plain tensors "
        "with names, "
        "it was never traced, or it uses what a SavedModel does not hold",
        remedy="Export a `tf.function` with an `input_signature` whose outputs are a tensor or a dictionary of "
        "tensors; save the "
        "weights otherwise (`save_weights`).",
        where=storing_or_alone,
        also=("custom-object", "version-mismatch"),
        weight=0.86,
        example="ValueError: Got a non-Tensor value None for key output_1 in the output of the function f used to "
        "generate the "
        "SavedModel signature serving_default.",
    ),
    Entry(
        "savedmodel-called-otherwise",
        "format-mismatch",
        (
            "signature",
            "serving",
            "neither an attribute of the reloaded savedmodel",
            "expected argument names",
            "can only be called with keyword arguments",
            "'default'",
        ),
        r"signature_wrapper\(.{0,200}(?:missing|got|expected|takes)|neither an attribute of the reloaded SavedModel"
        r"|(?:signature|serving\w*)\w*\(.{0,120}takes 0 positional arguments|Expected argument names|"
        r"KeyError:? ?\(?'(?P<name>serving_default|default)'|signature.{0,200}got an unexpected keyword argument"
        r"|can only be called with keyword arguments|Unknown signature \S+|(?<!file )(?:signature|Signature)(?: name"
        r"| key| def)*[:\s]{1,2}\S{0,40} ?(?:was )?not found\b"
        r"|signature_serialization\.py.{0,300}?KeyError|expected '\w+' signature|[Nn]o signature|available signatures"
        r"|[Ii]nvalid signature",
        why="the SavedModel has other signatures, or signatures with other argument names, than it is called with",
        remedy="`saved_model_cli show --all --dir DIR` lists them; call by name: `f(input_1=x)`, and take the outputs "
        "by name.",
        weigh=ranked(("format-mismatch", 0.72), ("version-mismatch", 0.58), ("preprocessing", 0.45)),
        where=storing_or_alone,
        example="KeyError: 'serving_default'\n  f = loaded.signatures['serving_default']",
    ),
    Entry(
        "savedmodel-function-gone",
        "version-mismatch",
        (
            "keyerror: '__inference_",
            "keyerror: <tf.tensor",
            "keyerror: <tensorflow",
            "keyerror: b'__inference_",
        ),
        r"KeyError: b?'(?P<name>__inference_\w+)'|KeyError: <(?:tf\.Tensor|tensorflow)\S* ?'(?P<name2>[\w/:.]+)'",
        why="the graph of the SavedModel refers to `{name}`, which this version does not find in it: saved by another "
        "version, "
        "or changed after it was saved",
        remedy="Load with the TensorFlow that saved; save again after all changes of the model (quantising, wrapping, "
        "freezing).",
        weigh=ranked(("version-mismatch", 0.72), ("custom-object", 0.55), ("graph-lifecycle", 0.5)),
        where=storing_or_alone,
        example="  model = tf.saved_model.load(path)\nKeyError: '__inference_conv_layer_call_fn_1'",
    ),
    Entry(
        "hub-other-generation",
        "format-mismatch",
        (
            "missing implementation that supports: loader",
            "hub.",
            "tensorflow hub",
            "is not a hub module",
        ),
        r"Missing implementation that supports: loader|(?:hub\.(?:Module|load|KerasLayer)|TensorFlow Hub).{0,200}?"
        r"(?:not (?:compatible|supported|a valid)|TF ?[12]\b.{0,40}(?:format|module|saved_?model)|expects? a)"
        r"|is not a Hub module",
        why="the module is of TensorFlow Hub's other format (TF1 hub module, TF2 SavedModel) than the call reads, or "
        "its folder "
        "is not whole",
        remedy="TF1 format: `hub.Module`; TF2 SavedModel: `hub.load` / `hub.KerasLayer`; look into the folder "
        "(`saved_model.pb`, `tfhub_module.pb`).",
        weigh=ranked(("format-mismatch", 0.8), ("not-found", 0.55), ("version-mismatch", 0.52)),
        where=storing_or_alone,
        example="RuntimeError: Missing implementation that supports: loader(*('mobilenet_module',), **{})",
    ),
    Entry(
        "savedmodel-type-given",
        "dtype-mismatch",
        (
            "expects arg[",
            "was expected to be a ",
            "expected to be of type",
            "does not match type",
            "but got a",
        ),
        r"Expects arg\[\d+\] to be (?P<want>\w+) but (?P<got>\w+) is provided"
        r"|was expected to be a (?P<want2>\w+) tensor but is a (?P<got2>\w+) tensor",
        why="the loaded model wants {want} and is given {got}",
        remedy="Cast what is given (`tf.cast(x, tf.float32)`), or set the number type before the model is built.",
        where=loading_or_alone,
        also=("preprocessing", "version-mismatch"),
        weight=0.8,
        example="Loading servable: {name: a} failed: Invalid argument: Expects arg[0] to be float but half is provided",
    ),
    Entry(
        "savedmodel-free-arguments",
        "version-mismatch",
        ("required argument: ", "required arguments: "),
        r"TypeError: \w+\([^)]{0,300}?\*[^)]{0,300}?\) missing \d+ required arguments?: ",
        why="a layer's `call` takes free arguments (`*args`, `**kwargs`), which a SavedModel cannot keep",
        remedy="Write the arguments of `call` out (`def call(self, inputs, training=None)`); or give the class in "
        "`custom_objects`.",
        where=storing_or_alone,
        weigh=ranked(("version-mismatch", 0.78), ("unserialisable", 0.74), ("custom-object", 0.5)),
        example="load_model('m')\nTypeError: f(inputs, training, training, *, training) missing 1 required argument: "
        "training",
    ),
    Entry(
        "savedmodel-no-such-signature",
        "format-mismatch",
        ("signature_serialization.py",),
        r"signature_serialization\.py.{0,300}?KeyError",
        why="the SavedModel has no signature of that name",
        remedy="`saved_model_cli show --all --dir DIR` lists them; export with `signatures=`.",
        also=("version-mismatch", "renamed"),
        weight=0.84,
        example="  File \"saved_model/signature_serialization.py\", line 19, in __getitem__\nKeyError: 'serving'",
    ),
)
