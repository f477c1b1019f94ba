"""``tf.train.Checkpoint.restore`` of TensorFlow's object-based checkpoints.

Source files: ``tensorflow/python/checkpoint/checkpoint.py``, ``restore.py`` (objects are bound along attribute
names; what stays unbound is told only by the status object's assertions, or in a log line at its destruction).
"""

from __future__ import annotations

from .row import LoaderFact, Outcome, rows_of

__all__ = ["TENSORFLOW_ROWS"]

_Table = tuple[tuple[str, str, Outcome, str], ...]

_INITIAL = "leave {tensor} at its initial value and say nothing"
_BY_POSITION = (
    "fill the live optimizer's variables by position (`optimizer/_variables/N`), whatever they mean, and leave the "
    "rest at their initial value, without a word"
)

_RESTORE: _Table = (
    ("T201", "slot", "silent-wrong", "leave this slot at zero and say nothing"),
    ("T201", "", "silent-wrong", _INITIAL),
    ("T202", "", "silent-right", "ignore {tensor} of the checkpoint; a log line may say so when the Checkpoint "
     "object is destroyed"),
    ("T203", "", "raises-at-load", 'raise ValueError ("Received incompatible tensor with shape ...")'),
    ("T204", "", "raises-at-load", "raise InvalidArgumentError (expected dtype does not equal original dtype), "
     "be the cast lossless or not"),
    ("T205", "keras", "silent-right", "not look at the layers' names: it goes by attributes and positions "
     "(`_operations/1`), so that {tensor} is filled from what stands in its place"),
    ("T205", "", "silent-wrong", _INITIAL + ", as it goes by attribute names"),
    ("T206", "other-shape", "raises-at-load", 'raise ValueError ("Received incompatible tensor with shape ...")'),
    ("T206", "", "silent-wrong", "load {tensor} transposed without a word, as its shape is the same"),
    ("T207", "", "silent-wrong", "put one of the two values in the tied tensor and drop the other silently"),
    ("T208", "", "silent-wrong", "bind the one stored tensor to one of the live ones and leave the other at its "
     "initial value, silently"),
    ("T209", "", "silent-wrong", "go by attributes and positions, load another layer's content into {tensor} and "
     "say nothing"),
    ("T211", "", "silent-right", "put the checkpoint's values in {tensor}"),
    ("T213", "optimizer_holds", "silent-wrong", "cross the weights themselves, as the file keeps them under "
     "`optimizer/_trainable_variables/N`, and say nothing"),
    ("T213", "", "silent-right", "leave `trainable` as it is; it is not stored"),
    ("T214 T215", "", "silent-wrong", _INITIAL),
    ("T216", "", "silent-wrong", "match nothing below the other root, load nothing and say nothing"),
    ("O201", "", "silent-wrong", "leave the optimizer fresh and say nothing"),
    ("O202", "", "silent-right", "leave the optimizer's state in the file"),
    ("O203 O204", "", "silent-wrong", _BY_POSITION),
    ("O205", "", "silent-wrong", "hand the optimizer's state, and the weights that the file keeps under "
     "`optimizer/_trainable_variables/N`, to other weights by position, without a word where shapes agree"),
    ("O207", "not-stored", "silent-right", "leave {name} as in the code; it is not in the checkpoint"),
    ("O207", "scheduled", "raises-at-load", "find every optimizer variable shifted by one, as a schedule is no "
     "variable, and raise ValueError (or cross them silently where shapes agree)"),
    ("O207", "", "silent-wrong", "put the checkpoint's {name} back over the one in the code and say nothing"),
    ("O208", "", "silent-right", "take the checkpoint's step count"),
    ("O209", "", "silent-wrong", "cross the optimizer's state, and with it the model's own weights, by position, "
     "without a word where shapes agree"),
)  # fmt: skip

TENSORFLOW_ROWS: tuple[LoaderFact, ...] = rows_of(
    "tf-restore", "failure matrix, column tfck, and its section 2b; tensorflow/python/checkpoint", _RESTORE
)
