"""What is kept of a layer's output: a few numbers by which two runs of one batch can be told apart.

Mean and deviation see a shift, least and greatest a lost outlier, and projections on fixed random signs (Johnson and
Lindenstrauss 1984; signs after Achlioptas 2003) what leaves all four as they are: a permutation, a transposition. Rounding of
relative size e moves each of these by about e times the root mean square, whatever the number of elements.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._facts.tolerances import Tolerance

__all__ = ["PROJECTIONS", "Sketch", "differs", "sketch"]

PROJECTIONS = 4
_MOST = 1 << 17
"""Elements that are projected; of more, some at equal (odd) distances. Moments and extremes are of all."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """One output of one layer.

    path, class_name: the layer, as tensor names begin. output: which of several, ``""`` for the only one. shape, dtype.
    mean, std, low, high: of what is finite. nan: share of NaN and infinities. signs: projections on ``seed``'s signs.
    """

    path: str
    class_name: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    mean: float = 0.0
    std: float = 0.0
    low: float = 0.0
    high: float = 0.0
    nan: float = 0.0
    signs: tuple[float, ...] = ()
    seed: str = ""

    @property
    def size(self) -> float:
        """Root mean square of the numbers."""
        return math.hypot(self.mean, self.std)

    def as_document(self) -> dict[str, Any]:
        """Values that JSON knows."""
        return {
            "path": self.path, "class": self.class_name, "output": self.output, "shape": list(self.shape),
            "dtype": self.dtype, "mean": self.mean, "std": self.std, "min": self.low, "max": self.high, "nan": self.nan,
            "signs": list(self.signs), "seed": self.seed,
        }  # fmt: skip

    @classmethod
    def from_document(cls, row: Mapping[str, Any]) -> Sketch:
        """The inverse. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what :meth:`as_document` never makes."""
        return cls(
            str(row["path"]), str(row["class"]), str(row["output"]), tuple(int(n) for n in row["shape"]),
            str(row["dtype"]), float(row["mean"]), float(row["std"]), float(row["min"]), float(row["max"]),
            float(row["nan"]), tuple(float(n) for n in row["signs"]), str(row["seed"]),
        )  # fmt: skip


def sketch(
    path: str, class_name: str, output: str, values: np.ndarray, dtype: str, seed: str | None = None
) -> Sketch:
    """The sketch of ``values`` (any shape and number type; ``dtype`` is what the framework calls it). ``seed``: whose
    random signs, by default those of path and output."""
    seed = f"{path}:{output}" if seed is None else seed
    shape = tuple(int(n) for n in values.shape)
    if values.dtype.kind not in "fiub" and values.dtype.name not in ("bfloat16",):
        return Sketch(path, class_name, output, shape, dtype, seed=seed)
    flat = np.asarray(values).reshape(-1).astype(np.float64)
    if not flat.size:
        return Sketch(path, class_name, output, shape, dtype, seed=seed)
    total, lost = float(flat.sum()), 0.0
    if not math.isfinite(total):
        whole = np.isfinite(flat)
        lost = 1.0 - float(whole.mean())
        flat = flat[whole]
        if not flat.size:
            return Sketch(path, class_name, output, shape, dtype, nan=1.0, seed=seed)
        total = float(flat.sum())
    mean = total / flat.size
    apart = flat - mean
    std = math.sqrt(float(np.dot(apart, apart)) / flat.size)
    picked = flat if flat.size <= _MOST else flat[:: -(-flat.size // _MOST) | 1]
    draw = np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little"))
    )
    bits = draw.integers(0, 1 << PROJECTIONS, picked.size, dtype=np.uint8)
    scale = 1.0 / math.sqrt(picked.size)
    total = float(picked.sum())
    signs = tuple(
        (2.0 * float(np.dot((bits >> n) & 1, picked)) - total) * scale for n in range(PROJECTIONS)
    )  # the sum over the set bits twice, less the sum of all
    return Sketch(
        path, class_name, output, shape, dtype, mean, std, float(flat.min()), float(flat.max()), lost, signs, seed,
    )  # fmt: skip


def differs(was: Sketch, now: Sketch, tolerance: Tolerance) -> tuple[float, str] | None:
    """How far (in units of the size of the numbers) and in which words two sketches differ; ``None`` where they agree."""
    if was.shape != now.shape:
        return math.inf, f"its output has shape {list(now.shape)}, and had {list(was.shape)}"
    if was.dtype != now.dtype:
        return math.inf, f"it computes in {now.dtype}, and did in {was.dtype}"
    if abs(was.nan - now.nan) > 1e-12:
        return math.inf, f"{now.nan:.2%} of its output is not finite, and {was.nan:.2%} was not"
    size = max(was.size, now.size)
    reach = max(abs(was.low), abs(was.high), abs(now.low), abs(now.high))
    worst, told = 0.0, ""
    rows = [("mean", was.mean, now.mean, size), ("deviation", was.std, now.std, size)]
    rows += [("least value", was.low, now.low, reach), ("greatest value", was.high, now.high, reach)]
    if was.seed == now.seed:
        rows += [("projection", a, b, size) for a, b in zip(was.signs, now.signs, strict=False)]
    for word, a, b, scale in rows:
        if abs(a - b) <= max(tolerance.absolute, tolerance.relative * scale):
            continue
        far = abs(a - b) / scale if scale else math.inf
        if far > worst:
            worst, told = far, f"its output differs by {far:.2g} of its size"
            if word != "projection":
                told += f", its {word} is {b:.6g} and was {a:.6g}"
    return (worst, told) if worst else None
