"""What the framework's own loader does with each kind of difference, as rows that tests prove.

One module per framework; a row is a :class:`LoaderFact`. :func:`what_the_framework_does` puts the row that fits
into one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .jax import JAX_ROWS
from .keras import KERAS_ROWS
from .row import OUTCOMES, LoaderFact, Outcome, words_of
from .tensorflow import TENSORFLOW_ROWS
from .torch import TORCH_ROWS

__all__ = [
    "LOADERS",
    "OUTCOMES",
    "ROWS",
    "LoaderFact",
    "Outcome",
    "loaders_of",
    "row_for",
    "what_the_framework_does",
]

LOADERS: dict[str, str] = {
    "torch-strict": "load_state_dict",
    "torch-lenient": "load_state_dict(strict=False)",
    "torch-optimizer": "optimizer.load_state_dict",
    "safetensors": "safetensors.torch.load_model",
    "lightning": "Lightning's fit(ckpt_path=...)",
    "dcp": "torch.distributed.checkpoint.load",
    "keras-weights": "model.load_weights",
    "keras-archive": "model.load_weights",
    "keras-legacy": "model.load_weights",
    "keras-model": "keras.models.load_model",
    "tf-restore": "tf.train.Checkpoint.restore",
    "flax-bytes": "flax.serialization.from_bytes",
    "orbax": "Orbax's StandardCheckpointer.restore",
}
"""Loader -> how a person calls it."""

ROWS: tuple[LoaderFact, ...] = (*TORCH_ROWS, *KERAS_ROWS, *TENSORFLOW_ROWS, *JAX_ROWS)
"""All rows; of one loader and code the more special ones stand first."""

_BY_KEY: dict[tuple[str, str], list[LoaderFact]] = {}
for _row in ROWS:
    _BY_KEY.setdefault((_row.loader, _row.code), []).append(_row)

_TORCH_FORMATS = ("torch-zip", "torch-legacy", "torch-sharded", "torch-tar")


def loaders_of(framework: str, stored_format: str, code: str) -> tuple[str, ...]:
    """The loaders that one would call for such a file and such a live framework; empty where there is none (a
    Keras file for a PyTorch model)."""
    if framework == "torch":
        if code.startswith("O") and stored_format in (*_TORCH_FORMATS, "safetensors", "torch-dcp"):
            return ("torch-optimizer",)
        if stored_format in _TORCH_FORMATS:
            return ("torch-strict", "torch-lenient")
        if stored_format.startswith("safetensors"):
            return ("safetensors",)
        return ("dcp",) if stored_format == "torch-dcp" else ()
    if framework in ("keras", "tensorflow"):
        if stored_format in ("tf-bundle", "savedmodel"):
            return ("tf-restore",)
        if framework == "tensorflow":
            return ()
        kinds = {
            "keras-weights-h5": "keras-weights",
            "keras-weights-sharded": "keras-weights",
            "keras-archive": "keras-archive",
            "keras-h5-legacy": "keras-legacy",
        }
        return (kinds[stored_format],) if stored_format in kinds else ()
    if framework == "jax":
        return {"flax-msgpack": ("flax-bytes",), "orbax": ("orbax",)}.get(stored_format, ())
    return ()


def row_for(loader: str, code: str, details: Mapping[str, Any]) -> LoaderFact | None:
    """The row of that loader for a difference, or ``None`` where nothing is known."""
    words = words_of(code, details)
    return next((row for row in _BY_KEY.get((loader, code), ()) if row.when <= words), None)


def what_the_framework_does(
    framework: str, stored_format: str, code: str, *, tensor: str | None, details: Mapping[str, Any]
) -> str | None:
    """One sentence on what the framework's own loader would do with a difference, or ``None`` where it is not
    known or there is no such loader.

    ``framework`` is that of the live model (``torch``, ``keras``, ``tensorflow``, ``jax``), ``stored_format`` a
    format's name, ``code`` one of :data:`DIFFERENCES`, ``tensor`` the live tensor's name. ``details``: see
    :func:`words_of`; ``loader`` in it names a loader of :data:`LOADERS` outright, for instance ``lightning``.

    ``what_the_framework_does("tensorflow", "tf-bundle", "T201", tensor="head/kernel", details={})`` is
    "tf.train.Checkpoint.restore would leave `head/kernel` at its initial value and say nothing".
    """
    given = details.get("loader")
    known: dict[str, Any] = {"keras": framework == "keras", **details}
    if code == "O207" and "name" not in known:
        known["name"] = (
            str(known.get("b_name") or known.get("a_name") or tensor or "").rsplit("/", 1)[-1] or None
        )
    names = (given,) if given in LOADERS else loaders_of(framework, stored_format, code)
    rows = [row for name in names if (row := row_for(name, code, known)) is not None]
    if not rows:
        return None
    sentence = f"{LOADERS[rows[0].loader]} would {_filled(rows[0].text, tensor, known)}"
    for row in rows[1:]:
        if row.text == rows[0].text:
            continue
        sentence += f"; with strict=False it would {_filled(row.text, tensor, known)}"
    return sentence


def _filled(text: str, tensor: str | None, details: Mapping[str, Any]) -> str:
    """The template with its names; plain words where the caller gave none."""
    return text.format(
        tensor=f"`{tensor}`" if tensor else "the tensor",
        a=details.get("a") or "the other optimizer",
        b=details.get("b") or "the live one",
        name=details.get("name") or "hyperparameter",
    )
