"""Everyday ways to keep and to resume a run, as people's programs do it: what must simply work, what must be refused,
and that the plan which a refusal proposes is enough. Keras's and TensorFlow's are in ``test_corpus_tensorflow.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from restore.resuming import Tagger, adam, found, net, quiet, refused, same, trained

pytest.importorskip("torch")
pytest.importorskip("safetensors")
import torch
from safetensors.torch import save_file
from torch import nn


def decayed(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def resumed(seed: int = 2, **options: Any) -> tuple[Any, Any, Any]:
    model = Tagger(seed, **options)
    optimizer = adam(model)
    return model, optimizer, decayed(optimizer)


@pytest.fixture
def run() -> tuple[Any, Any, Any]:
    model, optimizer, scheduler = resumed(1)
    trained(model, optimizer, scheduler)
    return model, optimizer, scheduler


def equal_state(a: Any, b: Any) -> bool:
    left, right = a.state_dict()["state"], b.state_dict()["state"]
    return left.keys() == right.keys() and all(
        torch.equal(left[p][word], right[p][word]) for p in left for word in left[p]
    )


# -- a folder of a trainer ---------------------------------------------------------------------------------------
@pytest.fixture
def folder(run: tuple[Any, Any, Any], tmp_path: Path) -> Path:
    model, optimizer, scheduler = run
    path = tmp_path / "checkpoint-3"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"architectures": ["Tagger"], "model_type": "bert"}))
    save_file(model.state_dict(), path / "model.safetensors", metadata={"format": "pt"})
    torch.save(optimizer.state_dict(), path / "optimizer.pt")
    torch.save(scheduler.state_dict(), path / "scheduler.pt")
    torch.save({"cpu": torch.get_rng_state()}, path / "rng_state.pth")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": 3, "epoch": 1.0}))
    return path


def test_a_trainers_folder_file_by_file(run: tuple[Any, Any, Any], folder: Path) -> None:
    model, optimizer, scheduler = run
    other, fresh, schedule = resumed()
    quiet(folder, model=other)
    assert same(model, other)
    # positions alone: no names here, and biases of one shape
    refused(folder / "optimizer.pt", "T210", settles=False, optimizer=fresh)
    assert not fresh.state
    quiet(folder / "optimizer.pt", allow=("map-slots:*->*",), optimizer=fresh)
    assert equal_state(optimizer, fresh)
    quiet(folder / "scheduler.pt", scheduler=schedule)
    assert schedule.last_epoch == scheduler.last_epoch == 3


def test_asked_for_all_of_it_at_once(folder: Path) -> None:
    other, fresh, schedule = resumed()
    text = refused(folder, "O201", "R201", model=other, optimizer=fresh, scheduler=schedule)
    assert "`optimizer.pt` beside it" in text and "`scheduler.pt` beside it" in text


def test_an_optimizers_file_holds_no_model(folder: Path) -> None:
    other, fresh, _ = resumed()
    assert "no weights" in refused(
        folder / "optimizer.pt", "T223", settles=False, model=other, optimizer=fresh
    )


def test_shards_with_an_index(run: tuple[Any, Any, Any], tmp_path: Path) -> None:
    state = run[0].state_dict()
    names = list(state)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, held in parts.items():
        save_file({n: state[n] for n in held}, tmp_path / file)
    index = {"metadata": {}, "weight_map": {n: f for f, held in parts.items() for n in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text("{}")
    other = Tagger(2)
    quiet(tmp_path, model=other)
    assert same(run[0], other)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(holdfast.HoldfastError):
        holdfast.restore(tmp_path, model=Tagger(2))


# -- averages, several models ------------------------------------------------------------------------------------
@pytest.fixture
def averaged(run: tuple[Any, Any, Any], tmp_path: Path) -> Path:
    model, optimizer, _ = run
    ema = {f"module.{k}": v * 0.5 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    path = tmp_path / "last.pth.tar"
    kept = {"epoch": 3, "arch": "x", "state_dict": model.state_dict(), "state_dict_ema": ema, "version": 2}
    torch.save({**kept, "optimizer": optimizer.state_dict(), "metric": 0.5}, path)
    return path


def test_raw_weights_beside_their_average(run: tuple[Any, Any, Any], averaged: Path) -> None:
    model, optimizer, _ = run
    other, fresh, _ = resumed()
    outcome = quiet(averaged, model=other, optimizer=fresh)
    assert same(model, other) and equal_state(optimizer, fresh)
    assert [name for name, _ in outcome.others] == ["state_dict_ema"]


def test_the_average_when_it_is_asked_for(run: tuple[Any, Any, Any], averaged: Path) -> None:
    other = Tagger(2)
    outcome = quiet(averaged, allow=("rename:state_dict_ema/*->*",), model=other)
    assert torch.equal(other.enc.weight, run[0].enc.weight * 0.5)
    assert not [f for f in outcome.findings if f.code == "T221"]


def test_two_models_and_two_optimizers(tmp_path: Path) -> None:
    models = {"generator": net(1, 6), "discriminator": net(2, 6, 1)}
    optimizers = {name[0]: adam(model) for name, model in models.items()}
    for name, model in models.items():
        trained(model, optimizers[name[0]])
    path = tmp_path / "gan.pt"
    kept = {name: model.state_dict() for name, model in models.items()}
    torch.save({**kept, **{f"optimizer_{k}": o.state_dict() for k, o in optimizers.items()}}, path)

    def fresh(*names: str) -> dict[str, Any]:
        live = dict(zip(names, (net(3, 6), net(4, 6, 1)), strict=True))
        return {"model": live, "optimizer": {name[0].lower(): adam(model) for name, model in live.items()}}

    parts = fresh("generator", "discriminator")
    quiet(path, **parts)
    for name, model in models.items():
        assert same(model, parts["model"][name]) and equal_state(
            optimizers[name[0]], parts["optimizer"][name[0]]
        )
    one, optimizer = net(5, 6), None
    optimizer = adam(one)
    quiet(path, model=one, optimizer=optimizer)
    assert same(one, models["generator"]) and equal_state(optimizer, optimizers["g"])
    parts = fresh("G", "D")
    assert "T223" not in found(path, **parts)  # the same models under other names
    refused(path, "T205", **parts)
    assert same(models["generator"], parts["model"]["G"]) and same(
        models["discriminator"], parts["model"]["D"]
    )


def test_two_networks_of_one_shape(tmp_path: Path) -> None:
    path = tmp_path / "ac.pt"
    torch.save({"actor": net(1).state_dict(), "critic": net(2).state_dict()}, path)
    refused(path, "T210", settles=False, model=net(3))
    chosen = net(3)
    quiet(path, allow=("rename:critic/*->*",), model=chosen)
    assert same(chosen, net(2))


# -- fine-tuning -----------------------------------------------------------------------------------------------------
def test_a_new_head_and_then_a_resume(run: tuple[Any, Any, Any], tmp_path: Path) -> None:
    model, optimizer, _ = run
    path = tmp_path / "pretrained.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    refused(path, "T203", model=Tagger(2, outputs=5))
    tuned = Tagger(2, outputs=5)
    head = tuned.head.weight.clone()
    outcome = quiet(path, allow=("drop:head.*", "keep-live:head.*"), model=tuned)
    assert torch.equal(tuned.head.weight, head) and torch.equal(tuned.enc.weight, model.enc.weight)
    assert outcome.kept == ("head.weight", "head.bias")
    again = adam(tuned)
    trained(tuned, again)
    torch.save({"model": tuned.state_dict(), "optimizer": again.state_dict()}, tmp_path / "tuned.pt")
    other = Tagger(3, outputs=5)
    fresh = adam(other)
    quiet(tmp_path / "tuned.pt", model=other, optimizer=fresh)
    trained(other, fresh)
    trained(tuned, again)
    assert same(other, tuned)  # the resumed run is the uninterrupted one


def frozen(seed: int) -> Any:
    model = Tagger(seed)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith("head"))
    return model


@pytest.mark.parametrize("everything", [False, True], ids=["optimizer-of-the-head", "optimizer-of-all"])
def test_a_frozen_backbone(tmp_path: Path, everything: bool) -> None:
    def of(model: Any) -> Any:
        return torch.optim.Adam([p for p in model.parameters() if everything or p.requires_grad], lr=0.1)

    model = frozen(1)
    optimizer = of(model)
    trained(model, optimizer)
    path = tmp_path / "frozen.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    other = frozen(2)
    fresh = of(other)
    quiet(path, model=other, optimizer=fresh)
    assert same(model, other) and equal_state(optimizer, fresh)


def test_a_backbone_that_is_thawed(tmp_path: Path) -> None:
    model = frozen(1)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=0.1)
    trained(model, optimizer)
    path = tmp_path / "frozen.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    other = Tagger(2)
    fresh = adam(other)
    # the file's state 0 is the head's, the live optimizer's 0 the embedding's
    refused(path, "O205", "O206", model=other, optimizer=fresh)
    assert torch.equal(
        fresh.state[other.head.weight]["exp_avg"], optimizer.state[model.head.weight]["exp_avg"]
    )
    assert other.emb.weight not in fresh.state or not fresh.state[other.emb.weight]["exp_avg"].any()


@pytest.mark.parametrize(("size", "edit"), [(13, "pad:emb.weight:(13,8)"), (9, "slice:emb.weight:[0:9,:]")])
def test_a_vocabulary_of_another_size(
    run: tuple[Any, Any, Any], tmp_path: Path, size: int, edit: str
) -> None:
    model, optimizer, _ = run
    path = tmp_path / "m.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    other = Tagger(2, vocabulary=size)
    fresh = adam(other)
    assert edit in refused(path, "T203", settles=False, model=other, optimizer=fresh)
    outcome = quiet(path, allow=(edit,), model=other, optimizer=fresh)
    assert edit in str(outcome)
    kept = min(size, 11)
    assert torch.equal(other.emb.weight[:kept], model.emb.weight[:kept])
    assert fresh.state[other.emb.weight]["exp_avg"].shape == (size, 8)  # its slots go along


# -- wrappers, types -----------------------------------------------------------------------------------------------
WRAPPED = {"bare": lambda m: m, "data-parallel": nn.DataParallel, "compiled": torch.compile}


@pytest.mark.parametrize("live", WRAPPED)
@pytest.mark.parametrize("stored", WRAPPED)
def test_wrappers_on_either_side(tmp_path: Path, stored: str, live: str) -> None:
    model = Tagger(1)
    optimizer = adam(model)
    trained(model, optimizer)
    path = tmp_path / "w.pt"
    torch.save({"net": WRAPPED[stored](model).state_dict(), "opt": optimizer.state_dict()}, path)
    other = Tagger(2)
    wrapped = WRAPPED[live](other)
    fresh = adam(wrapped)
    quiet(path, model=wrapped, optimizer=fresh)
    assert same(model, other) and equal_state(optimizer, fresh)


class Conv(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.c = nn.Conv2d(3, 4, 3)


@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("live", [torch.contiguous_format, torch.channels_last])
def test_strides_are_the_live_models(tmp_path: Path, stored: Any, live: Any) -> None:
    model, other = Conv(1).to(memory_format=stored), Conv(2).to(memory_format=live)
    torch.save(model.state_dict(), tmp_path / "c.pt")
    quiet(tmp_path / "c.pt", model=other)
    assert same(model, other) and other.c.weight.is_contiguous(memory_format=live)


def test_a_half_model_takes_nothing_wider_unasked(tmp_path: Path) -> None:
    model = Conv(1)
    torch.save(model.state_dict(), tmp_path / "c.pt")
    refused(tmp_path / "c.pt", "T204", model=Conv(2).half())
    other = Conv(2).half()
    quiet(tmp_path / "c.pt", allow=("cast:*:f32->f16",), model=other)
    assert torch.equal(other.c.weight, model.c.weight.half())


# -- Lightning, flax -----------------------------------------------------------------------------------------------
def test_lightnings_own_checkpoint(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = net(torch.initial_seed() % 1000, 6)

        def training_step(self, batch: Any, index: int) -> Any:
            return self.model(batch[0]).pow(2).mean()

        def configure_optimizers(self) -> Any:
            optimizer = adam(self)
            return {
                "optimizer": optimizer,
                "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5),
            }

    torch.manual_seed(1)
    module = Module()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 4)), batch_size=4)
    quietly = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = lightning.Trainer(max_epochs=2, default_root_dir=tmp_path, enable_checkpointing=True, **quietly)
    trainer.fit(module, data)
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    torch.manual_seed(2)
    other = Module()
    made = other.configure_optimizers()
    quiet(path, model=other, optimizer=made["optimizer"], scheduler=made["lr_scheduler"])
    assert same(module, other) and equal_state(trainer.optimizers[0], made["optimizer"])
    assert made["lr_scheduler"].last_epoch == 2
    assert made["optimizer"].param_groups[0]["lr"] == trainer.optimizers[0].param_groups[0]["lr"]
    inner = net(3, 6)
    quiet(path, model=inner)  # the network alone, without the module around it
    assert same(module.model, inner)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_a_train_state_with_a_chain_and_a_schedule(tmp_path: Path, kind: str) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    flax = pytest.importorskip("flax")
    from flax import linen
    from flax.training.train_state import TrainState
    from safetensors.numpy import save_file as save_arrays

    def state(seed: int) -> Any:
        model = linen.Dense(3)
        params = model.init(jax.random.PRNGKey(seed), np.ones((1, 4), np.float32))["params"]
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.01, 9)))
        return TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    def stepped(one: Any) -> Any:
        gradients = jax.grad(
            lambda p: (one.apply_fn({"params": p}, np.ones((2, 4), np.float32)) ** 2).mean()
        )(one.params)
        return one.apply_gradients(grads=gradients)

    run = state(1)
    for _ in range(3):
        run = stepped(run)
    tree = flax.traverse_util.flatten_dict(flax.serialization.to_state_dict(run))
    flat = {".".join(map(str, k)): np.ascontiguousarray(v) for k, v in tree.items()}
    path = tmp_path / f"state.{kind}"
    np.savez(path, **flat) if kind == "npz" else save_arrays(flat, path)
    again = quiet(path, model=state(2)).model
    assert int(again.step) == 3 and jax.tree.structure(again.opt_state) == jax.tree.structure(run.opt_state)
    for mine, theirs in zip(jax.tree.leaves(stepped(run)), jax.tree.leaves(stepped(again)), strict=True):
        assert np.array_equal(mine, theirs)
    del flat["step"]
    np.savez(path, **flat) if kind == "npz" else save_arrays(flat, path)
    assert "`step`" in refused(path, "R201", model=state(2))
    fresh = state(2)
    outcome = quiet(path, model=fresh.params)  # the weights alone are an ordinary thing
    assert np.array_equal(outcome.model["kernel"], run.params["kernel"])


@pytest.mark.parametrize("options", [{"amsgrad": True}, {"momentum": 0.9}], ids=["amsgrad", "momentum"])
def test_a_slot_that_was_switched_on_begins_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    """What the plan proposes keeps the state that is there (RMSprop's squares, Adam's moments)."""
    kind: Any = torch.optim.Adam if "amsgrad" in options else torch.optim.RMSprop
    model = net(1)
    optimizer = kind(model.parameters(), lr=0.01)
    trained(model, optimizer)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    live = net(2)
    other = kind(live.parameters(), lr=0.01, **options)
    with pytest.raises(holdfast.RestoreRefused) as caught:
        holdfast.restore(tmp_path / "a.pt", model=live, optimizer=other)
    plan = caught.value.plan
    assert not any(edit.kind == "reset-slots" for edit in plan.edits)
    assert any(edit.kind == "keep-live" for edit in plan.edits)
    holdfast.restore(tmp_path / "a.pt", model=live, optimizer=other, plan=plan)
    for ours, theirs in zip(live.parameters(), model.parameters(), strict=True):
        state, saved = other.state[ours], optimizer.state[theirs]
        assert all(torch.equal(state[word], value) for word, value in saved.items())
        assert all(not value.any() for word, value in state.items() if word not in saved)
    trained(live, other)


def test_parts_under_words_of_ones_own(tmp_path: Path) -> None:
    """Two networks, each with its optimizer, none of them called ``model`` or ``optimizer``."""

    def made(seed: int) -> dict[str, Any]:
        actor, critic = net(seed), net(seed + 10)
        return {
            "actor": actor,
            "critic": critic,
            "actor_optimizer": adam(actor),
            "critic_optimizer": adam(critic),
        }

    run = made(1)
    for word in ("actor", "critic"):
        trained(run[word], run[f"{word}_optimizer"])
    path = tmp_path / "a.pt"
    torch.save({word: part.state_dict() for word, part in run.items()}, path)
    again = made(2)
    outcome = quiet(path, **again)
    assert len(outcome.restored) == outcome.total and outcome.next_step == "the next step will run"
    for word in ("actor", "critic"):
        assert same(run[word], again[word])
        assert equal_state(run[f"{word}_optimizer"], again[f"{word}_optimizer"])
    half = made(3)
    quiet(path, actor=half["actor"], actor_optimizer=half["actor_optimizer"])
    assert equal_state(run["actor_optimizer"], half["actor_optimizer"])
    alone = quiet(path, actor=made(4)["actor"])  # weights alone ask for no optimizer
    assert alone.next_step.startswith("no optimizer was given")
