"""What the evaluation feeds the model, held against the recorded identity of the data, the probe's batch and the contract.

Other samples and other preprocessing both change every digest. What tells them apart: samples that are in both sets prove that
the preprocessing is the same; samples of the probe that come back stretched or shifted prove that it is another.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._core.errors import HoldfastError
from .._record.data.contract import Learned
from .._record.data.identity import digests_of_samples, is_identity
from .._record.data.shifts import Shift, shifts
from .._record.probe import Probe
from .evaluation import Observed
from .report import Cause
from .trials import Trials

__all__ = ["from_inputs", "stretched"]

_FEWEST = 4
_ALIKE = 1 - 1e-6
_UNSURE = frozenset({"drift", "label-shift", "missing-values"})


def from_inputs(
    trials: Trials, seen: Observed, probe: Probe | None, contract: Learned | None
) -> Iterator[Cause]:
    """At most one cause: other inputs, or other data."""
    if not seen.identity.samples:
        return
    rows = trials.rows
    known = [row for row in rows if is_identity(row.metric.data)]
    other = [row for row in known if not seen.identity.holds(str(row.metric.data))]
    if known and not other and len(known) == len(rows):
        counts = {int(str(row.metric.data).split(":")[1]) for row in known}
        if all(seen.identity.samples % count == 0 for count in counts):
            trials.ruled_out.append(
                "other data or preprocessing: the model is fed exactly the recorded samples"
            )
            return
        text = f"the evaluation ran on {seen.identity.samples} samples, and {max(counts)} of them are the recorded ones"
        yield Cause("metric-other-data", text, "likely", tuple(row.metric.name for row in rows))
        return
    names = tuple(row.metric.name for row in (other or rows))
    batch = next(iter(probe.batch.values()), None) if probe is not None else None
    first = next(iter(seen.fields.values()), None)
    back = batch is not None and not seen.identity.seen.isdisjoint(digests_of_samples(batch))
    same_kind = back or any(seen.identity.overlaps(str(row.metric.data)) for row in other)
    if not same_kind and batch is not None and first is not None:
        how = stretched(batch, first)
        if how is not None:
            text = f"the evaluation feeds the model the same samples, preprocessed otherwise: {how}"
            yield Cause("metric-other-inputs", text, "proved", names, {"kind": "constants", "how": how})
            return
    shift = None if same_kind else _shifted(first, contract)
    if shift is not None and (not other or shift.kind not in _UNSURE):
        text = f"the evaluation feeds the model other inputs than the run did: {shift.message}"
        evidence = {
            "kind": shift.kind,
            "effect": shift.effect,
            "seen": shift.seen,
            "expected": shift.expected,
        }
        yield Cause("metric-other-inputs", text, "proved" if other else "likely", names, evidence)
        return
    counted = [
        row for row in rows if row not in known and row.metric.samples not in (None, seen.identity.samples)
    ]
    if other:
        then = str(other[0].metric.data)
        some = "some samples are in both" if same_kind else "no sample is known to be in both"
        text = (
            f"the evaluation ran on other data: {_told(then)} then, {_told(seen.identity.text)} now; {some}"
        )
        evidence = {"recorded": then, "now": seen.identity.text}
        yield Cause("metric-other-data", text, "proved", names, evidence)
    elif counted:
        then = f"{counted[0].metric.samples} samples"
        text = f"the evaluation ran on other data: {then} then, {seen.identity.samples} now"
        yield Cause(
            "metric-other-data", text, "likely", tuple(row.metric.name for row in counted), {"recorded": then}
        )
    elif back:
        trials.ruled_out.append("other preprocessing: samples of the probe are fed as they were")


def _told(identity: str) -> str:
    _, count, total, _ = identity.split(":")
    return f"{count} samples (digest {total[:8]})"


def stretched(was: np.ndarray, now: np.ndarray) -> str | None:
    """In words, how samples of ``was`` come back in ``now``: stretched and shifted as a whole (in any order), or number by
    number (in the same order); ``None`` where they do not."""
    if was.shape[1:] != now.shape[1:] or was.dtype.kind not in "fiu" or now.dtype.kind not in "fiu":
        return None
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (was, now))
    if a.shape[1] < 3:
        return None
    a, b = a[np.isfinite(a).all(axis=1)], b[np.isfinite(b).all(axis=1)]
    return _as_a_whole(a, b) or _by_number(a, b)


def _as_a_whole(a: np.ndarray, b: np.ndarray) -> str | None:
    """Every number times one factor, plus one constant: samples then correlate fully with themselves."""
    one, two = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    sizes = (np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1))
    live = (sizes[0] > 0, sizes[1] > 0)
    if live[0].sum() < _FEWEST or live[1].sum() < _FEWEST:
        return None
    match = (one[live[0]] / sizes[0][live[0], None]) @ (two[live[1]] / sizes[1][live[1], None]).T
    best = match.argmax(axis=1)
    hits = match.max(axis=1) > _ALIKE
    if hits.sum() < max(_FEWEST, len(hits) // 2):
        return None
    x, y = a[live[0]][hits], b[live[1]][best[hits]]
    factor = float((sizes[1][live[1]][best[hits]] / sizes[0][live[0]][hits]).mean())
    shift = float(y.mean() - factor * x.mean())
    return f"every number is {factor:.4g} times what it was, {'plus' if shift >= 0 else 'minus'} {abs(shift):.4g}"


def _by_number(a: np.ndarray, b: np.ndarray) -> str | None:
    """Each number by its own factor and constant, as other means and deviations give."""
    n = min(len(a), len(b))
    if n < 2 * _FEWEST:
        return None
    x, y = a[:n], b[:n]
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    live = (dx**2).sum(axis=0) > 1e-12 * n
    if live.sum() < 2:
        return None
    slope = (dx * dy)[:, live].sum(axis=0) / (dx[:, live] ** 2).sum(axis=0)
    rest = dy[:, live] - slope * dx[:, live]
    if (rest**2).sum() > 1e-8 * max(1e-30, float((dy**2).sum())) or np.allclose(slope, 0):
        return None
    return f"each number has a factor ({slope.min():.4g} to {slope.max():.4g}) and a constant of its own"


def _shifted(first: np.ndarray | None, contract: Learned | None) -> Shift | None:
    """The most telling shift against the contract's field of that shape."""
    if first is None or len(first) < 2 or contract is None:
        return None
    fields = [
        f for f in contract.fields.values() if len(f.shape) == first.ndim - 1 and f.form.kind != "labels"
    ]
    if not fields:
        return None
    entry = fields[0]
    fits = first.dtype.kind == "f" and np.dtype(entry.dtype).kind == "f"
    try:
        found = shifts(
            Learned({entry.name: entry}), {entry.name: first.astype(entry.dtype) if fits else first}
        )
    except HoldfastError:
        return None
    return max(found, key=lambda s: (s.kind not in _UNSURE, s.effect), default=None)
