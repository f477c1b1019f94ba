"""How far a number that is measured again may lie from the first measurement, and where that figure comes from.

Measured by the project with Keras (TensorFlow) and PyTorch: MLPs of 2 x 512 units and a small CNN, evaluated again in a new
process, with other batch sizes, one and two threads, another row order, XLA, oneDNN off. Float32: at most 8e-8 relative, for
a bare sum of 1e7 numbers 8e-7. Float16: 3.6e-5. Bfloat16: 5.7e-3 with oneDNN off, which is another setup; on digits with
``mixed_bfloat16`` in one setup 7.5e-7 over batch sizes and threads, 5.5e-4 between eager and compiled evaluation. What is
marked as a judgement was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Tolerance", "layer_tolerance", "metric_tolerance", "precision_of"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``relative`` to the larger of two values, never less than ``absolute``; ``why`` says where both come from."""

    relative: float
    absolute: float
    why: str

    def holds(self, a: float, b: float) -> bool:
        """Whether two numbers agree; NaN agrees with NaN, an infinity with itself."""
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= max(self.absolute, self.relative * max(abs(a), abs(b)))


_HALF = frozenset({"float16", "f16", "fp16", "half", "mixed_float16"})
_BRAIN = frozenset({"bfloat16", "bf16", "mixed_bfloat16"})
_WIDE = frozenset({"float64", "f64", "double"})


def precision_of(words: Iterable[str | None]) -> str:
    """The coarsest of several number types, as ``bfloat16``, ``float16``, ``float64`` or ``float32``."""
    known = {str(word).lower() for word in words if word}
    if known & _BRAIN or any(word.startswith("float8") for word in known):
        return "bfloat16"
    if known & _HALF:
        return "float16"
    return "float64" if known and known <= _WIDE else "float32"


def metric_tolerance(precision: str, *, same_setup: bool) -> Tolerance:
    """For a metric that is evaluated again in inference mode on the same data. ``same_setup``: same libraries, processor
    and device; batch size and thread count do not count (8e-8 seen)."""
    if precision == "bfloat16":
        if same_setup:
            return Tolerance(2e-3, 2e-4, "bfloat16, same setup: 2e-3 (5.5e-4 seen, eager against compiled)")
        return Tolerance(1e-2, 1e-3, "bfloat16, another setup: 1e-2 (5.7e-3 seen with other kernels)")
    if precision == "float16":
        return Tolerance(1e-4, 1e-5, "float16: 1e-4 (3.6e-5 seen)")
    if same_setup:
        return Tolerance(
            1e-6, 3e-7, f"{precision}, same setup: 1e-6 (8e-8 seen, 8e-7 for a sum of 1e7 numbers)"
        )
    return Tolerance(
        1e-5, 1e-6, f"{precision}, another setup: 1e-5 (a judgement; 8e-8 seen within one machine)"
    )


def layer_tolerance(precision: str, *, same_setup: bool) -> Tolerance:
    """For what a layer gives for one batch, relative to the size of its numbers (their root mean square)."""
    if precision == "bfloat16" and same_setup:
        return Tolerance(
            4e-3,
            1e-6,
            "bfloat16, same setup: 4e-3 of the layer's size (8 bits of mantissa; the same bits seen)",
        )
    if precision == "bfloat16":
        return Tolerance(
            2e-2, 1e-6, "bfloat16: 2e-2 of the layer's size (a judgement: 8 bits of mantissa give 4e-3)"
        )
    if precision == "float16" and same_setup:
        return Tolerance(5e-4, 1e-7, "float16, same setup: 5e-4 of the layer's size (11 bits of mantissa)")
    if precision == "float16":
        return Tolerance(2e-3, 1e-7, "float16: 2e-3 of the layer's size (a judgement: 11 bits give 5e-4)")
    if same_setup:
        return Tolerance(
            1e-6,
            1e-9,
            f"{precision}, same setup: 1e-6 of the layer's size (the same bits are usual; metrics moved 8e-8)",
        )
    return Tolerance(1e-5, 1e-8, f"{precision}, another setup: 1e-5 of the layer's size (a judgement)")
