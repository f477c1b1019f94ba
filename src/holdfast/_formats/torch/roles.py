"""The role of each tensor in a torch checkpoint: told by where it lies first, by its name second.

Sources of the words: torch/nn/modules/batchnorm.py and torch/optim/swa_utils.py (``n_averaged``),
transformers/trainer.py (``rng_state``), lightning/pytorch/utilities/seed.py (``rng``), timm and ultralytics
(``ema``, ``state_dict_ema``), lightning/pytorch/trainer/connectors/checkpoint_connector.py (``callbacks``: scores of
ModelCheckpoint and EarlyStopping, infinite at first).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..._core.roles import guess_role
from ..._core.spec import Role
from ..pickles.arrays import NumpyArray
from .leaves import Leaf
from .views import Tensor

__all__ = ["role_of", "average_homes", "averaged_owner", "may_be_special"]

_AVERAGE = re.compile(r"(^|[/._-])(ema|swa|averaged?|polyak|shadow|teacher_ema)([/._-]|$)|_ema$|^ema_")
_RNG = re.compile(r"(^|[/._])(\w*rng\w*|random_states?\w*|generator_state)([/._]|$)")
_SCHEDULER = re.compile(r"(^|[/._])(lr_)?schedulers?([/._]|$)")
_METRIC = re.compile(r"(^|/)(\w*_)?(loss|losses|metrics?|accuracy|acc|best_\w+|history)(/|$)")
_CALLBACKS = "callbacks/"
_DATA = re.compile(r"(^|/)(sampler|dataloader|data_loader|dataset)(_state\w*)?(/|$)")
_SPECIAL_WORDS = (
    *("rng", "random_state", "generator_state", "scheduler", "sampler", "loader", "dataset"),
    *("loss", "metric", "acc", "best_", "history", _CALLBACKS),
)
_SPECIAL = re.compile("|".join(_SPECIAL_WORDS))
_PLAIN_ENDS = (".weight", ".bias")
_PLAIN_TYPES = frozenset({"float64", "float32", "float16", "bfloat16"})
_WRAPPERS = ("module.", "_orig_mod.", "model.")


def average_homes(homes: dict[str, list[Leaf]]) -> set[str]:
    """Names of the state dicts that hold averaged copies: by their name, or by an ``n_averaged`` counter
    inside.
    """
    found = set()
    for home, leaves in homes.items():
        if (home and _AVERAGE.search(home.lower())) or any(leaf.local == "n_averaged" for leaf in leaves):
            found.add(home)
    return found


def averaged_owner(leaf: Leaf, homes: dict[str, list[Leaf]], averages: set[str]) -> str | None:
    """The weight that an averaged copy belongs to: the same local name (wrappers aside) and shape in the one
    other dict.
    """
    names = {leaf.local}
    for wrapper in _WRAPPERS:
        if leaf.local.startswith(wrapper):
            names.add(leaf.local[len(wrapper) :])
    found = []
    for home, others in homes.items():
        if home in averages:
            continue
        for other in others:
            if other.optimizer is None and other.part.shape == leaf.part.shape:
                local = other.local
                bare = next((local[len(w) :] for w in _WRAPPERS if local.startswith(w)), local)
                if local in names or bare in names:
                    found.append(other.name)
    return found[0] if len(found) == 1 else None


def may_be_special(names: Iterable[str]) -> bool:
    """Whether :func:`role_of` has to look closely at any of these names: one look for all."""
    text = "\n".join(names).lower()
    return any(word in text for word in _SPECIAL_WORDS)


def role_of(
    leaf: Leaf, dtype: str, averages: set[str], special: bool = True, arrays_alone: bool = False
) -> Role:
    """The role of a tensor that lies outside optimizers, or inside one. ``special`` is what :func:`may_be_special` says
    of its name and others. ``arrays_alone``: the file holds no tensor of PyTorch's, so that numpy's arrays are what it
    is about, as in a file of numpy's own."""
    if leaf.hyper:
        return "hyperparameter"
    if leaf.optimizer is not None:
        if leaf.slot == "step" or leaf.slot == "n_iter":
            return "counter"
        return "slot"
    if leaf.local == "n_averaged":
        return "counter"
    if leaf.home in averages:
        guessed = guess_role(leaf.local, dtype, leaf.part.shape)
        return "buffer" if guessed == "buffer" and leaf.local.endswith("num_batches_tracked") else "average"
    if leaf.kind == "parameter":
        return "weight"
    if leaf.kind == "buffer":
        return "buffer"
    if (
        not special
        and leaf.local.endswith(_PLAIN_ENDS)
        and dtype in _PLAIN_TYPES
        and type(leaf.part) is Tensor
    ):
        return "weight"  # what the rest comes to for nearly all
    shape = leaf.part.shape
    if special and _SPECIAL.search(lower := leaf.name.lower()):  # one look: nearly every name passes none
        if _RNG.search(lower) and dtype.startswith(("uint", "int")):
            return "rng"
        if _SCHEDULER.search(lower):
            return "hyperparameter"
        if _DATA.search(lower):
            return "data-position"
        if shape in ((), (1,)) and (_METRIC.search(lower) or lower.startswith(_CALLBACKS)):
            return "metric"
    if isinstance(leaf.part, NumpyArray):
        return guess_role(leaf.name, dtype, shape) if arrays_alone else "other"
    if leaf.part.cls == "Storage":
        return "other"
    guessed = guess_role(leaf.name, dtype, shape)
    if guessed != "weight":
        return guessed
    if dtype in ("bool", "int64") and "quantised" not in leaf.part.extra and "sparse" not in leaf.part.extra:
        return (
            "buffer"  # torch.nn.Parameter takes integers only without gradient; masks and indices are buffers
        )
    return "weight"
