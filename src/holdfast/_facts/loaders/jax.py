"""JAX: ``flax.serialization.from_bytes`` and Orbax's ``StandardCheckpointer.restore`` with a target.

Source files: ``flax/serialization.py`` (``_restore_dict``, ``_restore_namedtuple``: keys are compared, shapes
and dtypes are not), ``orbax/checkpoint/_src/handlers/standard_checkpoint_handler.py``.
"""

from __future__ import annotations

from .row import LoaderFact, Outcome, rows_of

__all__ = ["JAX_ROWS"]

_Table = tuple[tuple[str, str, Outcome, str], ...]

_KEYS = "raise ValueError (keys of target and state dict do not match)"
_TREE = "raise ValueError (tree structures do not match)"

_BYTES: _Table = (
    ("T201 T205 T214 T215 T216 O201 O204 O205", "", "raises-at-load", _KEYS),
    ("T202", "", "silent-right", "ignore {tensor} of the checkpoint"),
    ("O202", "", "silent-right", "leave the optimizer's state in the file"),
    ("T203", "", "silent-wrong", "return {tensor} in the checkpoint's shape, whatever the target's, and say nothing"),
    ("T204", "", "silent-wrong", "return {tensor} in the checkpoint's dtype, whatever the target's, and say nothing"),
    ("T206", "", "silent-wrong", "return {tensor} transposed without a word; it compares no shapes"),
    ("T209", "", "silent-wrong", "load what stands under the name {tensor}, which is another layer's content, "
     "and say nothing"),
    ("T211", "", "silent-right", "put the checkpoint's values in {tensor}"),
    ("O203", "slots_fit", "silent-wrong", "take the state of the other optimizer, as its fields agree, silently"),
    ("O203", "", "raises-at-load", "raise ValueError (the states have other fields)"),
    ("O207", "", "silent-right", "leave {name} as in the code; optax keeps it in no state (inject_hyperparams does)"),
    ("O208", "", "silent-right", "take the checkpoint's step count"),
)  # fmt: skip

_ORBAX: _Table = (
    ("T201 T202 T205 T214 T215 T216 O201 O202 O204 O205", "", "raises-at-load", _TREE),
    ("T203", "", "raises-at-load", "raise ValueError (requested shape is not the stored one)"),
    ("T204", "narrows", "silent-wrong", "cast {tensor} without a word; what the smaller type cannot hold is rounded, "
     "or becomes inf"),
    ("T204", "", "silent-right", "cast {tensor} to the target's type, which holds every value"),
    ("T206", "other-shape", "raises-at-load", "raise ValueError (requested shape is not the stored one)"),
    ("T206", "", "silent-wrong", "load {tensor} transposed without a word, as its shape is the same"),
    ("T209", "", "silent-wrong", "load what stands under the name {tensor}, which is another layer's content, "
     "and say nothing"),
    ("T211", "", "silent-right", "put the checkpoint's values in {tensor}"),
    ("O203", "slots_fit", "silent-wrong", "take the state of the other optimizer, as its fields agree, silently"),
    ("O203", "", "raises-at-load", _TREE),
    ("O207", "", "silent-right", "leave {name} as in the code; optax keeps it in no state (inject_hyperparams does)"),
    ("O208", "", "silent-right", "take the checkpoint's step count"),
)  # fmt: skip

JAX_ROWS: tuple[LoaderFact, ...] = (
    *rows_of("flax-bytes", "flax/serialization.py (from_state_dict)", _BYTES),
    *rows_of("orbax", "failure matrix, column orbax std", _ORBAX),
)
