"""Axis orders of kernels by framework, and the permutations between them.

Keras, TensorFlow and flax keep spatial axes first and channels last; PyTorch keeps output channels first:

============== ==================== ==================== ====================================================
layer          Keras, TF, flax      PyTorch              source
============== ==================== ==================== ====================================================
dense          (in, out)            (out, in)            keras/src/layers/core/dense.py;
                                                         torch/nn/modules/linear.py
conv 1D        (k, in, out)         (out, in, k)         keras/src/layers/convolutional/base_conv.py;
                                                         torch/nn/modules/conv.py
conv 2D        (h, w, in, out)      (out, in, h, w)      the same
conv 3D        (d, h, w, in, out)   (out, in, d, h, w)   the same
conv transpose (..., out, in)       (in, out, ...)       base_conv_transpose.py; conv.py, ``transposed``
depthwise 2D   (h, w, in, 1)        (in, 1, h, w)        base_depthwise_conv.py, multiplier 1; groups = in
============== ==================== ==================== ====================================================

One permutation a rank serves all of them. Embeddings, normalisation vectors and biases keep their order.
"""

from __future__ import annotations

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "KERNEL_LEAVES", "PERMUTATIONS", "UNMOVED_LEAVES", "inverse"]

# channels last (Keras) -> channels first (PyTorch), as numpy.transpose takes it
_TO_FIRST: dict[int, tuple[int, ...]] = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}
# a depthwise kernel has its channels on the third axis from the end of the spatial ones
_DEPTHWISE: dict[int, tuple[int, ...]] = {3: (1, 2, 0), 4: (2, 3, 0, 1), 5: (3, 4, 0, 1, 2)}


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes ``axes``: ``transpose(transpose(x, axes), inverse(axes))`` is ``x``."""
    back = [0] * len(axes)
    for to, axis in enumerate(axes):
        back[axis] = to
    return tuple(back)


CHANNELS_LAST = "io"
CHANNELS_FIRST = "oi"

PERMUTATIONS: dict[tuple[str, str, int], tuple[tuple[int, ...], ...]] = {}
"""(layout here, layout there, rank) -> permutations that lead from one to the other, the likeliest first."""
for _rank, _axes in _TO_FIRST.items():
    _rows = (_axes, _DEPTHWISE[_rank]) if _rank in _DEPTHWISE else (_axes,)
    PERMUTATIONS[CHANNELS_LAST, CHANNELS_FIRST, _rank] = _rows
    PERMUTATIONS[CHANNELS_FIRST, CHANNELS_LAST, _rank] = tuple(map(inverse, _rows))

KERNEL_LEAVES: dict[str, str | None] = {
    "kernel": CHANNELS_LAST,
    "recurrent_kernel": CHANNELS_LAST,
    "depthwise_kernel": CHANNELS_LAST,
    "pointwise_kernel": CHANNELS_LAST,
    "W": CHANNELS_LAST,
    "weight": None,
    "weights": None,
    "w": None,
}
"""Last segments that name a kernel, and the layout they prove by themselves (``None``: the dialect tells).
``kernel`` is Keras's, TensorFlow's and flax's word (keras/src/layers/core/dense.py; flax/linen/linear.py)."""

UNMOVED_LEAVES = frozenset(
    {
        "embeddings",
        "embedding",
        "bias",
        "beta",
        "gamma",
        "scale",
        "moving_mean",
        "moving_variance",
        "running_mean",
        "running_var",
    }
)
"""Last segments whose axes no framework permutes."""
