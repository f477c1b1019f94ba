"""What cannot be pickled."""

from __future__ import annotations

from ...concerning import of_no_service
from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, saving_or_alone

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


def no_form(look: Look) -> list[Guess]:
    """A value without a form in the file; values of other programs are none of a checkpoint's."""
    if not of_no_service(look):
        return []
    rows = (("unserialisable", 0.82), ("custom-object", 0.46), ("version-mismatch", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "not-picklable",
        "unserialisable",
        ("picklingerror", "is not picklable", "pickle", "not picklable"),
        r"(?:can(?:no|')t pickle(?! (?:CUDA|meta) storage)|\bPicklingError:"
        r"|cannot be pickled|not be pickled) ?(?P<what>[^\n]{1,120})?|is not picklable"
        r"|not picklable: (?P<what2>[^\n]{1,120})",
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
        "no-way-to-write",
        "unserialisable",
        (
            "no default __reduce__",
            "does not have a __getstate__",
            "save a non",
            "has no native hdf5 equivalent",
            "cannot access storage of",
            "can not serialize",
            "cannot serialize",
            "can't serialize",
            "returned a result with an error set",
            "support the deepcopy protocol",
            "numpy() is only available when eager execution",
            "not json serializable",
            "object of type ",
            "cannot export module",
            "could not export python function",
            "object dtype",
        ),
        r"no default __reduce__|does not have a __getstate__ method|save a non[ -]contiguous tensor"
        r"|has no native HDF5 equivalent|Cannot access storage of (?P<what>\w+)|can(?: ?not"
        r"|'t) serialize (?:type )?[<'](?P<what2>[^'>\n]{1,60})"
        r"|__deepcopy__ .{0,80}returned a result with an error set|support the deepcopy protocol"
        r"|numpy\(\) is only available when eager execution|(?:of type '?(?P<what3>[\w.]+)'? is )?not JSON serializable"
        r"|Object of type '?(?P<what4>[\w.]+)'? is not",
        why="something in what is saved ({what}) has no form that this format can write",
        remedy=(
            "Save plain tensors, numbers and names: `.contiguous().clone()` for tensors, `float(x)` for numbers in a config, "
            "`state_dict()`s for objects. `holdfast isolate` names the attribute."
        ),
        where=saving_or_alone,
        weigh=no_form,
        example="TypeError: no default __reduce__ due to non-trivial __cinit__",
    ),
    Entry(
        "array-in-a-config",
        "unserialisable",
        ("python scalar",),
        r"can only convert an array of (?:size|length) 1 to a Python scalar"
        r"|only (?:size-1|length-1|0-dimensional) arrays can be converted to (?:a )?Python scalar",
        context=("model.save", "to_json", "get_config", "save_model", "to_yaml", "model_config"),
        only_in=True,
        why="an array stands among a layer's settings (the arguments of a Lambda), where a config holds plain values",
        remedy="Pass `array.tolist()`, or make the array a weight (`add_weight`) or a constant within the function.",
        where=saving_or_alone,
        weigh=ranked(("unserialisable", 0.84), ("custom-object", 0.4), ("version-mismatch", 0.38)),
        example="model.save('m.h5')\nValueError: can only convert an array of size 1 to a Python scalar",
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
