"""The probe: a small batch, what the model made of it, and a sketch of what each layer made of it on the way.

Replayed later, it tells whether the same function came back, and if not, which layer is the first to compute otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from .._core.errors import UsageError
from .._facts.tolerances import Tolerance, layer_tolerance, precision_of
from .data.batches import fields_of
from .sketch import Sketch, differs, sketch

__all__ = ["Divergence", "Probe", "Replay", "fed", "make_probe", "replay"]

_MOST_BYTES = 64 << 20
_MOST_LAYERS = 20_000
_WRAPPERS = frozenset({"module", "_orig_mod"})


@dataclass(frozen=True)
class Probe:
    """A batch and what became of it.

    batch: field -> array, samples along the first axis. form: how the model is called with it: ``array``, ``tuple`` (as
    positional arguments of a ``torch.nn.Module``), ``list``, ``dict`` (keyword arguments). layers: in the order in which they
    were done. outputs: name -> array. raw: the batch before ``preprocess``, where that was given. framework. settings: of
    layers by path, where no record of the architecture has them: ``class``, ``config``, ``code`` (a digest).
    """

    batch: Mapping[str, np.ndarray]
    form: str
    layers: tuple[Sketch, ...]
    outputs: Mapping[str, np.ndarray]
    raw: Mapping[str, np.ndarray] = field(default_factory=dict)
    raw_form: str = "array"
    framework: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(a.nbytes for group in (self.batch, self.outputs, self.raw) for a in group.values())

    def given(self) -> Any:
        """The batch as the model is called with it."""
        return _nest(self.batch, self.form)

    def given_raw(self) -> Any:
        """The batch as ``preprocess`` is called with it, or ``None``."""
        return _nest(self.raw, self.raw_form) if self.raw else None

    def as_document(self) -> dict[str, Any]:
        """``about``: values that JSON knows; ``arrays``: name -> array (``batch.0`` ...)."""
        arrays: dict[str, np.ndarray] = {}
        names: dict[str, list[str]] = {}
        for word, group in (("batch", self.batch), ("output", self.outputs), ("raw", self.raw)):
            names[word] = list(group)
            arrays.update({f"{word}.{n}": values for n, values in enumerate(group.values())})
        about = {
            "version": 1, "framework": self.framework, "form": self.form, "raw_form": self.raw_form, "names": names,
            "layers": [layer.as_document() for layer in self.layers],
        }  # fmt: skip
        if self.settings:
            about["settings"] = {path: dict(row) for path, row in self.settings.items()}
        return {"about": about, "arrays": arrays}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Probe:
        """The inverse; ``about`` may be its JSON text. Raises :class:`UsageError` for what is no probe."""
        try:
            about = document["about"]
            about = json.loads(about) if isinstance(about, str) else about
            arrays = document["arrays"]
            groups = {
                word: {str(name): np.asarray(arrays[f"{word}.{n}"]) for n, name in enumerate(names)}
                for word, names in about["names"].items()
            }
            layers = tuple(Sketch.from_document(row) for row in about["layers"])
            return cls(
                groups["batch"], about["form"], layers, groups["output"], groups["raw"], about["raw_form"],
                about["framework"], {str(path): dict(row) for path, row in about.get("settings", {}).items()},
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError("this is no probe", found=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Divergence:
    """A place where replaying gave something else. where: ``layer``, ``output`` or ``preprocess``; path: the layer's now
    (or the output's or field's name); before: its path in the record; far: in units of the numbers' size."""

    where: str
    path: str
    class_name: str
    message: str
    far: float
    before: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What replaying a probe gave: ``divergences`` in the order of execution (outputs last), how many layers and outputs
    were held against the record, and the tolerance. settings: those of the layers now, as in :class:`Probe`."""

    divergences: tuple[Divergence, ...]
    layers: int
    outputs: int
    tolerance: Tolerance
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether everything agrees."""
        return not self.divergences

    @property
    def first(self) -> Divergence | None:
        """The first diverging place."""
        return self.divergences[0] if self.divergences else None


def make_probe(
    model: Any,
    batch: Any,
    *,
    preprocess: Callable[[Any], Any] | None = None,
    apply: Callable[..., Any] | None = None,
) -> Probe:
    """Run a small batch through a live ``model`` in inference mode and keep what came of it; the model is as before.

    ``batch``: an array, a tuple or list of them, or a dict; with ``preprocess``, what that is given (it gives the input).
    ``apply``: a function of model and batch that computes the outputs of a model that cannot be called (a JAX tree); it may be
    a flax linen module. Training flags,
    generators, gradients, statistics and hooks are put back. Raises :class:`UsageError` for a batch that is no arrays or
    larger than 64 MB, and where the model cannot be called so.
    """
    raw: dict[str, np.ndarray] = {}
    raw_form = "array"
    if preprocess is not None:
        raw, raw_form = _flat(batch)
        batch = preprocess(_nest(raw, raw_form))
    fields, form = _flat(batch)
    if sum(a.nbytes for a in (*fields.values(), *raw.values())) > _MOST_BYTES:
        raise UsageError("a probe is a small batch", expected="64 MB at most; 32 samples are plenty")
    layers, outputs, framework, settings = _run(model, fields, form, apply)
    return Probe(fields, form, layers, outputs, raw, raw_form, framework, settings)


