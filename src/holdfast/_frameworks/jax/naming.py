"""Names of live jax tensors, the other names that files give them, and their roles.

Names are the keys joined with ``/``, as Orbax and ``flax.traverse_util.flatten_dict(..., sep="/")`` write them;
the same with dots, with or without the ``params`` collection, the part's own word in front, and nnx's ``value``
behind are aliases. An optax state is called ``opt_state/...``, as in ``flax.training.train_state.TrainState``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..._core.roles import guess_role
from ..._core.spec import Role
from . import nnx
from .trees import Cell, Key

__all__ = ["OPTIMIZER_WORDS", "aliases_of", "layout_of", "name_of", "optimizer_part", "role_in_model"]

OPTIMIZER_WORDS = frozenset({"opt_state", "opt_states", "optimizer_state"})
"""Fields and keys under which train states keep an optimizer's state."""

_AVERAGES = ("ema", "avg", "average", "swa", "polyak")
_BUFFERS = frozenset({"batch_stats", "cache", "constants", "state_stats", "spectral_stats"})
_KINDS: tuple[tuple[str, Role], ...] = (
    ("Param", "weight"),
    ("BatchStat", "buffer"),
    ("RngState", "rng"),
    ("Metric", "metric"),
    ("MetricState", "metric"),
    ("Intermediate", "other"),
    ("Cache", "buffer"),
    ("OptState", "counter"),
)
"""nnx Variable classes (flax/nnx/variablelib.py, rnglib.py, training/metrics.py) -> roles."""


def optimizer_part(part: str, path: tuple[Key, ...]) -> tuple[str, tuple[Key, ...]] | None:
    """The optimizer's name and the path inside its state, or ``None`` for what belongs to no optimizer.

    A dict of optax states (one a network) names its optimizers by its keys.
    """
    start: int | None = 0 if part == "optimizer" else None
    for index, key in enumerate(path):
        if key.text in OPTIMIZER_WORDS:
            start = index + 1
            break
        if key.node.__module__.startswith("optax"):
            start = index if start is None else start
            break
    if start is None:
        return None
    inner = path[start:]
    names: list[str] = []
    if any(key.node.__module__.startswith("optax") for key in inner):
        for key in inner:
            if not issubclass(key.node, Mapping):
                break
            names.append(key.text)
    return "/".join(names) or "optimizer", inner[len(names) :]


def name_of(part: str, words: tuple[str, ...]) -> str:
    """The catalog's name of the tensor at that path of that part."""
    path = "/".join(words)
    if part == "model":
        return path or "array"
    if part == "optimizer":
        if words and words[0] in OPTIMIZER_WORDS:
            return path
        return "optimizer/step" if words == ("step",) else f"opt_state/{path}".rstrip("/")
    return f"{part}/{path}".rstrip("/")


def aliases_of(part: str, cell: Cell, name: str) -> tuple[str, ...]:
    """Other names that files give the same tensor, ``name`` itself left out."""
    words = cell.words
    path = "/".join(words)
    found = [name]
    for other in cell.other_paths:
        found.append(name_of(part, other))
    if part == "model":
        found.append(f"model/{path}")
        if words and words[0] == "params":
            found.append("/".join(words[1:]))
        elif words and words[0] not in OPTIMIZER_WORDS and cell.variable is None:
            found.append(f"params/{path}")
        for index, word in enumerate(words):
            if word in OPTIMIZER_WORDS:
                found.append("optimizer/" + "/".join(words[index + 1 :]))
    elif part == "optimizer":
        inner = "/".join(words[1:] if words and words[0] in OPTIMIZER_WORDS else words)
        found += [f"opt_state/{inner}", f"optimizer/{inner}", f"optimizer/opt_state/{inner}", inner]
    else:
        found.append(path)
    if (
        words
        and words[-1] == "value"
        and cell.variable is None
        and cell.path[-1].node.__module__.startswith("flax")
    ):
        # a box with the sharding's axis names (flax/core/meta.py, Partitioned); saved without it where unboxed
        found += [one[: -len("/value")] for one in list(found) if one.endswith("/value")]
    if cell.variable is not None:
        # flax < 0.11 and Orbax saves of an nnx.State: the Variable is a node with one child
        found += [f"{one}/{word}" for one in list(found) for word in ("value", "raw_value")]
    found += [one.replace("/", ".") for one in list(found)]
    return tuple(one for one in dict.fromkeys(found) if one and one != name)


def role_in_model(part: str, cell: Cell, shape: tuple[int, ...], dtype: str, key: bool) -> Role:
    """The role of a tensor outside of optimizers: by the nnx Variable's class, the linen collection, the train
    state's field, and last by its name."""
    if key:
        return "rng"
    if cell.variable is not None:
        kinds = nnx.variable_kind(cell.variable)
        return next((role for word, role in _KINDS if word in kinds), "buffer")
    words = cell.words
    last = words[-1] if words else part
    if part not in ("model", "params"):
        words = (part, *words)
    if dtype == "uint32" and shape[-1:] in ((2,), (4,)) and ("rng" in last or "key" in last.split("_")):
        return "rng"
    head = words[:3]
    if _BUFFERS & set(head):
        return "buffer"
    if "intermediates" in head:
        return "other"
    if "metrics" in head:
        return "metric"
    if len(words) > 1 and is_average(words[0]):
        return "average"
    return guess_role("/".join(words), dtype, shape)


def is_average(word: str) -> bool:
    """Whether a field's name says that it holds averaged weights (``ema_params``)."""
    return bool(set(word.lower().split("_")) & set(_AVERAGES))


def layout_of(name: str, shape: tuple[int, ...]) -> str | None:
    """Axis order of a flax kernel: (in, out), and for convolutions (spatial ..., in, out); ``None`` elsewhere.

    Source: flax/linen/linear.py, flax/nnx/nn/linear.py. A rank 3 kernel may also be attention's
    (in, heads, width): it has a layout only under a layer called Conv.
    """
    *above, last = name.split("/")
    if last != "kernel" or (len(shape) == 3 and not (above and "conv" in above[-1].lower())):
        return None
    return {2: "io", 3: "wio", 4: "hwio", 5: "dhwio"}.get(len(shape))
