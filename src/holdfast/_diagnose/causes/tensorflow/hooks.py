"""TensorFlow 1: hooks, scaffolds, savers and graphs that are put together in the wrong order; warm starts by names.

Messages: tensorflow/python/training/{basic_session_run_hooks,monitored_session,saver,training_util,warm_starting_util,
session_manager}.py, tensorflow/contrib/framework/python/ops/variables.py, tensorflow/python/framework/importer.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing

ENTRIES = (
    Entry(
        "tf-saver-and-scaffold",
        "graph-lifecycle",
        (
            "to use checkpointsaverhook",
            "collection savers",
            'collection "savers',
            "provide both saver and scaffold",
            "should be called before save if defer_build",
            "then build cannot be deferred",
            "provide both checkpoint_dir and checkpoint_filename",
        ),
        r"Global step should be created to use CheckpointSaverHook|(?:No"
        r"|More than one) items? in (?:the )?collection \"?savers"
        r"|provide both saver and scaffold|should be called before save if defer_build|then build cannot be deferred"
        r"|provide both checkpoint_dir and checkpoint_filename",
        why="what saves was made before the graph is complete, or twice: the Saver, the global step or the "
        "Scaffold that the hook "
        "counts on is not there, or not one",
        remedy="Build the model with `tf.compat.v1.train.get_or_create_global_step()`, then one Saver, and give it "
        "once: "
        "`Scaffold(saver=saver)` or `CheckpointSaverHook(folder, saver=saver)`.",
        weigh=ranked(("graph-lifecycle", 0.84), ("version-mismatch", 0.44), ("resume-state", 0.4)),
        example="RuntimeError: Global step should be created to use CheckpointSaverHook.",
    ),
    Entry(
        "tf-global-step-twice",
        "graph-lifecycle",
        (
            '"global_step" already exists',
            "multiple items in collection global_step",
            "tensors in global_step collection",
        ),
        "",
        why="the graph holds the step counter already: it was imported, or the model is built twice in one graph",
        remedy="`tf.compat.v1.train.get_or_create_global_step()`, in a fresh graph for each model.",
        where=storing,
        weigh=ranked(("graph-lifecycle", 0.72), ("renamed", 0.5), ("resume-state", 0.46)),
        example='saver.restore(sess, path)\nValueError: "global_step" already exists.',
    ),
    Entry(
        "tf-graph-of-newer-make",
        "version-mismatch",
        ("built when graphdef version was",),
        r"built when GraphDef version was (?P<here>\d+)",
        why="the saved graph is of another TensorFlow than reads it (GraphDef version {here} here), further apart "
        "than it "
        "promises to read",
        remedy="Load it with the TensorFlow that saved, or a newer one; restore the values alone into a graph that "
        "the code builds.",
        weigh=ranked(("version-mismatch", 0.95), ("graph-lifecycle", 0.4), ("custom-object", 0.34)),
        example="ValueError: The binary trying to import the GraphDef was built when GraphDef version was 21. The "
        "GraphDef was "
        "produced by a binary built when GraphDef version was 134.",
    ),
    Entry(
        "tf-frozen-already",
        "graph-lifecycle",
        ("cannot freeze a graph twice", "the model was frozen previously"),
        "",
        why="the graph has no variables: its weights are constants already, so that there is nothing to put a "
        "checkpoint's "
        "values into",
        remedy="Use the graph as it is; to freeze another checkpoint start from the graph that was trained "
        "(`.meta`).",
        weigh=ranked(("graph-lifecycle", 0.9), ("format-mismatch", 0.6), ("missing-tensor", 0.4)),
        example="ValueError: It is likely the model was frozen previously. You cannot freeze a graph twice.",
    ),
    Entry(
        "tf-one-value-two-devices",
        "device-mismatch",
        ("tensors of a saveable object must be on the same device",),
        r"tensors of a saveable object must be on the same device: (?P<tensor>\S+)",
        why="the parts of one saved value (`{tensor}`) lie on different devices or servers, and one operation has "
        "to save them",
        remedy="Make the variable's parts under one `tf.device`, or save each part as a variable of its own.",
        weigh=ranked(("device-mismatch", 0.74), ("topology", 0.72), ("graph-lifecycle", 0.4)),
        example="ValueError: All tensors of a saveable object must be on the same device: emb/part_0",
    ),
    Entry(
        "tf-warm-start-misses",
        "missing-tensor",
        ("did not contain values for all variables",),
        r"did not contain values for all variables\. The following variables were missing: (?P<tensor>[^\n]{1,120})",
        why="the checkpoint to start from has no values for {tensor}: they have other names there, or the model is "
        "another",
        remedy="`holdfast inspect PREFIX` lists the names; give `vars_to_warm_start` (a pattern) and "
        "`var_name_to_prev_var_name`.",
        weigh=ranked(("missing-tensor", 0.96), ("renamed", 0.7), ("format-mismatch", 0.6)),
        test="names",
        example="ValueError: Attempting to warm-start from an object-based checkpoint, but found that the "
        "checkpoint did not "
        "contain values for all variables. The following variables were missing: ['head/w']",
    ),
    Entry(
        "tf-assigned-by-name",
        "shape-mismatch",
        ("total size of new array must be unchanged for", "doesnt uniquely identify a variable"),
        r"Total size of new array must be unchanged for (?P<tensor>\S+)(?: lh_shape: \[(?P<checkpoint>[^\]]*)\],"
        r" rh_shape: \[(?P<model>[^\]]*)\])?",
        why="`{tensor}` has shape {checkpoint} in the checkpoint and {model} in the model: another number of "
        "classes or units",
        remedy="Leave it out (`get_variables_to_restore(exclude=[...])`) where the head is new; else build it as "
        "saved.",
        weigh=ranked(("shape-mismatch", 0.92), ("missing-tensor", 0.4), ("preprocessing", 0.3)),
        test="names",
        example="ValueError: Total size of new array must be unchanged for logits/weights lh_shape: [(1, 1, 2048, "
        "1001)], "
        "rh_shape: [(1, 1, 2048, 5)]",
    ),
    Entry(
        "tf-name-of-several",
        "renamed",
        ("doesnt uniquely identify a variable", "doesn't uniquely identify a variable"),
        "",
        why="the name in the file fits several variables of the graph, or none",
        remedy="Give whole names: `holdfast inspect PREFIX` on one side, `tf.compat.v1.global_variables()` on the "
        "other.",
        weigh=ranked(("renamed", 0.84), ("graph-lifecycle", 0.56), ("missing-tensor", 0.5)),
        example="ValueError: Variable conv/w doesnt uniquely identify a variable",
    ),
    Entry(
        "tf-how-many-kept",
        "retention",
        (
            "for `max_to_keep`",
            "if `checkpoint_interval` is not none",
            "checkpoint timestamps, if provided, must match",
            "last preserved checkpoint timestamp",
        ),
        r"Expected a positive integer or `?None`? for `max_to_keep`|should be passed if `checkpoint_interval` is not None"
        r"|Checkpoint timestamps, if provided, must match|behind the last preserved checkpoint timestamp",
        why="what the manager is told of the checkpoints to keep makes no sense (none at all, times without paths, a clock "
        "that ran back), so that it may delete the wrong ones",
        remedy="`max_to_keep=3`, or None to keep all; `step_counter=` with `checkpoint_interval=`; set the machine's clock.",
        weight=0.9,
        example="ValueError: Expected a positive integer or `None` for `max_to_keep`, got 0.",
    ),
)
