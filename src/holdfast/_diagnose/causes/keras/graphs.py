"""Keras: models called in another graph or session than they were loaded in; symbolic calls while a model is made anew.

Messages: tensorflow/python/framework/ops.py, keras/src/layers/input_spec.py, keras/src/ops/{operation,function}.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

ENTRIES = (
    Entry(
        "keras-other-graph",
        "graph-lifecycle",
        ("is not an element of this graph",),
        r"Tensor Tensor\(\"(?P<name>[^\"]+)\".{0,80}?\) is not an element of this graph",
        why="the model was loaded in one thread (or graph) and is called in another, whose graph does not hold `{name}`",
        remedy="Load and predict in one thread; or keep graph and session (`with graph.as_default(), session.as_default():`).",
        weigh=ranked(("graph-lifecycle", 0.8), ("concurrency", 0.6), ("version-mismatch", 0.34)),
        where=loading_or_alone,
        example='ValueError: Tensor Tensor("probs/Softmax:0", shape=(?, 3), dtype=float32) is not an element of this graph.',
    ),
    Entry(
        "keras-rebuilt-call",
        "version-mismatch",
        (
            "kernel shape must have the same length as input",
            "input(s), but it received",
            "input(s). received",
            "a kerastensor cannot be used as input to a tensorflow function",
            "can be added to a sequential model",
            "added layer must be an instance of class layer",
            "the added layer must be an instance of class layer",
        ),
        r"Kernel shape must have the same length as input, but received kernel of shape"
        r"|expects \d+ input\(s\), but it received \d+ input tensors\. Inputs received: \[<KerasTensor"
        r"|expected \d+ input\(s\)\. Received \d+ instead"
        r"|A KerasTensor cannot be used as input to a TensorFlow function"
        r"|Only instances of `?keras\.Layer`? can be added to a Sequential model"
        r"|added layer must be an instance of class Layer\.",
        why="the model is made anew by code of another generation of Keras than it was saved with (or that was mixed with it)",
        remedy=(
            "Load it with `tf_keras` (Keras 2: TF_USE_LEGACY_KERAS=1), import everything from one of `keras` and `tf.keras`, "
            "or build the model in code and load the weights alone."
        ),
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.5), ("format-mismatch", 0.46)),
        where=loading_or_alone,
        example=(
            'ValueError: Layer "head" expects 1 input(s), but it received 2 input tensors. Inputs received: [<KerasTensor '
            "shape=(None, 8), dtype=float32, name=a>, <KerasTensor shape=(None, 8), dtype=float32, name=b>]"
        ),
    ),
    Entry(
        "savedmodel-call-signature",
        "version-mismatch",
        ("missing 1 required argument", "required arguments"),
        r"\w+\((?:[\w.*, ]+)?\) missing (?:1 required argument|required arguments): (?P<names>[\w, ]+)",
        why=(
            "a function traced into the SavedModel wants {names}, which is not given: it was saved again after "
            "loading, or by another version"
        ),
        remedy=(
            "Save the model that the code builds, with its weights loaded, instead of the one that was loaded; "
            "name the arguments."
        ),
        weigh=ranked(("version-mismatch", 0.62), ("custom-object", 0.56), ("graph-lifecycle", 0.5)),
        where=loading_or_alone,
        example="model = tf.saved_model.load(path)\nTypeError: call(inputs, training) missing 1 required argument: training",
    ),
    Entry(
        "keras-loaded-in-a-server",
        "graph-lifecycle",
        ("flask", "django", "gunicorn", "celery", "multiprocess", "fastapi", "uwsgi", "in a thread"),
        r"load_model\W{0,3}.{0,40}?\b(?:fail|error|hang|stuck|stay|freez|block|not work|can not work|cannot work)\w*.{0,60}?"
        r"\b(?:flask|django|gunicorn|celery|multiprocess\w*|fastapi|uwsgi|in a thread)",
        why="the model is loaded in another thread or process than uses it, each with a graph and session of its own",
        remedy="Load inside the worker that predicts (after the fork), once; keep graph and session with the model.",
        weigh=ranked(("graph-lifecycle", 0.6), ("concurrency", 0.56), ("memory", 0.3)),
        example="load_model hangs under gunicorn",
    ),
    Entry(
        "keras-layer-uninitialised",
        "graph-lifecycle",
        ("attempting to use uninitialized value",),
        r"Attempting to use uninitialized value (?P<name>(?:\w+/)?(?:conv\w*|dense|lstm|gru|embedding|batch_\w+|time_\w+"
        r"|bidirectional|simple_rnn|merge)_\d+(?:_W_\d+|_b_\d+|/(?:kernel|bias|gamma|beta|embeddings|recurrent_kernel)))\b",
        why="`{name}` is a Keras layer's, loaded in Keras' own session and read in another, which never set it",
        remedy=(
            "Use Keras' session (`K.get_session()`, or `K.set_session(sess)` before the model is loaded); do not "
            "initialise anew."
        ),
        weigh=ranked(("graph-lifecycle", 0.95), ("missing-tensor", 0.8), ("lazy-build", 0.36)),
        example="FailedPreconditionError: Attempting to use uninitialized value dense_4/kernel",
    ),
)
