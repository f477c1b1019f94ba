"""Rows on PyTorch files that hold more than one thing: averaged copies, two networks, several optimizers, shards, and
what Lightning's own trainer writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import Case, Row
from torch import nn
from torch_making import adam, sgd
from torch_nets import Net, Run, seeded, stack, train, truth_of

Models = dict[str, nn.Module]


def wider() -> nn.Module:
    return Net(hidden=12)


def trained(seed: int, make: Callable[[], nn.Module], optimizer: Any = adam) -> Run:
    model = seeded(seed, make)
    run = Run(model, optimizer(model))
    train(run, 3 + seed)
    return run


def fresh(make: Callable[[], nn.Module], optimizer: Any = adam) -> Run:
    model = seeded(9, make)
    return Run(model, optimizer(model))


def row(
    mutation: str, expect: str, make: Callable[[Path], Case], codes: tuple[str, ...] = (), **more: Any
) -> Row:
    return Row(mutation, "torch several", expect, make, codes, **more)


def write(folder: Path, saved: dict[str, Any], name: str = "state.pt") -> str:
    torch.save(saved, folder / name)
    return str(folder / name)


# -- averaged copies -------------------------------------------------------------------------------------
def averaged(word: str, swapped: bool = False) -> Callable[[Path], Case]:
    def make(folder: Path) -> Case:
        raw, copy = trained(1, Net), trained(2, Net)
        first, second = (copy, raw) if swapped else (raw, copy)
        saved = {"model": first.model.state_dict(), word: second.model.state_dict()}
        live = seeded(9, Net)
        return Case(write(folder, saved), {"model": live}, truth_of(Run(raw.model)))

    return make


def two_alike(folder: Path) -> Case:
    one, other = trained(1, Net), trained(2, Net)
    saved = {"student_a": one.model.state_dict(), "student_b": other.model.state_dict()}
    return Case(write(folder, saved), {"model": seeded(9, Net)})


# -- two networks ------------------------------------------------------------------------------------------
def gan(
    words: tuple[str, str, str, str],
    discriminator: Callable[[], nn.Module] = wider,
    wanted: tuple[str, ...] = ("gen", "disc"),
    optimizers: tuple[Any, Any] = (adam, adam),
    live_optimizers: tuple[Any, Any] | None = None,
) -> Callable[[Path], Case]:
    """Two networks, two optimizers, under these words in the file; ``gen`` and ``disc`` in the program."""

    def make(folder: Path) -> Case:
        gen, disc = trained(1, Net, optimizers[0]), trained(2, discriminator, optimizers[1])
        saved = {
            words[0]: gen.model.state_dict(),
            words[1]: disc.model.state_dict(),
            words[2]: gen.optimizer.state_dict(),
            words[3]: disc.optimizer.state_dict(),
        }
        makers = live_optimizers or optimizers
        here = {"gen": fresh(Net, makers[0]), "disc": fresh(discriminator, makers[1])}
        path = write(folder, saved)
        if len(wanted) == 1:
            run = here[wanted[0]]
            origin = {"gen": gen, "disc": disc}[wanted[0]]
            return Case(path, {"model": run.model, "optimizer": run.optimizer}, truth_of(origin))
        parts = {
            "model": {name: run.model for name, run in here.items()},
            "optimizer": {name: run.optimizer for name, run in here.items()},
        }
        origin = Run({"gen": gen.model, "disc": disc.model}, {"gen": gen.optimizer, "disc": disc.optimizer})
        return Case(path, parts, truth_of(origin))

    return make


def optimizers_in_a_list(folder: Path) -> Case:
    """Lightning with two optimizers, over the two halves of one model."""

    def halves(model: Net) -> list[torch.optim.Optimizer]:
        first = [*model.encoder.parameters(), *model.decoder.parameters()]
        second = [*model.norm.parameters(), *model.head.parameters()]
        return [torch.optim.Adam(first, lr=0.01), torch.optim.SGD(second, lr=0.1, momentum=0.9)]

    def run(seed: int) -> Run:
        model = seeded(seed, Net)
        return Run(model, halves(model))

    origin, live = run(1), run(9)
    train(origin, 3)
    saved = {
        "epoch": 0,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": origin.model.state_dict(),
        "optimizer_states": [o.state_dict() for o in origin.optimizer],
        "lr_schedulers": [],
    }
    truth = truth_of(Run(origin.model, {str(n): o for n, o in enumerate(origin.optimizer)}))
    return Case(write(folder, saved, "last.ckpt"), live.parts(), truth)


def grad_scaler(folder: Path) -> Case:
    origin, live = trained(1, Net), fresh(Net)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(torch.ones(()))
    saved = {
        "model": origin.model.state_dict(),
        "optimizer": origin.optimizer.state_dict(),
        "scaler": scaler.state_dict(),
    }
    mine = torch.amp.GradScaler("cpu")

    def after(outcome: Any) -> None:
        assert mine.get_scale() == 1024.0
        assert mine.state_dict() == scaler.state_dict()

    return Case(write(folder, saved), {**live.parts(), "scaler": mine}, truth_of(origin), after=after)


# -- shards ------------------------------------------------------------------------------------------------
def _layers() -> nn.Module:
    return stack((8, 8), (8, 8), (8, 3))


def sharded(
    kind: str, change: Callable[[Path, list[Path], list[Path]], None] | None
) -> Callable[[Path], Case]:
    """Three shards with an index; ``change(folder, files, files of a later checkpoint)`` is the damage."""

    def make(folder: Path) -> Case:
        old, new = trained(1, _layers).model, trained(2, _layers).model
        other = folder / "other"
        mine = folder / "mine"
        for place, model in ((mine, old), (other, new)):
            place.mkdir()
            _write_shards(place, model, kind)
        files, others = (sorted(p for p in place.iterdir() if p.suffix != ".json") for place in (mine, other))
        damage = None if change is None else lambda: change(mine, files, others)
        return Case(str(mine), {"model": seeded(9, _layers)}, truth_of(Run(old)), old, damage=damage)

    return make


def _write_shards(folder: Path, model: nn.Module, kind: str) -> None:
    base, ending = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
    where = {}
    for number in range(3):
        part = {n: t for n, t in model.state_dict().items() if n.startswith(f"{number}.")}
        name = f"{base}-{number + 1:05}-of-00003.{ending}"
        where |= dict.fromkeys(part, name)
        if kind == "safetensors":
            from safetensors.torch import save_file

            save_file(part, folder / name, metadata={"format": "pt"})
        else:
            torch.save(part, folder / name)
    size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / f"{base}.{ending}.index.json").write_text(json.dumps(index))


def mixed(folder: Path, files: list[Path], others: list[Path]) -> None:
    files[1].write_bytes(others[1].read_bytes())


def missing(folder: Path, files: list[Path], others: list[Path]) -> None:
    files[1].unlink()


def exchanged(folder: Path, files: list[Path], others: list[Path]) -> None:
    first, second = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(second)
    files[1].write_bytes(first)


def no_index(folder: Path, files: list[Path], others: list[Path]) -> None:
    for index in folder.glob("*.json"):
        if index.name.endswith("index.json"):
            index.unlink()


# -- Lightning's own trainer -----------------------------------------------------------------------------
def lightning(weights_only: bool = False) -> Callable[[Path], Case]:
    def make(folder: Path) -> Case:
        import logging
        import warnings

        import lightning.pytorch as pl

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

        class Module(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net = Net()

            def training_step(self, batch: Any, index: int) -> torch.Tensor:
                x, y = batch
                return nn.functional.cross_entropy(self.net(x), y)

            def configure_optimizers(self) -> Any:
                optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
                return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]

        torch.manual_seed(1)
        origin = Module()
        data = torch.utils.data.TensorDataset(torch.randn(32, 8), torch.randint(0, 3, (32,)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = pl.Trainer(
                max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, default_root_dir=str(folder),
            )  # fmt: skip
            trainer.fit(origin, torch.utils.data.DataLoader(data, batch_size=16))
            path = folder / "last.ckpt"
            trainer.save_checkpoint(path, weights_only=weights_only)
        saved = Run(origin, trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler)
        torch.manual_seed(9)
        live = Module()
        [optimizer], [scheduler] = live.configure_optimizers()
        return Case(str(path), Run(live, optimizer, scheduler).parts(), truth_of(saved))

    return make


momentum = lambda model: sgd(model, momentum=0.9)  # noqa: E731
USUAL = ("gen", "disc", "gen_opt", "disc_opt")

ROWS: list[Row] = [
    row("model and averaged copy, the model wanted", "exact", averaged("ema")),
    row("model and averaged copy (timm's word)", "exact", averaged("state_dict_ema")),
    row("averaged copy and raw weights swapped", "indistinguishable", averaged("ema", swapped=True)),
    row("two networks alike, one wanted", "refuse", two_alike, ("T210",)),
    row("two networks, both wanted", "exact", gan(("gen", "disc", "optimizer/gen", "optimizer/disc"))),
    row("two networks, optimizers under other words", "exact", gan(USUAL)),
    row("two networks, words with suffixes", "exact", gan(("gen", "disc", "optimizer_gen", "optimizer_disc"))),
    row(
        "two networks, optimizers under words that tell nothing", "exact",
        gan(("gen", "disc", "opt1", "opt2")),
    ),
    row(
        "two networks alike, optimizers under words that tell", "exact", gan(USUAL, discriminator=Net),
    ),
    row(
        "two networks alike, optimizers under words that tell nothing", "refuse",
        gan(("gen", "disc", "opt1", "opt2"), discriminator=Net), ("T210",),
    ),
    row(
        "two networks alike, optimizers told apart by what they keep", "exact",
        gan(("gen", "disc", "opt1", "opt2"), discriminator=Net, optimizers=(adam, momentum)),
    ),
    row("two networks, one wanted", "exact", gan(USUAL, wanted=("gen",))),
    row("two networks, the other wanted", "exact", gan(USUAL, wanted=("disc",))),
    row(
        "two networks under other words, both wanted", "exact",
        gan(("gen_state_dict", "disc_state_dict", "gen_optimizer_state_dict", "disc_optimizer_state_dict")),
    ),
    row(
        "two networks, the optimizer of one changed", "refuse",
        gan(USUAL, live_optimizers=(adam, lambda m: adam(m, lr=0.5))), ("O207",),
    ),
    row("two optimizers in a list", "exact", optimizers_in_a_list),
    row("with a GradScaler", "exact", grad_scaler),
    *(
        Row(mutation, f"{kind} shards", expect, sharded(kind, change), codes, sealed)
        for kind in ("safetensors", "torch")
        for mutation, expect, change, codes, sealed in (
            ("plain", "exact", None, (), "exact"),
            ("shards of two checkpoints mixed", "indistinguishable", mixed, ("F102", "F112"), "refuse"),
            ("one shard missing", "refuse", missing, (), None),
            ("two shards exchanged", "refuse", exchanged, (), None),
            ("index deleted", "refuse", no_index, ("F111",), None),
        )
    ),
    Row("plain, the trainer's own file", "lightning", "exact", lightning()),
    Row("weights-only file for model, optimizer and scheduler", "lightning", "refuse", lightning(True), ("O201",)),
]  # fmt: skip
