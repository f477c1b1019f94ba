"""Which state an optimizer's first step will make for a weight, without making it.

For the classes of ``torch.optim`` it is data (:data:`ROWS`; source: ``_init_group`` and ``step`` of
``torch/optim/*.py``). For any other class its own ``step`` is run on a stand-in of the weight (meta device,
or zeros), on a copy of the optimizer's outside; the live optimizer is not touched.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .tensors import is_lazy

__all__ = ["FirstSteps", "New", "ROWS", "dry_step"]

_LARGEST = 64 << 20  # bytes of a stand-in with real zeros


@dataclass(frozen=True, slots=True)
class New:
    """One slot that the first step makes.

    ``path``: its words (``("exp_avg",)``, ``("old_dirs", 3)``). ``number``: the plain number that it is, where
    it is no tensor. ``start``: the value it starts from, for a tensor.
    ``optional``: it may or may not be made.
    """

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    start: float = 0.0
    number: int | float | None = None
    optional: bool = False


# word -> how: "like" the weight (zeros), "lr"/"sum" the weight's shape full of that option, "0"/"1"/"eta" a
# scalar tensor of that value, "int" a plain count. After "if" the option that must be on.
ROWS: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "SGD": (("momentum_buffer", "like", "momentum"),),
    "Adam": (
        ("step", "0", None),
        ("exp_avg", "like", None),
        ("exp_avg_sq", "like", None),
        ("max_exp_avg_sq", "like", "amsgrad"),
    ),
    "Adamax": (("step", "0", None), ("exp_avg", "like", None), ("exp_inf", "like", None)),
    "NAdam": (
        ("step", "0", None),
        ("mu_product", "1", None),
        ("exp_avg", "like", None),
        ("exp_avg_sq", "like", None),
    ),
    "RAdam": (("step", "0", None), ("exp_avg", "like", None), ("exp_avg_sq", "like", None)),
    "Adagrad": (("step", "0", None), ("sum", "sum", None)),
    "Adadelta": (("step", "0", None), ("square_avg", "like", None), ("acc_delta", "like", None)),
    "RMSprop": (
        ("step", "0", None),
        ("square_avg", "like", None),
        ("momentum_buffer", "like", "momentum"),
        ("grad_avg", "like", "centered"),
    ),
    "Rprop": (("step", "0", None), ("prev", "like", None), ("step_size", "lr", None)),
    "ASGD": (("step", "0", None), ("eta", "eta", None), ("mu", "1", None), ("ax", "like", None)),
    "SparseAdam": (("step", "int", None), ("exp_avg", "like", None), ("exp_avg_sq", "like", None)),
    "Muon": (("momentum_buffer", "like", None),),
}
"""``torch.optim`` class -> its slots in the order in which it makes them. AdamW is Adam; Adafactor and LBFGS
have functions of their own."""


class FirstSteps:
    """What the first step of one optimizer makes, asked per group and weight; answers are kept by shape."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.known = _known_class(type(optimizer))
        self._dry: dict[Any, tuple[New, ...] | None] = {}

    def of(self, number: int, group: Mapping[str, Any], param: torch.Tensor) -> tuple[New, ...] | None:
        """The slots of that weight; ``None`` where nobody can say (a class of the user's whose step needs the
        real values)."""
        if self.known == "LBFGS":
            return _lbfgs(group, param) if number == 0 and param is group["params"][0] else ()
        key = (number, param.shape, param.dtype, param.device)
        if key not in self._dry:
            self._dry[key] = self._of(group, param)
        return self._dry[key]

    def _of(self, group: Mapping[str, Any], param: torch.Tensor) -> tuple[New, ...] | None:
        if self.known == "Adafactor":
            return _adafactor(param)
        if self.known is None:
            return _by_dry_run(self.optimizer, group, param)
        rows = ROWS["Adam" if self.known == "AdamW" else self.known]
        return tuple(
            _row(word, how, group, param, self.known) for word, how, on in rows if on is None or group.get(on)
        )


def _known_class(cls: type) -> str | None:
    """The class of ``torch.optim`` whose update this one runs: itself, or a subclass that changes neither
    ``step`` nor the making of state."""
    for base in cls.__mro__:
        if base.__module__.startswith("torch.optim") and (
            base.__name__ in ROWS or base.__name__ in ("AdamW", "Adafactor", "LBFGS")
        ):
            same = all(
                inspect.unwrap(getattr(cls, word)) is inspect.unwrap(getattr(base, word))
                for word in ("step", "_init_group")
                if hasattr(base, word)
            )
            return base.__name__ if same else None
    return None


def _scalar_dtype(group: Mapping[str, Any]) -> torch.dtype:
    """torch/optim/optimizer.py, ``_get_scalar_dtype``."""
    wide = torch.get_default_dtype() == torch.float64 and not group.get("fused")
    return torch.float64 if wide else torch.float32


