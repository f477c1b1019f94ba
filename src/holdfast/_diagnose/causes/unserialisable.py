"""What cannot be pickled."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look
from ..where import apart_from_steps

_SAVING = frozenset(
    {
        "save",
        "_save",
        "_legacy_save",
        "save_checkpoint",
        "dump",
        "save_model",
        "save_pretrained",
        "save_state",
    }
    | {"deepcopy", "get_config"}
)


def not_picklable(look: Look) -> list[Guess]:
    """Pickling is of checkpoints where something is saved; starting a process pickles too."""
    sent = look.reading.frames and not look.reading.calls & _SAVING
    return [] if sent else [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "not-picklable",
        "unserialisable",
        ("picklingerror", "is not picklable", "pickle"),
        r"(?:can(?:no|')t pickle|\bPicklingError:) (?P<what>[^\n]{1,120})|is not picklable",
        why="something in what is saved cannot be pickled: {what}",
        remedy=(
            "Save `state_dict()`s, not objects: lambdas, locks, generators, open files and loggers have no bytes. "
            "`holdfast isolate` names the attribute; a Keras model is saved by `model.save`."
        ),
        also=("custom-object", "format-mismatch"),
        weight=0.9,
        calls=("dump", "save", "dumps", "deepcopy", "_save"),
        weigh=not_picklable,
        where=apart_from_steps,
        example="TypeError: cannot pickle '_thread.RLock' object",
    ),
    Entry(
        "recursion",
        "unserialisable",
        ("maximum recursion depth exceeded",),
        r"maximum recursion depth exceeded",
        context=("pickl", "deepcopy", "torch.save", "dump", "get_config"),
        only_in=True,
        why="the object refers to itself too deeply to be written",
        remedy="Save state dicts; cut the reference back (a callback that holds the trainer).",
        weight=0.75,
        calls=("save", "dump", "deepcopy"),
        example="RecursionError: maximum recursion depth exceeded while pickling an object",
    ),
)
