"""Is the live state the checkpoint's? Compared by content, and what differs explained by content, before any metric."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.plan import Plan
from .._core.spec import TensorSpec
from .._examine.fit import fit
from .._examine.fitted import Fit
from .._frameworks import LiveCatalog
from .report import Cause

__all__ = ["Stored", "explain", "held_against"]

_STATISTICS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "moving_mean",
    "moving_variance",
    "mean",
    "var",
)
NARROW: tuple[tuple[str, Any], ...] = (("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16))


def is_statistic(spec: TensorSpec) -> bool:
    """Whether a tensor is a normalisation layer's running statistic."""
    last = spec.name.replace("/", ".").rsplit(".", 1)[-1]
    return spec.role == "buffer" and last in _STATISTICS


@dataclass(frozen=True)
class Stored:
    """The checkpoint as the audit reads it: the open catalog, how it fits the live model, and which of its tensors each live
    one is (live -> stored)."""

    catalog: Catalog
    fit: Fit
    pairs: Mapping[str, str]

    @classmethod
    def of(cls, catalog: Catalog, live: LiveCatalog, plan: Plan | None = None) -> Stored:
        """Paired as a restore pairs them. Raises :class:`PlanError` for a plan that cannot be carried out."""
        found = fit(catalog, live, plan)
        entries = found.stored.entries
        return cls(catalog, found, {b: entries[a].base or a for b, a in found.pairs.items()})

    def read(self, live: str, prefix: str = "") -> np.ndarray | None:
        """The stored value of a live tensor (of the copy under ``prefix``), or ``None`` where there is none."""
        name = self.copies().get(prefix, {}).get(live) if prefix else self.fit.pairs.get(live)
        if name is None:
            return None
        try:
            return np.asarray(self.catalog.read(name) if prefix else self.fit.stored.read(name))
        except HoldfastError:
            return None

    def copies(self) -> dict[str, dict[str, str]]:
        """Other complete copies of the weights in the checkpoint: what stands before their names (``ema/``) -> live name ->
        stored name. Slots of optimizers are none."""
        back = {stored: live for live, stored in self.pairs.items()}
        bare = {_bare(stored): live for stored, live in back.items()}
        weights = {live for stored, live in back.items() if self.catalog[stored].role == "weight"}
        found: dict[str, dict[str, str]] = {}
        for name, spec in self.catalog.items():
            if name in back or spec.role in ("slot", "gradient", "rng", "hyperparameter"):
                continue
            if spec.role == "average" and spec.owner in back:
                words = re.split("[./_]", name)
                own = words[-1].startswith(
                    "average"
                )  # optimizer/adam/dense_kernel_average, not ema/dense/kernel
                front = f"{words[0]}/*{words[-1]}" if own else re.split("[./]", name)[0]
                found.setdefault(front, {})[back[spec.owner]] = name
                continue
            for tail, front in _tails(name):
                if tail in bare and self.catalog[name].shape == self.catalog[self.pairs[bare[tail]]].shape:
                    found.setdefault(front.rstrip("./"), {})[bare[tail]] = name
                    break
        for front, names in self._in_order(back).items():
            found.setdefault(front, names)
        return {front: names for front, names in found.items() if weights and weights <= names.keys()}

    def _in_order(self, back: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Parts of the save that hold the same tensors in the same order, under names that were counted on (``net_1``)."""
        parts: dict[str, list[str]] = {}
        for name, spec in self.catalog.items():
            if spec.role in ("weight", "buffer", "average") and "/" in name:
                parts.setdefault(name.partition("/")[0], []).append(name)
        own = {name.partition("/")[0] for name in back} & parts.keys()
        if len(own) != 1:
            return {}
        mine = parts[own.pop()]
        kinds = [(self.catalog[n].shape, _last(n)) for n in mine]
        return {
            part: {back[a]: b for a, b in zip(mine, names, strict=True) if a in back}
            for part, names in parts.items()
            if names != mine and [(self.catalog[n].shape, _last(n)) for n in names] == kinds
        }


def _last(name: str) -> str:
    return re.split("[./]", name)[-1]


def _bare(name: str) -> str:
    """A stored name without the part of the save (``model/``)."""
    head, slash, rest = name.partition("/")
    return rest if slash and head in ("model", "state_dict", "model_state_dict") else name


def _tails(name: str) -> list[tuple[str, str]]:
    cuts = [n for n, letter in enumerate(name) if letter in "./"]
    return [(name[cut + 1 :], name[: cut + 1]) for cut in cuts]


def held_against(stored: Stored, live: Any) -> dict[str, np.ndarray]:
    """Live tensors (weights and buffers) that do not hold what the checkpoint holds: name -> value."""
    found: dict[str, np.ndarray] = {}
    for name, variable in live.variables.items():
        if variable.spec.role not in ("weight", "buffer") or variable.read is None:
            continue
        was = stored.read(name)
        if was is None:
            continue
        now = np.array(variable.read())
        if (
            now.shape != was.shape
            or now.dtype != was.dtype
            or now.tobytes() != np.ascontiguousarray(was).tobytes()
        ):
            found[name] = now
    return found


def explain(
    changed: Mapping[str, np.ndarray], stored: Stored, live: Catalog, others: Mapping[str, Stored]
) -> Cause:
    """What the tensors hold that do not hold the checkpoint's values. ``others``: further steps of the run, by name."""
    names = list(changed)
    shown = ", ".join(f"`{n}`" for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    evidence: dict[str, Any] = {"tensors": names[:50], "count": len(names)}
    was = {name: value for name in names if (value := stored.read(name)) is not None}
    for word, kind in NARROW:
        if was and all(_is_narrowed(changed[n], value, kind) for n, value in was.items()):
            text = f"the model holds the checkpoint's values rounded to {word}"
            return Cause("metric-precision", text, "proved", evidence={**evidence, "precision": word})
    floats = {n: v for n, v in changed.items() if v.dtype.kind == "f" and not is_statistic(live[n])}
    for prefix in stored.copies():
        if floats and all(_same(v, stored.read(n, prefix)) for n, v in floats.items()):
            text = f"the model holds the copy `{prefix}` of the weights, not those of the model ({shown})"
            return Cause("metric-other-weights", text, "proved", evidence={**evidence, "copy": prefix})
    if all(is_statistic(live[name]) for name in names):
        reset = all(_is_initial(name, value) for name, value in changed.items())
        text = f"statistics of normalisation layers {'are at their initial value' if reset else 'were moved'}: {shown}"
        return Cause("metric-batch-statistics", text, "proved", evidence=evidence)
    for step, other in others.items():
        if all(_same(v, other.read(n)) for n, v in floats.items()) and floats:
            text = f"the model holds the weights of {step}"
            return Cause("metric-other-step", text, "proved", evidence={**evidence, "step": step})
    verb = "does" if len(names) == 1 else "do"
    text = f"{len(names)} of {len(stored.pairs)} tensors {verb} not hold the checkpoint's values: {shown}"
    return Cause("metric-state-changed", text, "proved", evidence=evidence)


def _same(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.shape == b.shape and np.array_equal(a, b)


def narrowed(values: np.ndarray, kind: Any) -> np.ndarray:
    """Rounded to a narrower type and back; what is no floating-point number stays."""
    if values.dtype.kind != "f" or values.dtype.itemsize <= 2:
        return values
    rounded: np.ndarray = values.astype(kind).astype(values.dtype)
    return rounded


def _is_narrowed(now: np.ndarray, was: np.ndarray, kind: Any) -> bool:
    if was.dtype.kind != "f" or was.dtype.itemsize <= 2 or now.shape != was.shape:
        return False
    return np.array_equal(now.astype(was.dtype), was.astype(kind).astype(was.dtype))


def _is_initial(name: str, value: np.ndarray) -> bool:
    last = name.replace("/", ".").rsplit(".", 1)[-1]
    return bool(np.all(value == (1 if "var" in last else 0)))


def initial_statistics(live: Any) -> dict[str, np.ndarray]:
    """Every running statistic of a live catalog at its initial value: mean 0, variance 1."""
    return {
        name: np.full_like(np.array(v.read()), 1 if "var" in name.replace("/", ".").rsplit(".", 1)[-1] else 0)
        for name, v in live.variables.items()
        if v.read is not None and is_statistic(v.spec) and "num_batches" not in name
    }