def _row(word: str, how: str, group: Mapping[str, Any], param: torch.Tensor, known: str) -> New:
    if how == "int":
        return New((word,), (), torch.int64, torch.device("cpu"), number=0)
    if how in ("like", "lr", "sum"):
        start = {"like": 0.0, "lr": group.get("lr", 0.0), "sum": group.get("initial_accumulator_value", 0.0)}[
            how
        ]
        return New((word,), tuple(param.shape), param.dtype, param.device, float(start))
    start = {"0": 0.0, "1": 1.0, "eta": group.get("lr", 0.0)}[how]
    beside = group.get("capturable") or group.get("fused") or known == "ASGD"
    device = param.device if beside else torch.device("cpu")
    return New((word,), (), _scalar_dtype(group), device, float(start))


def _adafactor(param: torch.Tensor) -> tuple[New, ...]:
    """torch/optim/_adafactor.py: a factored second moment for matrices and more, a whole one for vectors."""
    step = New(("step",), (), _scalar_dtype({}), torch.device("cpu"))
    shape = tuple(param.shape)
    if len(shape) < 2:
        return step, New(("variance",), shape, param.dtype, param.device)
    rows, columns = (*shape[:-1], 1), (*shape[:-2], 1, shape[-1])
    return (
        step,
        New(("row_var",), rows, param.dtype, param.device),
        New(("col_var",), columns, param.dtype, param.device),
    )


def _lbfgs(group: Mapping[str, Any], param: torch.Tensor) -> tuple[New, ...]:
    """torch/optim/lbfgs.py: all on the first weight, over all weights laid end to end; the histories grow to
    ``history_size``, so each of their items may or may not come."""
    if any(is_lazy(p) for p in group["params"]):
        return ()  # their sizes come with the first call
    total = sum(2 * p.numel() if torch.is_complex(p) else p.numel() for p in group["params"])
    dtype = param.dtype if not torch.is_complex(param) else torch.view_as_real(param.detach()).dtype
    here = param.device
    numbers = [New((word,), (), torch.int64, here, number=0) for word in ("func_evals", "n_iter")]
    numbers += [
        New((word,), (), torch.float64, here, number=0.0, optional=True) for word in ("t", "prev_loss")
    ]
    made = [
        New(("d",), (total,), dtype, here),
        New(("prev_flat_grad",), (total,), dtype, here, optional=True),
        New(("H_diag",), (), dtype, here, 1.0, optional=True),
    ]
    for index in range(int(group["history_size"])):
        made += [
            New((word, index), (total,), dtype, here, optional=True) for word in ("old_dirs", "old_stps")
        ]
        made += [New((word, index), (), dtype, here, optional=True) for word in ("ro", "al")]
    return (*numbers, *made)


def dry_step(
    optimizer: Any, group: Mapping[str, Any], stand_in: torch.Tensor, state: Mapping[str, Any]
) -> tuple[dict[str, Any], Exception | None]:
    """Run the optimizer's own ``step`` for one stand-in with a gradient, and give the state it leaves and what
    it raised.

    The optimizer is copied shallowly, with groups and state of its own and without hooks, so that the live one
    stays as it is; the random number generator is put back.
    """
    # not copy.copy: its __setstate__ would write into the live groups
    twin = object.__new__(type(optimizer))
    twin.__dict__ = dict(optimizer.__dict__)
    twin.param_groups = [{**{k: _apart(v) for k, v in group.items()}, "params": [stand_in]}]
    twin.state = defaultdict(dict)
    if state:
        twin.state[stand_in] = dict(state)
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        if hooks in twin.__dict__:
            setattr(twin, hooks, OrderedDict())
    step = _unhooked(type(optimizer).step)
    raised: Exception | None = None
    with torch.random.fork_rng(devices=()):
        try:
            step(twin)
        except Exception as error:  # noqa: BLE001 - a user's own step may raise anything; it is reported
            raised = error
    return dict(twin.state.get(stand_in, {})), raised


def _unhooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` without the layer that calls hooks (torch/optim/optimizer.py, ``profile_hook_step``); what else is
    wrapped around it (``no_grad``) stays."""
    while getattr(step, "hooked", False) and hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    return step


def _apart(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _by_dry_run(optimizer: Any, group: Mapping[str, Any], param: torch.Tensor) -> tuple[New, ...] | None:
    devices = ["meta"]
    if param.numel() * param.element_size() <= _LARGEST:
        devices.append("cpu")
    for device in devices:
        stand_in = torch.zeros(param.shape, dtype=param.dtype, device=device, requires_grad=param.is_leaf)
        stand_in.grad = torch.zeros_like(stand_in)
        state, raised = dry_step(optimizer, group, stand_in, {})
        if raised is None:
            return tuple(_news(state, (), param))
    return None


def _news(state: Any, path: tuple[Any, ...], param: torch.Tensor) -> list[New]:
    made: list[New] = []
    items = state.items() if isinstance(state, Mapping) else enumerate(state)
    for word, value in items:
        here = (*path, word)
        if isinstance(value, torch.Tensor):
            device = param.device if value.dim() or value.device.type == "meta" else value.device
            made.append(New(here, tuple(value.shape), value.dtype, device))
        elif isinstance(value, (Mapping, list)):
            made += _news(value, here, param)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            made.append(New(here, (), torch.float64, param.device, number=type(value)(0)))
    return made
