"""TensorFlow: pastes of which the message was cut off, told by the node that failed or by where the traceback goes.

A Saver names its nodes: ``save/RestoreV2`` reads, ``save/Assign`` sets a variable, ``save/SaveV2`` writes,
``save/MergeV2Checkpoints`` puts shards together; each of a graph's further Savers has a number (``save_1``).
These speak softly: any entry that knows the message is heard first.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked

_TOLD = re.compile(
    r"not found in|requires shapes|checksum|unable to open|slicereader|no space|exhausted|OOM|dtype|no such|failed to|"
    r"corrupt|data loss|not implemented|denied|; \w+|mismatch|exceed|2 ?GB|expected",
    re.IGNORECASE,
)
"""Words of the messages themselves."""


def of_a_node(look: Look) -> list[Guess]:
    """What a node of a Saver can fail of."""
    if look.reading.raised or look.reading.log or _TOLD.search(look.reading.flat):
        return []
    kind = look.facts()["kind"]
    again = int(look.facts().get("number") or 0) > 1
    if kind.startswith("Assign"):
        return [
            look.entry.guess(look, "shape-mismatch", confidence=0.6),
            look.entry.guess(look, "missing-tensor", confidence=0.4),
            look.entry.guess(look, "memory", confidence=0.34),
        ]
    if kind.startswith(("Restore", "restore")):
        why = "the graph has more than one Saver: it was built or imported more than once, so that names bear numbers"
        return [
            look.entry.guess(look, "missing-tensor", confidence=0.52),
            look.entry.guess(
                look, "graph-lifecycle", confidence=0.5 if again else 0.3, **({"why": why} if again else {})
            ),
            look.entry.guess(look, "not-found", confidence=0.42),
            look.entry.guess(look, "corrupt", confidence=0.32),
        ]
    if kind.startswith("Merge"):
        return [
            look.entry.guess(look, "topology", confidence=0.52),
            look.entry.guess(look, "storage", confidence=0.5),
            look.entry.guess(look, "concurrency", confidence=0.44),
        ]
    return [
        look.entry.guess(look, "storage", confidence=0.56),
        look.entry.guess(look, "not-found", confidence=0.4),
        look.entry.guess(look, "concurrency", confidence=0.34),
    ]


def saver_not_built(look: Look) -> list[Guess]:
    """A traceback through the making of a Saver; not the place where a node was defined that failed later."""
    flat = look.reading.flat
    if look.reading.raised or re.search(
        r"Caused by op|defined at|Original stack trace|RestoreV2|SaveV2|restore_v2", flat
    ):
        return []
    return [
        look.entry.guess(look),
        look.entry.guess(look, "renamed", confidence=0.44, why="two variables bear one name"),
        look.entry.guess(look, "version-mismatch", confidence=0.4),
    ]


ENTRIES = (
    Entry(
        "tf-restore-said-in-general",
        "shape-mismatch",
        ("a mismatch between the current graph and the graph",),
        r"a mismatch between the current graph and the graph(?: from the checkpoint)?",
        why="TensorFlow says this of a refused value: another shape mostly, or a device that is not here; the original "
        "error follows it",
        remedy="Read on after `Original error:`; `holdfast check PREFIX` compares names and shapes.",
        weigh=ranked(("shape-mismatch", 0.6), ("device-mismatch", 0.44), ("dtype-mismatch", 0.4)),
        example="InvalidArgumentError: Restoring from checkpoint failed. This is most likely due to a mismatch between "
        "the current graph "
        "and the graph from the checkpoint.",
    ),
    Entry(
        "tf-node-of-a-saver",
        "missing-tensor",
        ("save/", "save_"),
        r"(?:Caused by op u?'|for u?'|[Nn]ode:? (?:'|\{\{node )?|\{\{node |^)(?:\w+/)*save(?:_(?P<number>\d+))?/"
        r"(?P<kind>Assign(?=\b|_)|AssignVariableOp|RestoreV2|RestoreSlice|restore_slice|SaveV2|SaveSlices|MergeV2Checkpoints)",
        why="a node of a Saver failed (`{kind}`), and its message is not in the text",
        remedy="Look for the message: it stands in the last lines, after `Original error:`, or in a line `W "
        "tensorflow/core/...`.",
        weigh=of_a_node,
        weight=0.5,
        example="Caused by op 'save/RestoreV2_3', defined at:\n  saver = tf.train.Saver()",
    ),
    Entry(
        "tf-saver-cannot-be-made",
        "graph-lifecycle",
        ("saver.py",),
        r"saver\.py[\"']?,? line \d+,? in (?:__init__|build|_build)\b",
        why="a Saver could not be made: the graph is finalised already (a session of Supervisor or MonitoredSession "
        "owns it), or has "
        "no variables (yet)",
        remedy="Make variables, then the Saver, then the session, all in one graph and before it is finalised.",
        weigh=saver_not_built,
        weight=0.6,
        example='  File "tensorflow/python/training/saver.py", line 1140, in __init__\n    self.build()',
    ),
)
