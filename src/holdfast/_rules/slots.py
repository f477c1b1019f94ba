"""Which slot shapes and types are legitimate beside a weight."""

from __future__ import annotations

from math import prod

from .._core.spec import TensorSpec

__all__ = ["FACTORS", "FULL", "NOT_NUMBERS", "PER_WEIGHT", "STEP_WORDS", "shape_fits", "slot_word"]

FULL = frozenset(
    [
        "m",
        "v",
        "vhat",
        "v_hat",
        "exp_avg",
        "exp_avg_sq",
        "max_exp_avg_sq",
        "exp_inf",
        "momentum",
        "momentum_buffer",
        "square_avg",
        "grad_avg",
        "acc_delta",
        "sum",
        "accumulator",
        "linear",
        "rms",
        "mg",
        "average",
        "velocity",
        "velocities",
        "Adam",
        "Adam_1",
        "Momentum",
        "RMSProp",
        "Adagrad",
        "Ftrl",
        "prev",
        "step_size",
        "accum_grad",
        "accum_var",
        "Adadelta",
        "Adadelta_1",
        "accumulated_gradients",
        "prev_grad",
    ]
)
"""Slots that have their weight's shape in every optimizer that uses the word (torch/optim,
keras/src/optimizers, tensorflow/python/training)."""

PER_WEIGHT = frozenset(
    {"step", "steps", "u_product", "mu_product", "eta", "mu", "d", "s", "k", "t", "lr", "RMS"}
)
"""Scalars kept per weight."""

STEP_WORDS = frozenset({"step", "steps"})
"""Of these, step counts."""

NOT_NUMBERS = frozenset(
    {
        "state1",
        "state2",
        "qmap1",
        "qmap2",
        "absmax1",
        "absmax2",
        "max1",
        "max2",
        "new_max1",
        "new_max2",
        "unorm_vec",
        "gnorm_vec",
    }
)
"""Slots of 8-bit optimizers (bitsandbytes/optim/optimizer.py): codes, look-up tables and block maxima."""


FLAT = frozenset({"d", "prev_flat_grad", "old_dirs", "old_stps", "al", "ro", "H_diag", "flat_grad"})
"""L-BFGS keeps vectors over all weights together, under the first one (torch/optim/lbfgs.py)."""

PLACEHOLDERS = frozenset({"vhat", "v_hat", "max_exp_avg_sq"})
"""Slots that one optimizer keeps with a single element when the option that uses them is off
(keras/optimizers.py of Keras 2: ``K.zeros(1)`` for vhat without amsgrad)."""

FACTORS = frozenset({"v_row", "v_col"})
"""Factors of optax's second moment. Beside them a weight's whole moment is there too, with a single element
(``optax/_src/factorized.py``: ``v=jnp.zeros((1,))`` where a weight is factored)."""


def slot_word(slot: str | None) -> str:
    """The last word of a slot's name, TF1's counters dropped where they only count optimizers (``Adam_1``
    stays)."""
    return (slot or "").replace(".", "/").rsplit("/", 1)[-1]


def _word_of_list(slot: str | None) -> str:
    """The name of the list that a slot is an item of (``old_dirs/0``)."""
    head, _, last = (slot or "").rpartition("/")
    return head.rsplit("/", 1)[-1] if last.isdigit() else ""


def shape_fits(slot: TensorSpec, owner: TensorSpec) -> bool:
    """Whether the slot's shape is one that some optimizer keeps for a weight of the owner's shape.

    The weight's own shape, a scalar or one element, the shape with some axes dropped or of length 1
    (Adafactor's factored moments, SM3's per-axis accumulators), square matrices over one axis (Shampoo,
    SOAP), 8-bit codes.
    """
    word = slot_word(slot.slot)
    if slot.shape == owner.shape or (prod(slot.shape) <= 1 and (word not in FULL or word in PLACEHOLDERS)):
        return True
    if word in NOT_NUMBERS or word in FLAT or _word_of_list(slot.slot) in FLAT:
        return True
    if word in FULL:
        return False
    squeezed = [n for n in slot.shape if n != 1]
    axes = list(owner.shape)
    if len(squeezed) == 2 and squeezed[0] == squeezed[1] and squeezed[0] in axes:
        return True
    for n in squeezed:  # a sub-multiset of the axes
        if n not in axes:
            return False
        axes.remove(n)
    return True
