"""Keras: an error of no known wording while a model was saved or loaded: what its class says.

These speak softly, so that any entry that knows the message is heard first.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone

_HEADING = re.compile(
    r"^\s*(?P<name>[A-Z]\w*(?:Error|Exception))\s+Traceback \(most recent call last\)", re.MULTILINE
)
"""A notebook's heading of a traceback, where the message at its end was cut off."""

_LOADED = {
    "OSError": (("not-found", 0.46), ("corrupt", 0.43), ("storage", 0.39)),
    "IOError": (("not-found", 0.46), ("corrupt", 0.43), ("storage", 0.39)),
    "ImportError": (("version-mismatch", 0.46), ("custom-object", 0.43), ("other", 0.39)),
    "ModuleNotFoundError": (("version-mismatch", 0.46), ("custom-object", 0.43), ("other", 0.39)),
    "NameError": (("custom-object", 0.46), ("version-mismatch", 0.44), ("unserialisable", 0.39)),
    "NotImplementedError": (("custom-object", 0.46), ("unserialisable", 0.43), ("version-mismatch", 0.44)),
    "MemoryError": (("memory", 0.46), ("size-limit", 0.39), ("corrupt", 0.36)),
    "AssertionError": (("version-mismatch", 0.46), ("missing-tensor", 0.44), ("shape-mismatch", 0.39)),
}
_SAVED = {
    "OSError": (("storage", 0.46), ("not-found", 0.43), ("concurrency", 0.39)),
    "IOError": (("storage", 0.46), ("not-found", 0.43), ("concurrency", 0.39)),
    "PermissionError": (("storage", 0.46), ("concurrency", 0.43), ("not-found", 0.39)),
    "KeyError": (("unserialisable", 0.48), ("version-mismatch", 0.43), ("metrics", 0.39)),
    "MemoryError": (("memory", 0.46), ("size-limit", 0.43), ("storage", 0.39)),
}


def _ended_by(look: Look) -> str | None:
    """The class of what ended the program: the last one raised, or a notebook's heading."""
    if look.reading.last is not None:
        return look.reading.last.name
    heading = _HEADING.search(look.reading.text)
    return heading["name"] if heading else None


def while_loading(look: Look) -> list[Guess]:
    """What ended the program, by its class."""
    ended = _ended_by(look)
    if ended is None or not look.around.loading:
        return []
    else_ = (("version-mismatch", 0.46), ("custom-object", 0.43), ("format-mismatch", 0.39))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in _LOADED.get(ended, else_)]


def while_saving(look: Look) -> list[Guess]:
    """What ended the program, by its class."""
    ended = _ended_by(look)
    if ended is None or look.around.loading:
        return []
    else_ = (("unserialisable", 0.46), ("version-mismatch", 0.43), ("custom-object", 0.39))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in _SAVED.get(ended, else_)]


ENTRIES = (
    Entry(
        "keras-while-loading",
        "version-mismatch",
        (
            "load_model",
            "load_weights",
            "model_from_json",
            "model_from_config",
            "from_config",
            "hdf5_format",
            "saving_lib",
        ),
        r"(?:keras|tensorflow|h5py|\.h5|hdf5).{0,3000}?\b(?:load_model|load_weights|model_from_json"
        r"|model_from_config|from_config)\b"
        r"|\b(?:load_model|load_weights|model_from_json|model_from_config|from_config)\b.{0,3000}?(?:keras"
        r"|tensorflow|h5py|\.h5|hdf5)"
        r"|hdf5_format|saving_lib",
        why="an error of no known wording while a Keras model was loaded: most often file and program are of different versions",
        remedy=(
            "Load with the version that saved (`holdfast FILE` names it), or build the model in code and load "
            "the weights alone."
        ),
        weigh=while_loading,
        example="    model = load_model('m.h5')\n  File \"keras/saving.py\", line 3, in load_model\nValueError: bad spline",
    ),
    Entry(
        "keras-while-saving",
        "unserialisable",
        ("save_model", "save_weights", "model.save(", "to_json(", "_serialize_model", "save_model_to_hdf5"),
        r"(?:keras|h5py|\.h5|hdf5).{0,3000}?(?:\b(?:save_model|save_weights|_serialize_model)\b|model\.save\(|to_json\()"
        r"|(?:\b(?:save_model|save_weights|_serialize_model)\b|model\.save\(|to_json\().{0,3000}?(?:keras|h5py|\.h5|hdf5)",
        why="an error of no known wording while a Keras model was saved: most often a part of it cannot be written",
        remedy="Save the weights alone (`save_weights`); `holdfast isolate` names the part that cannot be written.",
        weigh=while_saving,
        example="    model.save('m.h5')\n  File \"keras/models.py\", line 3, in save\nTypeError: bad spline",
    ),
    Entry(
        "keras-name-told",
        "custom-object",
        ("nameerror: name '",),
        r"NameError: name '(?P<name>\w+)' is not defined",
        why="a Lambda layer (or a pickled function) of the file uses `{name}`, which the program that loads does not define",
        remedy="Define it before loading, or pass custom_objects={{'{name}': ...}}; better a registered layer than a Lambda.",
        context=(
            "model should load",
            "load_model",
            "load the model",
            "loading",
            "lambda layer",
            "load a model",
            "loaded",
        ),
        only_in=True,
        where=loading_or_alone,
        weigh=ranked(("custom-object", 0.52), ("version-mismatch", 0.44), ("unserialisable", 0.36)),
        example="Loading my model says\nNameError: name 'width' is not defined",
    ),
)
