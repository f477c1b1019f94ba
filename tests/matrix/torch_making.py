"""How the rows on PyTorch are made: what is saved, in which layout, changed how, and what a right restore gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Case, Row
from torch import nn
from torch_nets import (
    Net,
    Run,
    Tied,
    continued,
    seeded,
    train,
    truth_of,
)

Make = Callable[[], Any]
Edit = Callable[[dict[str, Any], Run], None]
Damage = Callable[[Path], None]

BOTH = ("torch", "lightning")
ALL = ("torch", "torch legacy", "torch weights", "lightning", "torch safetensors")
WEIGHTS = frozenset({"torch weights", "torch safetensors"})


# -- what people write ---------------------------------------------------------------------------------
def document(run: Run, system: str) -> dict[str, Any]:
    """The dictionary that is saved."""
    weights = run.model.state_dict()
    if system in WEIGHTS:
        return dict(weights)
    if system == "lightning":
        return {
            "epoch": 1,
            "global_step": 3,
            "pytorch-lightning_version": "2.6.6",
            "state_dict": weights,
            "loops": {},
            "callbacks": {},
            "optimizer_states": [] if run.optimizer is None else [run.optimizer.state_dict()],
            "lr_schedulers": [] if run.scheduler is None else [run.scheduler.state_dict()],
        }
    found = {"model": weights, "epoch": 1}
    if run.optimizer is not None:
        found["optimizer"] = run.optimizer.state_dict()
    if run.scheduler is not None:
        found["scheduler"] = run.scheduler.state_dict()
    return found


def weights_in(saved: dict[str, Any], system: str) -> dict[str, Any]:
    """The state dict within the document."""
    if system in WEIGHTS:
        return saved
    return saved["state_dict" if system == "lightning" else "model"]


def write(folder: Path, saved: dict[str, Any], system: str) -> Path:
    if system == "torch safetensors":
        from safetensors.torch import save_file

        path = folder / "model.safetensors"
        seen: set[int] = set()
        alone = {}
        for name, tensor in saved.items():  # as save_model does: of tied tensors the first
            if tensor.data_ptr() not in seen or tensor.numel() == 0:
                alone[name] = tensor.contiguous()
            seen.add(tensor.data_ptr())
        save_file(alone, path)
        return path
    path = folder / {"lightning": "last.ckpt"}.get(system, "state.pt")
    torch.save(saved, path, _use_new_zipfile_serialization=system != "torch legacy")
    return path


# -- runs ----------------------------------------------------------------------------------------------
def adam(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), **{"lr": 0.01, **options})


def sgd(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.01, **options})


def steps(optimizer: torch.optim.Optimizer, size: int = 2, gamma: float = 0.5) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, size, gamma=gamma)


def row(
    system: str,
    mutation: str,
    expect: str,
    codes: tuple[str, ...] = (),
    *,
    saved: Make = Net,
    live: Make | None = None,
    saved_optimizer: Any = adam,
    live_optimizer: Any = None,
    scheduler: Any = None,
    live_scheduler: Any = "same",
    trained: int = 4,
    live_trained: int = 0,
    edit: Edit | None = None,
    damage: Damage | None = None,
    wrap: Callable[[Run], Run] | None = None,
    wrap_saved: Callable[[Run], Run] | None = None,
    truth: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None,
    go_on: bool = False,
    sealed: str | None = None,
    settles: bool = False,
) -> Row:
    """One row. ``saved`` and ``live`` make the models, the optimizers and schedulers are made of them; ``edit`` changes
    the document before it is written, ``damage`` the file afterwards (and after a seal)."""

    def make(folder: Path) -> Case:
        def run(make_model: Make, make_optimizer: Any, make_scheduler: Any, seed: int) -> Run:
            model = seeded(seed, make_model)
            optimizer = None if make_optimizer is None else make_optimizer(model)
            return Run(model, optimizer, None if make_scheduler is None else make_scheduler(optimizer))

        origin = run(saved, saved_optimizer or adam, scheduler, 1)
        train(origin, trained)
        if saved_optimizer is None:
            origin.optimizer = origin.scheduler = None
        if wrap_saved is not None:
            origin = wrap_saved(origin)
        here = run(
            live or saved,
            live_optimizer or saved_optimizer or adam,
            scheduler if live_scheduler == "same" else live_scheduler,
            2,
        )
        train(here, live_trained, 30)
        if system in WEIGHTS:
            here.optimizer = here.scheduler = None
        if wrap is not None:
            here = wrap(here)
        content = document(origin, system)
        if edit is not None:
            edit(content, origin)
        path = write(folder, content, system)
        expected = truth_of(origin)
        if truth is not None:
            expected = truth(expected)
        expected = _for_live(expected, here, system)
        after = (lambda outcome: continued(origin, here)) if go_on and system not in WEIGHTS else None
        return Case(
            str(path),
            here.parts(),
            expected,
            origin.model,
            after,
            None if damage is None else lambda: damage(path),
            "the file is damaged" if damage is not None else "",
        )

    return Row(mutation, system, expect, make, codes, sealed, settles)


def _for_live(truth: dict[str, np.ndarray], here: Run, system: str) -> dict[str, np.ndarray]:
    """The part of the truth that the live objects can hold: same names and shapes, cast to the live dtype."""
    mine = truth_of(here)
    weights = [] if here.optimizer is None else [p for g in here.optimizer.param_groups for p in g["params"]]
    found = {}
    for name, values in truth.items():
        if name.startswith(("optimizer/", "setting:")) and here.optimizer is None:
            continue
        if name.startswith("setting:scheduler/") and here.scheduler is None:
            continue
        if name.startswith("optimizer/state/") and name not in mine:  # made by the restore
            position = int(name.split("/")[2])
            if position < len(weights) and values.ndim in (0, weights[position].ndim):
                found[name] = values
        elif values.dtype.kind == "U":
            if name in _settings(here) or not name.endswith("/initial_lr"):  # made by a scheduler only
                found[name] = values
        elif name in mine:
            found[name] = values.astype(mine[name].dtype)
    return found


def _settings(run: Run) -> set[str]:
    return {name for name in truth_of(run) if name.startswith("setting:")}


def each(systems: tuple[str, ...], *given: Any, **more: Any) -> list[Row]:
    """The same row on several systems."""
    return [row(system, *given, **more) for system in systems]


# -- mutations of the document ---------------------------------------------------------------------------
def on_weights(change: Callable[[dict[str, Any]], None]) -> Callable[[str], Edit]:
    def for_system(system: str) -> Edit:
        return lambda saved, run: change(weights_in(saved, system))

    return for_system


def each_edited(
    systems: tuple[str, ...], change: Callable[[dict[str, Any]], None], *given: Any, **more: Any
) -> list[Row]:
    return [row(s, *given, edit=on_weights(_own(change))(s), **more) for s in systems]


def _own(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """On copies, so that the run that was saved keeps its values."""

    def changed(weights: dict[str, Any]) -> None:
        for name, tensor in list(weights.items()):
            weights[name] = tensor.clone()
        change(weights)

    return changed


def without_statistics(weights: dict[str, Any]) -> None:
    for name in [n for n in weights if "running" in n or "num_batches" in n]:
        del weights[name]


def without_count(weights: dict[str, Any]) -> None:
    del weights["norm.num_batches_tracked"]


def transposed(weights: dict[str, Any]) -> None:
    weights["encoder.weight"] = weights["encoder.weight"].t().contiguous()


def crossed(weights: dict[str, Any]) -> None:
    for kind in ("weight", "bias"):
        one, other = f"encoder.{kind}", f"decoder.{kind}"
        weights[one], weights[other] = weights[other], weights[one]


def rows_permuted(weights: dict[str, Any]) -> None:
    weights["embed.weight"] = weights["embed.weight"].flip(0).contiguous()
    weights["out.weight"] = weights["embed.weight"]


def nan(weights: dict[str, Any]) -> None:
    weights["head.weight"][0, 0] = float("nan")


def two_of_one_name(weights: dict[str, Any]) -> None:
    for name in list(weights):
        weights["module." + name] = weights[name] + 1


def half(weights: dict[str, Any]) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            weights[name] = tensor.half()


# -- damage ----------------------------------------------------------------------------------------------
def cut(count: float) -> Damage:
    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * count) if count < 1 else len(data) - int(count)])

    return damage


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def at_weight(path: Path) -> tuple[bytearray, int]:
    """The file and where the values of the largest tensor begin."""
    import holdfast

    with holdfast.open(path) as stored:
        spec = max((s for s in stored.values() if s.role == "weight"), key=lambda s: s.nbytes)
        where = spec.stored[0]
    assert where.offset is not None
    return bytearray(path.read_bytes()), where.offset


def flipped(path: Path) -> None:
    data, at = at_weight(path)
    data[at + 2] ^= 0x80  # the lowest bit of the exponent: twice or half the value, which nobody notices
    path.write_bytes(data)


def block_zeroed(path: Path) -> None:
    data, at = at_weight(path)
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)


def large() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 256), nn.Linear(256, 3))


# -- optimizers ------------------------------------------------------------------------------------------
def groups(*parts: tuple[str, ...], maker: Any = torch.optim.Adam, **options: Any) -> Callable[[Any], Any]:
    """An optimizer with a group for each tuple of module names."""

    def made(model: nn.Module) -> torch.optim.Optimizer:
        given = [{"params": [p for n in names for p in getattr(model, n).parameters()]} for names in parts]
        return maker(given, **{"lr": 0.01, **options})

    return made


def decay(model: nn.Module) -> torch.optim.Optimizer:
    """Two groups, matrices with decay and vectors without: the everyday split."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=0.01
    )


