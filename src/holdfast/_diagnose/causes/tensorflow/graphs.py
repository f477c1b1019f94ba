"""TensorFlow: graphs, sessions, scopes and devices around a restore."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked


def devices_or_tasks(look: Look) -> list[Guess]:
    """A device of this machine, or a task of a cluster."""
    if not re.search(r"/job:(?:ps|worker|chief|master)", look.reading.text):
        return [look.entry.guess(look)]
    if "device:tpu" in look.reading.lower and re.search(
        r"available devices are \[ ?/job:localhost", look.reading.flat
    ):
        why = "the graph was saved for TPUs, and this process has none"
        return [
            look.entry.guess(look, why=why),
            look.entry.guess(look, "topology", confidence=0.7, why="and names tasks of a cluster"),
        ]
    why = "the graph names tasks of a cluster (`/job:ps`, `/job:worker`) that this process is not part of"
    return [
        look.entry.guess(look, "topology", confidence=0.87, why=why),
        look.entry.guess(look, confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "strategy-without-context",
        "topology",
        ("has no attribute 'merge_call'",),
        r"has no attribute 'merge_call'",
        why="values are set where this distribution strategy has no replica context: a model or its optimizer is "
        "loaded inside the "
        "strategy's scope in a version that cannot do that",
        remedy="Build the model in the scope and load its weights only, or load it outside; newer versions load inside "
        "the scope.",
        weigh=ranked(("topology", 0.88), ("version-mismatch", 0.82), ("optimizer-structure", 0.4)),
        example="AttributeError: 'NoneType' object has no attribute 'merge_call'",
    ),
    Entry(
        "tf-changed-while-written",
        "concurrency",
        ("modified concurrently during serialization", "byte_size_after_serialization"),
        r"modified concurrently during serialization|byte_size_after_serialization",
        why="the graph changed while it was written: another thread adds operations, or it is larger than 2 GB",
        remedy="Finish the graph first (graph.finalize()), and save from one thread; save without the graph "
        "(write_meta_graph=False).",
        weigh=ranked(("concurrency", 0.74), ("size-limit", 0.72), ("graph-lifecycle", 0.6)),
        example="CHECK failed: tensorflow.GraphDef was modified concurrently during serialization.",
    ),
    Entry(
        "tf-value-not-fed",
        "graph-lifecycle",
        ("you must feed a value for placeholder",),
        r"(?:restore\(|import_meta_graph|load_model|saved_model"
        r"|save/).{0,600}?You must feed a value for placeholder tensor '(?P<node>[\w/.]+)'"
        r"|You must feed a value for placeholder tensor '(?P<node2>[\w/.]+)'.{0,600}?(?:restore\(|import_meta_graph"
        r"|load_model|saved_model"
        r"|save/)",
        why="what is run or restored depends on the placeholder `{node}`: an initial value that is fed, or an input of "
        "the imported graph "
        "beside the one that was built",
        remedy="Take inputs and outputs from the imported graph by their names (get_tensor_by_name), and feed those.",
        weigh=ranked(("graph-lifecycle", 0.74), ("renamed", 0.6), ("missing-tensor", 0.5)),
        example="saver = tf.train.import_meta_graph(m)\nInvalidArgumentError: You must feed a value for placeholder "
        "tensor 'x' with dtype float",
    ),
    Entry(
        "tf-pairing-of-scopes",
        "renamed",
        ("assignment map with scope only name",),
        r"Assignment map with scope only name (?P<a>\S+) should map to scope only (?P<b>\S+)",
        why="the map of names pairs a scope (`{a}`) with a single variable, or ends one of both without a slash",
        remedy="Pair scopes with scopes, both with a slash at the end (`{{'old/': 'new/'}}`), or single names with single names.",
        weigh=ranked(("renamed", 0.88), ("missing-tensor", 0.5), ("version-mismatch", 0.3)),
        example="ValueError: Assignment map with scope only name a should map to scope only b/w. Should be 'scope/': "
        "'other_scope/'.",
    ),
    Entry(
        "tf-initialisers-in-a-strategy",
        "topology",
        ("tensor-typed variable initializers",),
        r"Tensor-typed variable initializers must either be wrapped in an init_scope or callable",
        why="values of a checkpoint are given as initialisers (init_from_checkpoint) inside a distribution strategy or "
        "a function, where "
        "variables must be made from callables",
        remedy="Build the variables first, then `tf.train.Checkpoint.restore`, or assign the values in the strategy's scope.",
        weigh=ranked(("topology", 0.7), ("graph-lifecycle", 0.68), ("version-mismatch", 0.64)),
        example="ValueError: Tensor-typed variable initializers must either be wrapped in an init_scope or callable",
    ),
    Entry(
        "tf-device",
        "device-mismatch",
        (
            "cannot assign a device",
            "could not satisfy explicit device",
            "place the graph",
            "cannot colocate nodes",
        ),
        r"Cannot assign a device (?:to node|for (?:operation|node)) '?\{?\{?(?:node )?(?P<node>[\w/.]+)"
        r"|Could not satisfy explicit device specification '(?P<device>[^']+)'"
        r"|Failed to place the graph without changing the devices"
        r"|Cannot colocate nodes .{1,400}?no device type supports",
        why="the graph that was saved names devices that this process does not have",
        remedy="Import it with `clear_devices=True`, or set `allow_soft_placement=True`.",
        weigh=devices_or_tasks,
        weight=0.92,
        example=(
            "InvalidArgumentError: Cannot assign a device to node 'v': Could not satisfy explicit device "
            "specification '/device:GPU:0' because no devices matching that specification are registered"
        ),
    ),
    Entry(
        "tf-graph-finalized",
        "graph-lifecycle",
        ("graph is finalized", "_check_not_finalized"),
        r"Graph is finalized and cannot be modified|_check_not_finalized\(\)",
        why=(
            "operations are added after the graph was finalised (a restore or a Saver built inside a session that "
            "Supervisor or MonitoredSession owns)"
        ),
        remedy=(
            "Make the Saver and the assigning operations before the session; run them in `init_fn` through "
            "placeholders."
        ),
        weight=0.95,
        example="RuntimeError: Graph is finalized and cannot be modified.",
    ),
    Entry(
        "tf-session-closed",
        "graph-lifecycle",
        (
            "attempted to use a closed session",
            "is not an element of this graph",
            "no variables to save",
            "must be from the same graph",
            "is not an element",
        ),
        r"Attempted to use a closed Session|is not an element of this graph|No variables to save"
        r"|must be from the same graph|Tensor .{1,80} is not an element",
        why=(
            "graph and session are not those in which the variables live (built later, reset, or another default "
            "graph)"
        ),
        remedy="Make variables, then the Saver, then the session, all in one graph.",
        weight=0.85,
        context=(
            "saver",
            "restore",
            "save",
            "load_model",
            "predict",
            "import_meta_graph",
            "import_graph_def",
        ),
        only_in=True,
        example="ValueError: No variables to save\n  saver = tf.train.Saver()",
    ),
    Entry(
        "tf-variable-scope",
        "graph-lifecycle",
        (
            "already exists, disallowed",
            "was not created with tf.get_variable",
            "converting graphdef to graph has failed",
            "the session graph is empty",
        ),
        (
            r"Variable (?P<name>[\w/.]+) (?:already exists, disallowed"
            r"|does not exist, or was not created with tf\.get_variable)|Converting GraphDef to Graph has failed"
            r"|The Session graph is empty"
        ),
        why="the graph is built twice, or in another scope than before",
        remedy="Build it once in a fresh graph (`tf.Graph().as_default()`), then make the Saver.",
        also=("renamed", "missing-tensor"),
        weight=0.72,
        example=(
            "ValueError: Variable conv/weights already exists, disallowed. Did you mean to set reuse=True in "
            "VarScope?"
        ),
    ),
    Entry(
        "tf-two-of-one-name",
        "graph-lifecycle",
        ("two variables have the same name",),
        r"two variables have the same name: (?P<tensor>[\w/.:\-]+)",
        why="the graph holds two variables by the name `{tensor}`: the model was built or imported twice (a cell of a "
        "notebook that "
        "ran again), or the list for the Saver names one twice",
        remedy="Build once in a fresh graph (tf.reset_default_graph()); give the Saver each variable once.",
        weigh=ranked(("graph-lifecycle", 0.88), ("renamed", 0.78), ("version-mismatch", 0.6)),
        example="ValueError: At least two variables have the same name: a/kernel/Adam",
    ),
    Entry(
        "tf-frozen-in-a-saver",
        "graph-lifecycle",
        (
            "not a variable: tensor(",
            "not a variable: tf.tensor(",
        ),
        r"Not a variable: Tensor\(\"?(?P<tensor>[\w/.:\-]+)?|Not a variable: tf\.Tensor\(",
        why="the Saver was given a tensor (`{tensor}`): the graph was imported frozen, so that its weights are "
        "constants and no variables",
        remedy="Build the model in code (or import its `.meta`), then make the Saver from its variables.",
        weigh=ranked(("graph-lifecycle", 0.68), ("format-mismatch", 0.66), ("version-mismatch", 0.5)),
        example="TypeError: names_to_saveables must be a dict mapping string names to Tensors/Variables. Not a "
        'variable: Tensor("a:0")',
    ),
    Entry(
        "tf-assign-rank",
        "shape-mismatch",
        (
            "must be equal rank",
            "must be rank",
        ),
        r"(?:Shapes must be equal rank, but are (?P<model>\d+) and (?P<checkpoint>\d+)|Shape must be rank \d+ but is rank \d+)"
        r"[^\[]{0,120}?(?:'(?:\w+/)*(?:save|Assign)|op: 'Assign)",
        why="a weight has {model} axes in the model, and {checkpoint} in the file: another kind of layer, or values in "
        "another order",
        remedy="Build the same layers in the same order; pair values by name, not by position.",
        weigh=ranked(("shape-mismatch", 0.88), ("renamed", 0.6), ("graph-lifecycle", 0.5)),
        test="names",
        example="ValueError: Shapes must be equal rank, but are 1 and 2 for 'Assign_3' (op: 'Assign') with input "
        "shapes: [8], [4,8].",
    ),
    Entry(
        "strategy-scope",
        "topology",
        ("under the scope for", "tf.distribute.strategy", "mirroredvariable", "replica context", "trategy"),
        r"under the scope for\s+\"?\s*\"?tf\.distribute\.Strategy"
        r"|must specify an aggregation method to update a MirroredVariable|strategy scope.{0,120}(?:different"
        r"|same|create|restor)|not in cross-replica context",
        why="variables of a distribution strategy are restored or made outside of its scope",
        remedy="Build the model, and restore, inside `with strategy.scope():`.",
        also=("lazy-build", "version-mismatch", "optimizer-structure"),
        weight=0.85,
        example="ValueError: You must specify an aggregation method to update a MirroredVariable in Tower Context",
    ),
    Entry(
        "tf-name-taken",
        "graph-lifecycle",
        (
            "cannot add op with name",
            "already used",
            "already exists in the graph",
            "duplicate node name",
            "already defined in the graph",
        ),
        r"cannot add op with name (?P<name>\S+)|as that name is already used"
        r"|already exists in the graph|duplicate node name|already defined in the graph",
        why="the saved graph is imported into one that holds the same names already",
        remedy=(
            "Import into a fresh graph (`tf.reset_default_graph()`, or `with tf.Graph().as_default():`), "
            "or restore into the model that the code built."
        ),
        also=("renamed",),
        weight=0.88,
        example="ValueError: cannot add op with name a/b/Adam as that name is already used",
    ),
)
