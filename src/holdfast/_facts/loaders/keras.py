"""Keras 3's loaders: ``load_weights`` of ``.weights.h5``, ``.keras`` and legacy ``.h5``, and ``load_model``.

Source files: ``keras/src/saving/saving_lib.py`` (``_load_state``: keys are class names, counted),
``keras/src/legacy/saving/legacy_h5_format.py`` (``load_weights_from_hdf5_group``: by position),
``keras/src/optimizers/base_optimizer.py`` (``load_own_variables``: by position, skipped where counts differ).
"""

from __future__ import annotations

from .row import LoaderFact, Outcome, rows_of

__all__ = ["KERAS_ROWS"]

_Table = tuple[tuple[str, str, Outcome, str], ...]

_LOST = "raise ValueError (objects that could not be loaded)"
_SHAPE = "raise ValueError (shape mismatch)"
_CAST = (
    "cast {tensor}, rounding without a word what the smaller type cannot hold; only an overflow to inf gives a "
    "RuntimeWarning"
)
_BY_CLASS = (
    "not look at the layers' names: it goes by class and order (`layers/dense`, `layers/dense_1`), so that "
    "{tensor} is filled from the layer that stands in its place"
)
_CROSS = "not look at the layers' names, load another layer's content into {tensor} and say nothing"
_SKIP = "skip the optimizer's whole state with no more than a UserWarning"

_STATE: _Table = (
    ("T201", "", "raises-at-load", _LOST),
    ("T202", "", "silent-right", "ignore {tensor} of the checkpoint"),
    ("T203", "", "raises-at-load", _SHAPE),
    ("T204", "narrows", "silent-wrong", _CAST),
    ("T204", "", "silent-right", "cast {tensor} to the live type, which holds every value"),
    ("T205", "", "silent-right", _BY_CLASS),
    ("T206", "other-shape", "raises-at-load", _SHAPE),
    ("T206", "", "silent-wrong", "load {tensor} transposed without a word, as its shape is the same"),
    ("T207", "", "silent-wrong", "take one of the two tensors for the tied one and drop the other silently"),
    ("T208", "", "raises-at-load", _LOST),
    ("T209", "", "silent-wrong", _CROSS),
    ("T211", "", "silent-right", "put the checkpoint's values in {tensor}"),
    ("T213", "", "silent-right", "leave `trainable` as it is; it is not among the weights"),
    ("T214 T215 T216", "", "raises-at-load", _LOST),
    ("O201", "", "warns", "leave the optimizer fresh, with no more than a UserWarning"),
    ("O202", "", "silent-right", "leave the optimizer's state in the file, as the live model has none"),
    ("O203 O204 O205 O207 O208 O209", "not-built", "warns", _SKIP + ", as the live optimizer is not built yet"),
    ("O203", "slots_fit", "silent-wrong", "fill the new optimizer's variables by position with those of {a}, and "
     "put the old learning rate back, silently"),
    ("O203 O204 O205", "", "warns", _SKIP + ", as the number of its variables differs"),
    ("O207", "not-stored", "silent-right", "leave {name} as in the code; it is not among the variables"),
    ("O207", "scheduled", "warns", _SKIP + ", as a schedule is no variable and the number of variables differs"),
    ("O207", "", "silent-wrong", "put the checkpoint's {name} back over the one in the code and say nothing"),
    ("O208", "", "silent-right", "take the checkpoint's step count"),
    ("O209", "", "silent-wrong", "give every weight the state of the one at its position and say nothing"),
)  # fmt: skip

_LEGACY: _Table = (
    ("T201 T202 T207 T208 T214 T215 T216", "", "raises-at-load",
     "raise ValueError (layer or weight count mismatch)"),
    *(row for row in _STATE if row[0] in ("T203", "T204", "T206", "T211", "T213")),
    ("T205", "", "silent-right", "not look at the layers' names: it goes by order (by_name=True by names), so that "
     "{tensor} is filled from the layer that stands in its place"),
    ("T209", "", "silent-wrong", _CROSS),
    ("O201 O202 O203 O204 O205 O208 O209", "", "silent-wrong", "take no optimizer state from this kind of file and "
     "leave the live optimizer as it is, without a word"),
    ("O207", "", "silent-right", "leave {name} as in the code, as it takes no optimizer state"),
)  # fmt: skip

_MODEL: _Table = (
    ("T201 T202 T203 T204 T205 T206 T207 T208 T209 T211 T213 T214 T215 T216", "", "silent-wrong",
     "build the model that the file describes and ignore the one in the code, also where they differ in {tensor}"),
    ("O201 O202 O203 O204 O205 O207 O208 O209", "", "silent-wrong", "bring the file's own optimizer with its "
     "settings and ignore the one in the code"),
)  # fmt: skip

KERAS_ROWS: tuple[LoaderFact, ...] = (
    *rows_of("keras-weights", "failure matrix, column weights.h5; keras/src/saving/saving_lib.py", _STATE),
    *rows_of("keras-archive", "keras/src/saving/saving_lib.py (load_weights_only)", _STATE),
    *rows_of("keras-legacy", "keras/src/legacy/saving/legacy_h5_format.py", _LEGACY),
    *rows_of("keras-model", "failure matrix, column .keras (F)", _MODEL),
)
