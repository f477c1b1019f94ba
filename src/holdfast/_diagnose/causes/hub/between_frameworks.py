"""Weights that go from one framework to another, and folders in which a class finds none of its own.

Messages: transformers/modeling_utils.py, modeling_tf_utils.py, modeling_tf_pytorch_utils.py, modeling_flax_utils.py, and the
libraries of before (pytorch_transformers).
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def into_another(look: Look) -> list[Guess]:
    """Weights that went from one framework's class to another's: some were not used, or some were made anew."""
    said = look.match[0].lower()
    used = "not used" in said or "not loaded" in said
    guess = look.entry.guess
    return [
        guess(look, "unexpected-tensor" if used else "missing-tensor", confidence=0.7),
        guess(look, "renamed", confidence=0.66),
        guess(look, "missing-tensor" if used else "unexpected-tensor", confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "other-framework-weights",
        "format-mismatch",
        (
            "' object has no attribute 'bias'",
            "' object has no attribute 'kernel'",
            "' object has no attribute 'gamma'",
            "' object has no attribute 'global_step'",
            "please set from_pt=true",
            "use `from_pt=true`",
            "use `from_tf=true`",
            "use `from_flax=true`",
            "there is a file for pytorch weights",
            "there is a file for tensorflow weights",
            "there is a file for flax weights",
            "unable to load weights from h5 file",
            "loading a pytorch model in",
            "unable to convert",
            "file signature not found",
        ),
        r"there is a file for (?P<got>PyTorch|TensorFlow|Flax) weights|Unable to load weights from h5 file|use `from_(?:pt"
        r"|tf|flax)=True`"
        r"|load_tf2_\w+_in_pytorch_model.{0,600}?file signature not found"
        r"|please set from_pt=True|unable to convert .{0,60}(?:to Flax|to PyTorch|to TF)"
        r"|'\w+For[A-Z]\w+' object has no attribute '(?:bias|kernel|gamma|global_step)'",
        why="the weights are another framework's than the class that loads them ({got})",
        remedy="Pass `from_pt=True`, `from_tf=True` or `from_flax=True`, or convert once.",
        where=loading_or_alone,
        also=("corrupt", "version-mismatch", "not-found"),
        weight=0.83,
        example="OSError: Error no file named tf_model.h5 found in directory m but there is a file for PyTorch weights.",
    ),
    Entry(
        "old-path-not-found",
        "not-found",
        ("oserror: file ", "environmenterror: file "),
        r"(?:OSError|EnvironmentError): file (?P<path>\S+) not found",
        why="there is no `{path}`: another folder, or one that was saved without it",
        remedy="`holdfast FOLDER` says what lies there; give the folder that `save_pretrained` wrote.",
        weigh=ranked(("not-found", 0.88), ("incomplete-save", 0.82), ("version-mismatch", 0.6)),
        test="path",
        example="OSError: file runs/m/config.json not found",
    ),
    Entry(
        "pretrained-gave-nothing",
        "not-found",
        ("nonetype' object",),
        r"from_pretrained\b.{0,300}?'NoneType' object (?:is not (?:iterable|subscriptable)|has no attribute)",
        why="older versions return nothing where they find no file under that name: a path, or a file's name of another version",
        remedy="Check the path and the names of the files in it (`config.json`, `pytorch_model.bin`), and the version.",
        weigh=ranked(("not-found", 0.8), ("version-mismatch", 0.78), ("format-mismatch", 0.5)),
        test="path",
        example="line 430, in from_pretrained\n    **kwargs\nTypeError: 'NoneType' object is not iterable",
    ),
    Entry(
        "no-framework-weights",
        "format-mismatch",
        (
            "or `from_pt` set to false",
            "or `from_tf` set to false",
            "no file named [",
            "flax_model.msgpack or",
        ),
        r"no file named (?:\[|\w*flax_model\.msgpack or)|or `from_(?:pt|tf)` set to False",
        why="the folder has no weights that this class reads: a TensorFlow checkpoint, another framework's, or none",
        remedy="`holdfast FOLDER` says what lies there; convert it, or pass `from_pt=True` where PyTorch's lie.",
        weigh=ranked(("format-mismatch", 0.88), ("not-found", 0.86), ("incomplete-save", 0.7)),
        test="whole",
        example="OSError: Error no file named ['pytorch_model.bin'] found in directory m or `from_pt` set to False",
    ),
    Entry(
        "pytorch-into-tf",
        "renamed",
        (
            "of the pytorch model",
            "of the pytorch model were not used when initializing the tf",
            "of tf 2.0 model",
            "of the tf 2.0 model",
            "were not used when initializing the tf 2.0",
            "not loaded from pytorch model",
            "not loaded from tf 2.0 model",
        ),
        r"(?:weights|layers|buffers) not loaded from (?:PyTorch|TF 2\.0) model|weights (?:or buffers )?of the (?:PyTorch|TF "
        r"2\.0) model \w* ?were not (?:used|initialized)[^[]{0,120}",
        why=(
            "weights went from one framework's class to another's, and these found no place: the names differ, or a part "
            "is not wanted"
        ),
        remedy="Hold both lists against each other (`holdfast diff`); a prefix that differs means that no weight was taken over.",
        weigh=into_another,
        where=loading_or_alone,
        example=(
            "Some weights of the PyTorch model were not used when initializing the TF 2.0 model TFBertModel: "
            "['cls.predictions.bias']"
        ),
    ),
)
