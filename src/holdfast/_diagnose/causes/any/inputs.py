"""What stands beside a checkpoint and turns inputs into numbers: alphabets, vocabularies, label maps of another size."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing_or_alone

_WHAT = (
    r"(?:alphabet|vocab(?:ulary)?|label ?map|label list|charset|character set|tokeni[sz]er|dictionary|scaler|class "
    r"list|names file)"
)

ENTRIES = (
    Entry(
        "inputs-of-another-size",
        "preprocessing",
        (
            "alphabet",
            "vocab",
            "label map",
            "labelmap",
            "label list",
            "charset",
            "character set",
            "tokeniz",
            "tokenis",
            "dictionary",
            "scaler",
            "class list",
            "names file",
        ),
        rf"{_WHAT}(?:'s)?(?: file| size| length)?\b[^.\n]{{0,40}}? (?:does not|doesn't|do not|did not) (?:match|fit"
        rf"|agree|correspond)"
        rf"[^.\n]{{0,40}}?\b(?:loaded |trained |saved )?(?:model|checkpoint|weights|embedding|network)"
        rf"|\b(?:model|checkpoint|embedding|network)\b[^.\n]{{0,60}}?(?:does not|doesn't|did not) (?:match|fit"
        rf"|agree with|correspond to) "
        rf"(?:the |your |this )?{_WHAT}",
        why="the file of the alphabet, vocabulary or labels is not the one that the model was trained with: it has another size",
        remedy="Keep it beside the checkpoint and load both together; a new one needs a new last layer (or embedding).",
        where=storing_or_alone,
        weigh=ranked(("preprocessing", 0.88), ("shape-mismatch", 0.72), ("version-mismatch", 0.4)),
        example="Error: vocabulary size does not match the loaded model: 31 words, and the embedding has 29 rows",
    ),
)  # fmt: skip
