"""What the live catalog says and what the readers say of the same objects saved is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

import holdfast
from holdfast._compare.compare import compare_catalogs
from torch_models import described, mlp, tied, train

FORMS: dict[str, Any] = {
    "model and optimizer": lambda m, o: {"model": m.state_dict(), "optimizer": o.state_dict(), "epoch": 3},
    "tutorial": lambda m, o: {
        "model_state_dict": m.state_dict(),
        "optimizer_state_dict": o.state_dict(),
        "loss": 0.5,
    },
    "lightning": lambda m, o: {
        "epoch": 1,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": m.state_dict(),
        "optimizer_states": [o.state_dict()],
        "lr_schedulers": [],
    },
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [tied, mlp])
def test_a_training_checkpoint_does_not_differ_from_what_was_saved(tmp_path, make, form, legacy):
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    train(model, optimizer, 3)
    path = tmp_path / "c.pt"
    torch.save(FORMS[form](model, optimizer), path, _use_new_zipfile_serialization=not legacy)
    live = described(model=model, optimizer=optimizer)
    with holdfast.open(path) as stored:
        delta = compare_catalogs(stored, live, depth="full")
        assert delta.differences == ()
        assert {pair.values for pair in delta.pairs} == {"identical"}
        assert {pair.b for pair in delta.pairs} == set(live)
        assert stored.optimizers[0].step == live.optimizers[0].step == 3
        assert stored.optimizers[0].slots == live.optimizers[0].slots
        assert stored.optimizers[0].groups[0].current == live.optimizers[0].groups[0].current


@pytest.mark.parametrize(
    "write", [save_model, lambda m, p: torch.save(m.state_dict(), p)], ids=["safetensors", "pt"]
)
def test_a_model_alone_does_not_differ(tmp_path, write):
    model = tied()
    path = tmp_path / ("m.safetensors" if write is save_model else "m.pt")
    write(model, path)
    with holdfast.open(path) as stored:
        assert compare_catalogs(stored, described(model=model), depth="full").differences == ()


def test_a_changed_value_is_seen(tmp_path):
    model = mlp()
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    with torch.no_grad():
        model[2].bias[1] += 1
    with holdfast.open(tmp_path / "m.safetensors") as stored:
        found = compare_catalogs(stored, described(model=model), depth="full").differences
    assert [(d.code, d.b) for d in found] == [("T211", "2.bias")]


def test_names_roles_owners_ties_and_positions():
    model = tied()
    optimizer = torch.optim.SGD(
        [{"params": model.conv.parameters(), "lr": 0.5}, {"params": [model.emb.weight]}], lr=0.1, momentum=0.9
    )
    train(model, optimizer, 1)
    live = described(model=model, optimizer=optimizer)
    assert list(live)[: len(model.state_dict())] == list(model.state_dict())
    assert "scratch" not in live
    assert live["emb.weight"].shares == live["out.weight"].shares is not None
    assert {n for n in live if live[n].role == "buffer"} == {
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
        "pe",
    }
    assert live["conv.weight"].layout == "oi" and live["emb.weight"].layout is None
    slot = live["optimizer/state/2/momentum_buffer"]
    assert (slot.owner, slot.slot, slot.attributes["position"]) == ("emb.weight", "momentum_buffer", 2)
    (spec,) = live.optimizers
    assert [g.owners for g in spec.groups] == [("conv.weight", "conv.bias"), ("emb.weight",)]
    assert [g.current["lr"] for g in spec.groups] == [0.5, 0.1]
    assert [g.configured.get("lr") for g in spec.groups] == [
        None,
        0.1,
    ]  # 0.5 is no default: who set it is not known
    assert spec.class_name == "SGD" and spec.attributes["defaults"]["momentum"] == 0.9


def test_several_models_and_optimizers(tmp_path):
    gen, disc = mlp(), mlp()
    a, b = torch.optim.Adam(gen.parameters()), torch.optim.SGD(disc.parameters(), lr=0.1, momentum=0.9)
    train(gen, a, 1)
    train(disc, b, 2)
    live = described(model={"gen": gen, "disc": disc}, optimizer={"gen": a, "disc": b})
    assert (
        live["gen/0.weight"].owner is None
        and live["optimizer/disc/state/0/momentum_buffer"].owner == "disc/0.weight"
    )
    torch.save(
        {
            "gen": gen.state_dict(),
            "disc": disc.state_dict(),
            "optimizer": {"gen": a.state_dict(), "disc": b.state_dict()},
        },
        tmp_path / "c.pt",
    )
    with holdfast.open(tmp_path / "c.pt") as stored:
        found = compare_catalogs(stored, live, depth="full").differences
        # two models of one shape: the file does not prove whose state is whose, the names of the optimizers do
        assert [d.code for d in found if not d.code.startswith("O")] == []
    listed = described(model={"gen": gen, "disc": disc}, optimizer=[a, b])
    assert [o.name for o in listed.optimizers] == ["optimizer/0", "optimizer/1"]


def test_a_real_lightning_checkpoint(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp()

        def training_step(self, rows, index):
            return self.model(rows[0]).square().mean()

        def configure_optimizers(self):
            made = torch.optim.Adam(self.parameters(), lr=0.1)
            return [made], [torch.optim.lr_scheduler.StepLR(made, 1)]

    module = Module()
    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(4, 3)), batch_size=2)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, rows)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    live = described(
        model=module, optimizer=trainer.optimizers[0], scheduler=trainer.lr_scheduler_configs[0].scheduler
    )
    with holdfast.open(tmp_path / "c.ckpt") as stored:
        assert compare_catalogs(stored, live, depth="full").differences == ()
        known = {alias: s for s in live.settings.values() for alias in (s.name, *s.aliases)}
        values = {k: v for k, v in stored.attributes["values"].items() if k.startswith("lr_schedulers/")}
        assert values and {k: known[k].read() for k in values} == values


def test_the_scheduler_and_scaler_are_named_as_the_file_names_them(tmp_path):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler
    scheduler = schedule.SequentialLR(
        optimizer, [schedule.LinearLR(optimizer), schedule.MultiStepLR(optimizer, [3, 5])], [4]
    )
    scaler = torch.amp.GradScaler("cpu")
    train(model, optimizer, 2, scheduler=scheduler)
    torch.save(
        {"scheduler": scheduler.state_dict(), "scaler": scaler.state_dict(), "model": model.state_dict()},
        tmp_path / "c.pt",
    )
    live = described(model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
    with holdfast.open(tmp_path / "c.pt") as stored:
        values = stored.attributes["values"]
    assert {name: live.settings[name].read() for name in values} == values
    assert {n for n in live.settings if not n.startswith("optimizer/")} == set(values)
    assert live.settings["optimizer/param_groups/0/lr"].scheduled
    assert not live.settings["optimizer/param_groups/0/weight_decay"].scheduled
    assert live.settings["scheduler/last_epoch"].role == "counter"


def test_modules_are_those_of_the_model_without_wrappers():
    model = mlp()
    plain = described(model=model).modules
    assert [(m.path, m.class_name) for m in plain] == [
        ("", "Sequential"),
        ("0", "Linear"),
        ("1", "Tanh"),
        ("2", "Linear"),
    ]
    assert described(model=nn.DataParallel(model)).modules == plain
