"""What outputs and labels alone tell of a difference: another function under the same name, permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .comparing import by_chance
from .evaluation import Evaluation
from .report import Cause, Row

__all__ = ["from_batches", "from_outputs"]

_CLASSES = 1024
_EXCHANGED = 64


def from_batches(
    result: Evaluation, rows: Sequence[Row], bare: Callable[[str], str | None]
) -> Iterator[Cause]:
    """One is a mean over samples, the other a mean of batch means, or the last batch's alone."""
    last = _of_last_batch(result, rows, bare)
    if last:
        count = sum(n for n, _ in result.batches)
        text = f"the recorded number is that of the last batch alone ({result.batches[-1][0]} of {count} samples)"
        yield Cause("metric-averaging", text, "fits", tuple(last), {"batches": len(result.batches)})
        return
    if len({n for n, _ in result.batches}) < 2:
        return  # with equal batches both are the same
    explained, told = [], ""
    for row in rows:
        name = bare(row.metric.name)
        pairs = [(n, values[name]) for n, values in result.batches if name is not None and name in values]
        if row.tolerance is None or row.now is None or not pairs:
            continue
        means = float(np.mean([v for _, v in pairs]))
        samples = float(sum(n * v for n, v in pairs) / sum(n for n, _ in pairs))
        for this, words, other, others in (
            (means, "a mean of batch means", samples, "a mean over samples"),
            (samples, "a mean over samples", means, "a mean of batch means"),
        ):
            if row.tolerance.holds(this, row.now) and row.tolerance.holds(other, row.metric.value):
                explained.append(row.metric.name)
                told = f"the evaluation gives {words} of unequal batches, and the recorded number is {others}"
    if explained:
        yield Cause("metric-averaging", told, "proved", tuple(explained), {"batches": len(result.batches)})


def _of_last_batch(result: Evaluation, rows: Sequence[Row], bare: Callable[[str], str | None]) -> list[str]:
    """Metrics whose recorded number the last of several batches gives: a log of every step, read at the end of the epoch."""
    if len(result.batches) < 2:
        return []
    values = result.batches[-1][1]
    found = [
        row.metric.name
        for row in rows
        if row.tolerance is not None
        and (name := bare(row.metric.name)) is not None
        and name in values
        and row.tolerance.holds(values[name], row.metric.value)
    ]
    return [] if by_chance(rows, found) else found


def from_outputs(result: Evaluation, rows: Sequence[Row]) -> Iterator[Cause]:
    """Permuted classes first (they explain several metrics at once), then other functions of that name."""
    if result.outputs is None or result.labels is None or result.outputs.ndim != 2:
        return
    outputs, labels = result.outputs.astype(np.float64), _ids(result.labels)
    if labels is None or outputs.shape[1] < 2 or outputs.shape[1] > _CLASSES or not len(outputs):
        return
    order = _permutation(outputs, labels)
    if order is not None:
        again = dict(_functions(outputs, order[labels]))
        fits = _fitting(rows, again)
        if fits:
            moved = [f"{n}→{order[n]}" for n in range(len(order)) if order[n] != n]
            text = f"under another order of the classes ({', '.join(moved[:6])}{' ...' if len(moved) > 6 else ''}) the recorded "
            text += "number comes back: the label map is another one"
            yield Cause(
                "metric-labels-permuted", text, "fits", tuple(fits), {"permutation": order.tolist()[:100]}
            )
            return
    fits = _fitting(rows, dict(_functions(outputs, labels)), accuracy_only=True)
    if fits:
        word = next(iter(fits.values()))
        text = f"the recorded number is {word} of the same outputs and labels: the metric was resolved to another function"
        yield Cause("metric-resolved-differently", text, "fits", tuple(fits), {"function": word})


def _ids(labels: np.ndarray) -> np.ndarray | None:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels.argmax(axis=1))
    flat = labels.reshape(len(labels), -1)
    return flat[:, 0].astype(np.int64) if flat.shape[1] == 1 and labels.dtype.kind in "iuf" else None


def _permutation(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Label -> class, so that most samples agree: the fullest cells of the confusion table first, then exchanges of two as
    long as they gain. ``None`` where the labels are right as they are."""
    count = outputs.shape[1]
    if labels.min() < 0 or labels.max() >= count:
        return None
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (labels, outputs.argmax(axis=1)), 1)
    order = np.full(count, -1)
    taken: set[int] = set()
    for cell in np.argsort(-table, axis=None, kind="stable"):
        row, column = divmod(int(cell), count)
        if order[row] < 0 and column not in taken:
            order[row] = column
            taken.add(column)
    gained = count <= _EXCHANGED
    while gained:
        gained = False
        for a in range(count):
            for b in range(a + 1, count):
                if table[a, order[b]] + table[b, order[a]] > table[a, order[a]] + table[b, order[b]]:
                    order[a], order[b] = order[b], order[a]
                    gained = True
    return None if (order == np.arange(count)).all() else order


def _functions(outputs: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """Numbers that one outputs-and-labels pair gives, by what they are."""
    count = outputs.shape[1]
    hot = np.eye(count)[labels]
    top = np.argsort(-outputs, axis=1)
    yield "the share of samples whose greatest output is the label's", float((top[:, 0] == labels).mean())
    for k in (2, 3, 5):
        if k < count:
            yield f"top-{k} accuracy", float((top[:, :k] == labels[:, None]).any(axis=1).mean())
    for limit in (0.5, 0.0):
        hits = (outputs > limit) == (hot > 0.5)
        yield f"accuracy element by element with the threshold {limit:g}", float(hits.mean())
        yield (
            f"the share of samples with all elements right (threshold {limit:g})",
            float(hits.all(axis=1).mean()),
        )
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    yield "cross-entropy of logits", float(-logs[np.arange(len(labels)), labels].mean())
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-4):
        picked = np.clip(outputs[np.arange(len(labels)), labels], 1e-7, 1 - 1e-7)
        yield "cross-entropy of probabilities", float(-np.log(picked).mean())


def _fitting(rows: Sequence[Row], values: dict[str, float], *, accuracy_only: bool = False) -> dict[str, str]:
    """Metric -> which of the numbers it is; computed here in other precision, so to 1e-5."""
    found: dict[str, str] = {}
    for row in rows:
        if accuracy_only and "acc" not in row.metric.name.lower():
            continue
        for word, value in values.items():
            if accuracy_only and "cross-entropy" in word:
                continue
            if abs(value - row.metric.value) <= 1e-5 * max(1e-3, abs(value)):
                found[row.metric.name] = word
                break
    return found
