"""What a tensor probably is, told from its name alone: only where the name is a convention of the frameworks.

For formats that store names, shapes and bytes and nothing else (safetensors, npz). A name that no convention
covers is a ``weight``; slots are told only by words that no module uses for a parameter.

Sources of the words: ``torch/nn/modules/batchnorm.py`` (buffers), ``keras/src/layers/normalization``
(``moving_*``), ``torch/optim/*.py`` (state keys), ``keras/src/optimizers`` (``iteration``),
``transformers/trainer.py`` (rng_state).
"""

from __future__ import annotations

from .dtypes import is_integer
from .spec import Role

__all__ = ["BUFFER_WORDS", "SLOT_WORDS", "guess_role", "last_word"]

BUFFER_WORDS = frozenset(
    {
        "running_mean",
        "running_var",
        "num_batches_tracked",
        "moving_mean",
        "moving_variance",
        "inv_freq",
        "position_ids",
    }
)
"""Last segments of names that only non-trainable state bears."""

SLOT_WORDS = frozenset(
    {
        "exp_avg",
        "exp_avg_sq",
        "max_exp_avg_sq",
        "exp_inf",
        "momentum_buffer",
        "square_avg",
        "grad_avg",
        "acc_delta",
        "prev",
        "step_size",
        "ax",
        "mu_product",
    }
)
"""State keys of ``torch.optim``; of these only the unmistakable ones count without further structure."""

_SURE_SLOTS = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "acc_delta"}
)
_COUNTERS = frozenset(
    {"step", "iterations", "iteration", "global_step", "epoch", "save_counter", "_iterations"}
)
_RNG = frozenset({"rng_state", "rng", "cuda_rng_state", "seed_generator_state", "random_state"})


def last_word(name: str) -> str:
    """The last segment of a name, whether ``.`` or ``/`` divides it."""
    return name.replace("/", ".").rsplit(".", 1)[-1]


def guess_role(name: str, dtype: str, shape: tuple[int, ...]) -> Role:
    """The role a name suggests: ``buffer``, ``slot``, ``counter``, ``rng`` or ``weight``. Never raises.

    Slots only by ``torch.optim`` state keys that no module uses for a parameter; a counter must be a scalar.
    """
    word = last_word(name)
    if word in BUFFER_WORDS:
        return "buffer"
    if word in _SURE_SLOTS:
        return "slot"
    small = shape in ((), (1,))
    if word in _COUNTERS and small:
        return "counter"
    if word in _RNG and is_integer(dtype):
        return "rng"
    if "optimizer" in name and word in SLOT_WORDS:
        return "slot"
    return "weight"