def replay(
    probe: Probe,
    model: Any,
    *,
    preprocess: Callable[[Any], Any] | None = None,
    apply: Callable[..., Any] | None = None,
    same_setup: bool = True,
) -> Replay:
    """Run the probe's batch through ``model`` again and hold every layer and output against the record.

    With ``preprocess`` and a probe that keeps its raw batch, what that gives is compared first; the model then gets the
    recorded batch all the same, so that both are told apart. ``same_setup``: whether libraries and processor are those of
    the record (the tolerance is narrower). Raises :class:`UsageError` where the model cannot be called so.
    """
    found: list[Divergence] = []
    kinds = precision_of(
        [row.dtype for row in probe.layers] or [a.dtype.name for a in probe.outputs.values()]
    )
    tolerance = layer_tolerance(kinds, same_setup=same_setup)
    if preprocess is not None and probe.raw:
        now, _ = _flat(preprocess(probe.given_raw()))
        own = layer_tolerance(precision_of(a.dtype.name for a in probe.batch.values()), same_setup=same_setup)
        found += _arrays("preprocess", probe.batch, now, own)
    layers, outputs, _, settings = _run(model, probe.batch, probe.form, apply)
    found += _layers(probe.layers, layers, tolerance)
    found += _arrays("output", probe.outputs, outputs, tolerance)
    return Replay(tuple(found), len(probe.layers), len(probe.outputs), tolerance, settings)


def _run(
    model: Any, fields: Mapping[str, np.ndarray], form: str, apply: Any
) -> tuple[tuple[Sketch, ...], dict[str, np.ndarray], str, dict[str, Any]]:
    rows: list[Sketch] = []

    def tell(path: str, class_name: str, output: str, values: np.ndarray, dtype: str) -> None:
        if len(rows) < _MOST_LAYERS:
            # signs by the order of execution: automatic names count on, the order does not
            rows.append(sketch(path, class_name, output, values, dtype, f"{len(rows)}:{output}"))

    room = import_module("holdfast._frameworks.probing")
    outputs, framework, settings = room.run_model(model, _nest(fields, form), tell, apply)
    return tuple(rows), outputs, framework, settings


def _layers(was: tuple[Sketch, ...], now: tuple[Sketch, ...], tolerance: Tolerance) -> list[Divergence]:
    if [(r.class_name, r.output) for r in was] == [(r.class_name, r.output) for r in now]:
        pairs: list[tuple[Sketch, Sketch | None]] = list(zip(was, now, strict=True))
    else:
        there = dict(_numbered(now))
        pairs = [(row, there.get(key)) for key, row in _numbered(was)]
    found = []
    for before, after in pairs:
        if after is None:
            found.append(
                Divergence("layer", before.path, before.class_name, "it was not run", math.inf, before.path)
            )
        elif (what := differs(before, after, tolerance)) is not None:
            found.append(Divergence("layer", after.path, after.class_name, what[1], what[0], before.path))
    return found


def _numbered(rows: tuple[Sketch, ...]) -> Iterator[tuple[tuple[str, str, int], Sketch]]:
    """Each with its path, output and how often that was run before (a shared layer runs several times)."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (_bare(row.path), row.output)
        counts[key] = counts.get(key, -1) + 1
        yield (*key, counts[key]), row


def _bare(path: str) -> str:
    return ".".join(word for word in path.split(".") if word not in _WRAPPERS)


def _arrays(
    where: str, was: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], tolerance: Tolerance
) -> list[Divergence]:
    """Element by element: ten times the tolerance of the sketches, which average."""
    found = []
    if len(was) == len(now) == 1:
        now = dict(zip(was, now.values(), strict=True))
    for name, before in was.items():
        after = now.get(name)
        if after is None:
            found.append(Divergence(where, name, "", "it is not there any more", math.inf, name))
            continue
        if before.shape != after.shape:
            told = f"it has shape {list(after.shape)}, and had {list(before.shape)}"
            found.append(Divergence(where, name, "", told, math.inf, name))
            continue
        if before.dtype.kind in "OUS" or not before.size:
            if not np.array_equal(before, after):
                found.append(Divergence(where, name, "", "its values are others", math.inf, name))
            continue
        a, b = before.astype(np.float64), after.astype(np.float64)
        lost = np.isfinite(a) != np.isfinite(b)
        both = np.isfinite(a) & np.isfinite(b)
        size = float(np.sqrt(np.mean(np.square(a[both])))) if both.any() else 0.0
        gap = float(np.abs(a[both] - b[both]).max()) if both.any() else 0.0
        if lost.any():
            found.append(Divergence(where, name, "", "NaN or infinities stand elsewhere", math.inf, name))
        elif gap > max(tolerance.absolute, 10 * tolerance.relative * size):
            told = f"largest difference {gap:.3g} where the numbers have size {size:.3g}"
            found.append(Divergence(where, name, "", told, gap / size if size else math.inf, name))
    return found


# -- batches ---------------------------------------------------------------------------------------------------------
def fed(given: Any) -> dict[str, np.ndarray]:
    """What a model is called with, as field -> array."""
    return _flat(given)[0]


def _flat(batch: Any) -> tuple[dict[str, np.ndarray], str]:
    form = "dict" if isinstance(batch, Mapping) else type(batch).__name__
    form = form if form in ("dict", "tuple", "list") else "array"
    found = fields_of(tuple(batch) if form == "list" and _of_arrays(batch) else batch)
    if any("/" in name for name in found):
        raise UsageError(
            "a probe's batch is an array, a flat tuple or list, or a flat dict", found=", ".join(found)
        )
    if form == "list" and set(found) == {"data"}:
        form = "array"
    return {name: np.array(values) for name, values in found.items()}, form


def _of_arrays(batch: Any) -> bool:
    return len(batch) > 0 and all(hasattr(item, "shape") for item in batch)


def _nest(fields: Mapping[str, np.ndarray], form: str) -> Any:
    copies = {name: values.copy() for name, values in fields.items()}
    if form == "dict":
        return copies
    if form in ("tuple", "list"):
        return (tuple if form == "tuple" else list)(copies.values())
    return next(iter(copies.values()))
