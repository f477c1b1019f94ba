"""TensorFlow: graphs, sessions, scopes and devices around a restore."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look


def devices_or_tasks(look: Look) -> list[Guess]:
    """A device of this machine, or a task of a cluster."""
    if not re.search(r"/job:(?:ps|worker|chief|master)", look.reading.text):
        return [look.entry.guess(look)]
    why = "the graph names tasks of a cluster (`/job:ps`, `/job:worker`) that this process is not part of"
    return [
        look.entry.guess(look, "topology", confidence=0.87, why=why),
        look.entry.guess(look, confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "tf-device",
        "device-mismatch",
        ("cannot assign a device", "could not satisfy explicit device"),
        r"Cannot assign a device (?:to node|for (?:operation|node)) '?\{?\{?(?:node )?(?P<node>[\w/.]+)"
        r"|Could not satisfy explicit device specification '(?P<device>[^']+)'",
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
        ("graph is finalized",),
        r"Graph is finalized and cannot be modified",
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
        context=("saver", "restore", "save", "load_model", "predict"),
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
