"""What state each optimizer keeps per weight, by class and generation.

A *generation* is a family of optimizer implementations whose state has one layout:

- ``keras-3``: ``keras.optimizers`` of Keras 3 (source: ``keras/src/optimizers/*.py``, the ``build`` methods);
- ``keras-2.11``: ``keras.optimizers`` of Keras 2.11-2.15 (source: ``keras/optimizers/*.py`` of those
releases);
- ``optimizer-v2``: ``tf.keras.optimizers`` of TensorFlow 1.13-2.10, later ``optimizers.legacy``
  (source: ``keras/optimizer_v2/*.py``, ``_create_slots``);
- ``keras-1``: Keras 0.x-2.3 and TF 1.x's ``tf.keras`` (source: ``keras/optimizers.py``, ``get_updates``).

Everything here is data; :func:`slot_blocks` only picks rows by configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "GENERATIONS",
    "KERAS_SLOTS",
    "KERAS2_SLOTS",
    "OPTIMIZER_V2_SLOTS",
    "KERAS1_SLOTS",
    "TORCH_SLOTS",
    "Block",
    "slot_blocks",
    "likely_class",
    "likely_classes",
    "known_slots",
]

GENERATIONS = ("keras-3", "keras-2.11", "optimizer-v2", "keras-1")


class Block(NamedTuple):
    """A run of optimizer state: for each weight in turn one tensor of each name, or all of one name, then
    the next.

    ``interleaved``: ``(m of w0, v of w0, m of w1, ...)`` rather than ``(m of w0, m of w1, ..., v of w0,
    ...)``.
    ``scalars``: the tensors have shape ``(1,)`` instead of the weight's (place holders of an option that is
    off).
    """

    names: tuple[str, ...]
    interleaved: bool = True
    scalars: bool = False


KERAS_SLOTS: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum",),
    "Adam": ("momentum", "velocity", "velocity_hat"),
    "AdamW": ("momentum", "velocity", "velocity_hat"),
    "Nadam": ("momentum", "velocity"),
    "Adamax": ("momentum", "norm"),
    "Adagrad": ("accumulator",),
    "Adadelta": ("accumulated_grad", "accumulated_delta_var"),
    "RMSprop": ("velocity", "momentum", "average_gradient"),
    "Ftrl": ("accumulator", "linear"),
    "Lion": ("momentum",),
    "Lamb": ("momentum", "velocity"),
    "Adafactor": ("r", "c", "velocity"),
    "Muon": ("momentum", "velocity"),
    "ScheduleFreeAdamW": ("momentum", "velocity"),
}
"""Keras 3: class -> slot names, all options on. Source: ``keras/src/optimizers/<class>.py``, ``build``."""

KERAS2_SLOTS: dict[str, tuple[str, ...]] = {
    "SGD": ("m",),
    "Adam": ("m", "v", "vhat"),
    "AdamW": ("m", "v", "vhat"),
    "Nadam": ("m", "v"),
    "Adamax": ("m", "u"),
    "Adagrad": ("accumulator",),
    "Adadelta": ("accumulated_grad", "accumulated_delta_var"),
    "RMSprop": ("velocity", "momentum", "average_gradient"),
    "Ftrl": ("accumulator", "linear"),
    "Adafactor": ("r", "c", "v"),
    "Lion": ("m",),
}
"""Keras 2.11-2.15. Source: ``keras/optimizers/<class>.py`` of Keras 2.15, ``build``."""

OPTIMIZER_V2_SLOTS: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum",),
    "Adam": ("m", "v", "vhat"),
    "Nadam": ("m", "v"),
    "Adamax": ("m", "v"),
    "Adagrad": ("accumulator",),
    "Adadelta": ("accum_grad", "accum_var"),
    "RMSprop": ("rms", "momentum", "mg"),
    "Ftrl": ("accumulator", "linear"),
}
"""``tf.keras.optimizers`` of TF 1.13-2.10. Source: ``keras/optimizer_v2/<class>.py``, ``_create_slots``."""

KERAS1_SLOTS: dict[str, tuple[str, ...]] = {
    "SGD": ("moment",),
    "Adam": ("m", "v", "vhat"),
    "Nadam": ("m", "v"),
    "Adamax": ("m", "u"),
    "Adagrad": ("accumulator",),
    "Adadelta": ("accumulator", "delta_accumulator"),
    "RMSprop": ("accumulator",),
}
"""Keras 0.x-2.3. Source: ``keras/optimizers.py`` of Keras 2.3, ``get_updates`` (``self.weights = [...]``)."""

TORCH_SLOTS: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum_buffer",),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "Adamax": ("exp_avg", "exp_inf"),
    "NAdam": ("exp_avg", "exp_avg_sq", "mu_product"),
    "RAdam": ("exp_avg", "exp_avg_sq"),
    "Adagrad": ("sum",),
    "Adadelta": ("square_avg", "acc_delta"),
    "RMSprop": ("square_avg", "momentum_buffer", "grad_avg"),
    "Rprop": ("prev", "step_size"),
    "ASGD": ("eta", "mu", "ax"),
    "LBFGS": ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss", "al"),
    "SparseAdam": ("exp_avg", "exp_avg_sq"),
    "Adafactor": ("row_var", "col_var", "variance"),
    "Muon": ("momentum_buffer",),
}
"""``torch.optim``: class -> state names beside ``step``, all options on. Source:
``torch/optim/<class>.py``.
"""

_SLOTS = {
    "keras-3": KERAS_SLOTS,
    "keras-2.11": KERAS2_SLOTS,
    "optimizer-v2": OPTIMIZER_V2_SLOTS,
    "keras-1": KERAS1_SLOTS,
}

# Which option of the configuration a slot depends on; without configuration every subset is possible.
_OPTION = {
    ("SGD", "momentum"): "momentum",
    ("SGD", "m"): "momentum",
    ("Adam", "velocity_hat"): "amsgrad",
    ("Adam", "vhat"): "amsgrad",
    ("AdamW", "velocity_hat"): "amsgrad",
    ("AdamW", "vhat"): "amsgrad",
    ("RMSprop", "momentum"): "momentum",
    ("RMSprop", "average_gradient"): "centered",
    ("RMSprop", "mg"): "centered",
}

# Slots that newer Keras creates in one loop over the weights; every other slot has a loop of its own.
_TOGETHER = (
    ("momentum", "velocity"),
    ("momentum", "norm"),
    ("m", "v"),
    ("m", "u"),
    ("accumulator", "linear"),
    ("accumulated_grad", "accumulated_delta_var"),
)


def plain_class(name: str | None) -> str | None:
    """A class name as the tables have it: without package (``Custom>Adam``) and legacy prefixes; ``None``
    stays.
    """
    if not name:
        return None
    name = name.rsplit(">", 1)[-1].rsplit(".", 1)[-1]
    tables = (KERAS_SLOTS, KERAS2_SLOTS, OPTIMIZER_V2_SLOTS)
    for table in tables:
        for known in table:
            if known.lower() == name.lower().replace("_", ""):  # Keras calls an RMSprop rm_sprop
                return known
    return name


def known_slots(class_name: str | None, generation: str) -> tuple[str, ...]:
    """All slot names that class can have in that generation; empty for classes the tables lack."""
    plain = plain_class(class_name)
    return _SLOTS[generation].get(plain or "", ())


def slot_blocks(
    class_name: str | None, generation: str, config: Mapping[str, Any] | None = None
) -> list[tuple[Block, ...]]:
    """The layouts in which that optimizer's state can follow its scalars, the most likely first.

    ``config`` is the optimizer's configuration as Keras writes it (``amsgrad``, ``momentum``, ``centered``,
    ``use_ema``, ``gradient_accumulation_steps``); without it every combination of options is given. Empty for
    classes the tables lack.
    """
    plain = plain_class(class_name)
    slots = known_slots(plain, generation)
    if not slots:
        return []
    found: list[tuple[Block, ...]] = []
    for extra in _extras(generation, config):
        for chosen in _choices(plain or "", slots, config):
            found.extend((*extra, *rest) for rest in _arranged(chosen, generation))
    return found


def _choices(
    plain: str, slots: tuple[str, ...], config: Mapping[str, Any] | None
) -> Iterable[tuple[str, ...]]:
    """The subsets of slots that the options allow."""
    optional = [name for name in slots if (plain, name) in _OPTION]
    if config is not None:
        yield tuple(n for n in slots if (plain, n) not in _OPTION or config.get(_OPTION[(plain, n)]))
        if not optional:
            return
    for count in range(2 ** len(optional)):
        off = {name for bit, name in enumerate(optional) if not count >> bit & 1}
        yield tuple(name for name in slots if name not in off)


def _extras(generation: str, config: Mapping[str, Any] | None) -> Iterable[tuple[Block, ...]]:
    """What the base class puts before the slots: averages (``use_ema``), gradient accumulators.

    Source: ``keras/src/optimizers/base_optimizer.py``, ``build``.
    """
    if generation not in ("keras-3", "keras-2.11"):
        return ((),)
    average, gradient = Block(("average",)), Block(("gradient_accumulator",))
    if config is not None:
        named: tuple[Block, ...] = ()
        if config.get("use_ema"):
            named += (average,)
        if config.get("gradient_accumulation_steps"):
            named += (gradient,)
        return (named,)
    return ((), (average,), (gradient,), (average, gradient))


def _arranged(chosen: tuple[str, ...], generation: str) -> Iterable[tuple[Block, ...]]:
    if not chosen:
        yield ()
        return
    apart = tuple(Block((name,)) for name in chosen)
    if generation in ("keras-3", "keras-2.11"):
        pair = next((p for p in _TOGETHER if chosen[: len(p)] == p), None)
        if pair is not None:
            yield (Block(pair), *(Block((name,)) for name in chosen[len(pair) :]))
        # the order of a few Keras 3 releases (keras-team/keras#21232), and of Keras 2 with legacy slots
        yield apart
        return
    yield apart
    if generation == "keras-1" and chosen == ("m", "v"):
        # Keras 2.1-2.3 keep a one-element place holder per weight when amsgrad is off.
        yield (*apart, Block(("vhat",), scalars=True))


_OPTIONAL = {
    "velocity_hat",
    "vhat",
    "max_exp_avg_sq",
    "momentum_buffer",
    "momentum",
    "mg",
    "average_gradient",
}


def likely_classes(
    slots: Iterable[str], table: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[str, ...]:
    """The classes whose state these slot names can be, closest first; empty where none fits.

    ``table`` is one of the tables above; by default all of them are asked.
    """
    seen = {s for s in slots if s not in ("step", "average", "gradient_accumulator")}
    if not seen:
        return ()
    tables = (table,) if table is not None else (*_SLOTS.values(), TORCH_SLOTS)
    scored: dict[str, int] = {}
    for rows in tables:
        for name, known in rows.items():
            if seen <= set(known):
                scored[name] = min(scored.get(name, 99), len(set(known) - seen - _OPTIONAL))
    return tuple(sorted(scored, key=lambda name: scored[name]))


def likely_class(slots: Iterable[str], table: Mapping[str, tuple[str, ...]] | None = None) -> str | None:
    """The class that these slot names suggest most, or ``None``; a guess, to be marked as such.

    ``likely_class({"exp_avg", "exp_avg_sq"})`` is ``"Adam"`` (AdamW keeps the same; the state cannot tell
    them apart).
    """
    found = likely_classes(slots, table)
    return found[0] if found else None