def backwards(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(list(model.parameters())[::-1], lr=0.01)


def backwards_named(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(list(model.named_parameters())[::-1], lr=0.01)


def named(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.named_parameters(), lr=0.01)


def of(maker: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda model: maker(model.parameters(), **options)


def frozen_encoder(model: nn.Module) -> torch.optim.Optimizer:
    for param in model.encoder.parameters():
        param.requires_grad_(False)
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)


def frozen_all_given(model: nn.Module) -> torch.optim.Optimizer:
    for param in model.encoder.parameters():
        param.requires_grad_(False)
    return adam(model)


def parallel(run: Run) -> Run:
    run.model = nn.DataParallel(run.model)
    return run


def compiled(run: Run) -> Run:
    run.model = torch.compile(run.model, backend="eager")
    return run


def compiled_parallel(run: Run) -> Run:
    return compiled(parallel(run))


def bare_names(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n.replace("module.", "").replace("_orig_mod.", ""): v for n, v in found.items()}


def renaming(old: str, new: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda found: {n.replace(old, new): v for n, v in found.items()}


def halved(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        n: v.astype(np.float16) if v.dtype == np.float32 and not n.startswith("optimizer/") else v
        for n, v in found.items()
    }


def turned(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """State by position, for the weights in the opposite order."""
    last = max(int(n.split("/")[2]) for n in found if n.startswith("optimizer/state/"))

    def name(old: str) -> str:
        words = old.split("/")
        if old.startswith("optimizer/state/"):
            words[2] = str(last - int(words[2]))
        return "/".join(words)

    return {name(n): v for n, v in found.items()}


def unknown(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Zeros where values were: a warning says so, and no truth is to be had."""
    return {}


def untied_equal() -> nn.Module:
    model = Tied(tied=False)
    with torch.no_grad():
        model.out.weight.copy_(model.embed.weight)
    return model


def first_code() -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.proj(x))

    return nn.Sequential(Block(), nn.Linear(8, 3))


def second_code() -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.relu(self.proj(x))

    return nn.Sequential(Block(), nn.Linear(8, 3))


def crossing(one: str, other: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """The truth when the code has exchanged two automatic names."""

    def crossed_names(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        turned = {one: other, other: one}
        return {
            (turned[n.split(".")[0]] + n[len(n.split(".")[0]) :] if n.split(".")[0] in turned else n): v
            for n, v in found.items()
            if not n.startswith(("optimizer/", "setting:"))
        }

    return crossed_names
