"""Graphs, sessions and contexts that are closed, changed or others than those in which the variables live."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing, storing_or_alone

_ORDER = (
    "Make variables, then the Saver, then the session, all in one graph and one `with`; save inside of it."
)

ENTRIES = (
    Entry(
        "table-not-filled",
        "graph-lifecycle",
        ("table not ", "table is not ", "table was not ", "table has not "),
        r"table (?:(?:is|was|has) )?not (?:been )?initialized",
        why="a lookup table (a vocabulary) of the saved graph was not filled: what fills it was not saved, or not run in this "
        "session",
        remedy=(
            "Save with `main_op`/`legacy_init_op=tf.tables_initializer()`, and run it after loading; in TensorFlow 2 keep the "
            "table on "
            "the object that is saved, with its vocabulary file."
        ),
        where=storing_or_alone,
        weigh=ranked(("graph-lifecycle", 0.66), ("preprocessing", 0.6), ("lazy-build", 0.52)),
        example="FailedPreconditionError: Table not initialized. [[{{node string_lookup/LookupTableFindV2}}]] (load_model)",
    ),
    Entry(
        "session-is-no-session",
        "graph-lifecycle",
        (
            "must be a session",
            "nesting violated",
            "closed session",
            "session has been closed",
            "session is closed",
        ),
        r"'sess' must be a Session|Nesting violated for default stack|closed Session|session (?:has been|is) closed",
        why="the session is not one that a Saver can work with: a wrapper (MonitoredSession), closed, or another context's",
        remedy=(
            "Save through a `tf.train.CheckpointSaverHook` (or with the session inside a MonitoredSession), and leave the "
            "`with` "
            "only after saving."
        ),
        weigh=ranked(("graph-lifecycle", 0.86), ("version-mismatch", 0.42), ("concurrency", 0.34)),
        example="TypeError: 'sess' must be a Session; <tensorflow.python.training.monitored_session.MonitoredSession object>",
    ),
    Entry(
        "context-left-wrongly",
        "graph-lifecycle",
        ("get_controller", "_default_graph_context_manager", "self.stack[-1] is not default"),
        "",
        why="the session's or graph's `with` is left while another graph is on top: it was opened, reset or closed in between",
        remedy=_ORDER,
        where=storing_or_alone,
        weigh=ranked(("graph-lifecycle", 0.8), ("concurrency", 0.5), ("version-mismatch", 0.36)),
        example='  File "tensorflow/python/framework/ops.py", line 3815, in get_controller\n    if self.stack[-1] is not '
        "default:\n"
        "IndexError: list index out of range\n  saver.save(sess, path)",
    ),
    Entry(
        "graph-of-another-life",
        "graph-lifecycle",
        (
            "different graph",
            "from the same graph",
            "another graph",
            "no variables to save",
            "no graph",
            "graph has been",
            "graph was",
            "graph is",
            "same graph",
        ),
        r"(?:from a|in a|of a|on a) different graph|another graph|same graph as|graph (?:has been|was|is) (?:finalized|closed"
        r"|reset"
        r"|modified|changed)|graph is not|no graph (?:was|is|to)",
        why="graph and session are not those in which the saved variables live (made later, reset, or another default graph)",
        remedy=_ORDER,
        where=storing,
        weigh=ranked(("graph-lifecycle", 0.66), ("lazy-build", 0.4), ("version-mismatch", 0.38)),
        example="saver.restore(sess, path)\nValueError: Fetch argument is from a different graph",
    ),
)
