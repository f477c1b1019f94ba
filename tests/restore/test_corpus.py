"""Silent failures that people reported, by their id in the corpus: reproduced small, then what Holdfast says and does.

Each case first shows what the framework does (nothing, mostly), then that ``check`` names it and ``restore`` refuses or
does it right, then that the repaired program is left alone. TensorFlow's are in ``test_corpus_tensorflow.py``.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from restore.resuming import Tagger, adam, found, net, quiet, refused, same, trained
from shared import SHARED

pytest.importorskip("torch")
pytest.importorskip("safetensors")
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import lr_scheduler

OUTSIDE = {
    "memory of a GPU that a save leaves allocated: each save's telemetry tells it, and these tests run without one": "pt-115",
    "a save that hangs for ever on forty hosts: one machine's reproduction is a call that does not return, which pt-126 is": (
        "tf-143"
    ),
}
"""Cases that no test reproduces, by the reason."""

HERE = (
    "pt-038 pt-048 pt-049 pt-050 pt-051 pt-056 pt-058 pt-060 pt-084 pt-085 pt-087 pt-091 pt-111 pt-122 pt-160 pt-161 "
    "pt-178 pt-183 pt-194 pt-197 pt-226 pt-227"
)
IN_TENSORFLOW = (
    "tf-026 tf-029 tf-030 tf-033 tf-094 tf-096 tf-130 tf-138 tf-140 tf-149 tf-171 tf-174 tf-189 tf-193 tf-198 tf-210 "
    "tf-218 tf-220 tf-222"
)

IN_OTHER_ROOMS = {
    "audit": "pt-112 pt-199 pt-200 pt-203 tf-041 tf-158",
    "drill": "pt-102 pt-104 pt-108 pt-163 pt-201 pt-207",
    "guard": (
        "pt-118 pt-121 pt-187 pt-198 pt-199 pt-200 pt-212 pt-221 "
        "tf-023 tf-024 tf-105 tf-142 tf-151 tf-165 tf-168 tf-205 tf-245"
    ),
    "record": "pt-184 pt-185 tf-230",
    "vault": "pt-067 pt-105 pt-118 pt-126 pt-176 pt-198 pt-203 pt-214 pt-221 pt-228 pt-229 tf-152",
    "layouts": "tf-203",
}
"""Cases that another room tells of, or does not let happen; some are told of in several."""


def test_every_case_of_the_corpus_is_here_or_says_why_not() -> None:
    elsewhere = {case for cases in IN_OTHER_ROOMS.values() for case in cases.split()}
    told = [
        *HERE.split(),
        *IN_TENSORFLOW.split(),
        *elsewhere,
        *(i for ids in OUTSIDE.values() for i in ids.split()),
    ]
    assert len(told) == len(set(told))
    rooms = {"restore": f"{HERE} {IN_TENSORFLOW}", **IN_OTHER_ROOMS}
    for room, cases in rooms.items():
        files = Path(__file__).parents[1].joinpath(room).glob("test_corpus*.py")
        lines = "\n".join(file.read_text() for file in files).splitlines()
        names = "\n".join(line for line in lines if line.startswith("def test_"))
        for case in cases.split():
            assert f"_{case.replace('-', '_')}_" in names, (room, case)
    corpus = SHARED / "corpus" / "silent.jsonl"
    if not corpus.exists():
        pytest.skip("the corpus is not here")
    ids = {json.loads(line)["id"] for line in corpus.read_text().splitlines() if line.strip()}
    assert ids <= set(told), sorted(ids - set(told))


def saved(tmp_path: Path, **parts: Any) -> Path:
    path = tmp_path / "ckpt.pt"
    torch.save({k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in parts.items()}, path)
    return path


# -- state that is not there yet -------------------------------------------------------------------------------
def test_pt_038_slots_that_do_not_exist_yet_are_made(tmp_path: Path) -> None:
    model = net(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trained(model, optimizer)
    fresh = net(2)
    other = torch.optim.SGD(fresh.parameters(), lr=0.1, momentum=0.9)
    quiet(saved(tmp_path, model=model, optimizer=optimizer), model=fresh, optimizer=other)
    for mine, theirs in zip(model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(optimizer.state[mine]["momentum_buffer"], other.state[theirs]["momentum_buffer"])


def test_pt_038_the_folder_itself_is_no_silent_success(tmp_path: Path) -> None:
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    model = net(1)
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    fresh = net(2)
    before = copy.deepcopy(fresh)
    try:
        holdfast.restore(tmp_path / "dcp", model=fresh)
    except holdfast.RestoreRefused as refusal:  # as long as there is no reader
        assert "cannot be read" in str(refusal) and same(fresh, before)
    else:
        assert same(fresh, model)


# -- schedules ----------------------------------------------------------------------------------------------------
def stepped(tmp_path: Path, make: Any) -> tuple[Path, Any, Any]:
    model = net(1)
    optimizer = adam(model)
    scheduler = make(optimizer)
    trained(model, optimizer, scheduler)
    return saved(tmp_path, model=model, optimizer=optimizer, scheduler=scheduler), optimizer, scheduler


def again(make: Any) -> dict[str, Any]:
    model = net(2)
    optimizer = adam(model)
    return {"model": model, "optimizer": optimizer, "scheduler": make(optimizer)}


def test_pt_048_a_scheduler_made_after_the_load_puts_the_first_rate_back(tmp_path: Path) -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)

    path, optimizer, _ = stepped(tmp_path, make)
    rate = optimizer.param_groups[0]["lr"]
    model = net(2)
    late = adam(model)
    late.load_state_dict(torch.load(path)["optimizer"])
    assert late.param_groups[0]["lr"] == rate
    make(late)
    assert late.param_groups[0]["lr"] == 0.1 != rate  # what the framework leaves
    parts = again(make)
    quiet(path, **parts)
    assert parts["optimizer"].param_groups[0]["lr"] == rate == parts["scheduler"].get_last_lr()[0]


def test_pt_049_a_checkpoint_without_optimizer_state(tmp_path: Path) -> None:
    path = saved(tmp_path, epoch=100, state_dict=net(1))
    parts = again(lambda o: lr_scheduler.StepLR(o, 1))
    refused(path, "O201", "R201", **parts)
    quiet(path, model=net(2))


def test_pt_050_a_scheduler_of_another_optimizer(tmp_path: Path) -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.StepLR(optimizer, 1, 0.5)

    path, _, _ = stepped(tmp_path, make)
    parts = again(make)
    parts["optimizer"] = adam(parts["model"])
    assert "O311" in found(path, **parts)
    report = holdfast.examine(**parts).checkpoints[0]
    assert "O311" in {f.code for f in report.findings}
    quiet(path, **again(make))


def test_pt_051_the_schedule_goes_on_where_it_was(tmp_path: Path) -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.ExponentialLR(optimizer, 0.7)

    path, optimizer, scheduler = stepped(tmp_path, make)
    parts = again(make)
    quiet(path, **parts)
    for one, opt in ((scheduler, optimizer), (parts["scheduler"], parts["optimizer"])):
        opt.step()
        one.step()
    assert parts["optimizer"].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    assert parts["scheduler"].last_epoch == scheduler.last_epoch


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (
            lambda o: lr_scheduler.CosineAnnealingLR(o, 9),
            lambda o: lr_scheduler.CosineAnnealingLR(o, 15),
            "T_max",
        ),
        (lambda o: lr_scheduler.StepLR(o, 1, 0.5), lambda o: lr_scheduler.StepLR(o, 1, 0.9), "gamma"),
        (
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 9)], [2]
            ),
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 15)], [2]
            ),
            "T_max",
        ),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=2), None, None),
    ],
    ids=["cosine", "step", "sequential", "plateau"],
)
def test_pt_226_a_schedule_constructed_otherwise(
    tmp_path: Path, before: Any, after: Any, word: str | None
) -> None:
    if after is None:
        model = net(1)
        optimizer = adam(model)
        scheduler = before(optimizer)
        trained(model, optimizer)
        for _ in range(3):
            scheduler.step(1.0)
        path = saved(tmp_path, model=model, optimizer=optimizer, scheduler=scheduler)
        after, word = (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=5)), "patience"
    else:
        path, _, _ = stepped(tmp_path, before)
    parts = again(after)
    plain = after(adam(net(3)))
    plain.load_state_dict(torch.load(path)["scheduler"])
    text = refused(path, "O207", settles=False, **parts)
    assert word in text and "scheduler.load_state_dict" in text
    holdfast.restore(path, allow=[f"hyper:{word}=live"], **parts)
    quiet(path, **again(before))


def test_pt_227_fewer_steps_than_are_done(tmp_path: Path) -> None:
    path, _, _ = stepped(tmp_path, lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9))
    assert "total_steps" in refused(
        path, "O207", **again(lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=2))
    )
    quiet(path, **again(lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9)))


def test_pt_227_a_schedule_of_another_class(tmp_path: Path) -> None:
    path, _, _ = stepped(tmp_path, lambda o: lr_scheduler.StepLR(o, 1, 0.5))
    assert "another class" in refused(path, "R201", **again(lambda o: lr_scheduler.ExponentialLR(o, 0.5)))


def test_pt_227_other_milestones(tmp_path: Path) -> None:
    path, _, _ = stepped(tmp_path, lambda o: lr_scheduler.MultiStepLR(o, [2, 4]))
    assert "milestones/6" in refused(path, "R201", **again(lambda o: lr_scheduler.MultiStepLR(o, [2, 6])))
    quiet(path, **again(lambda o: lr_scheduler.MultiStepLR(o, [2, 4])))


# -- which weights ------------------------------------------------------------------------------------------------
def test_pt_056_the_loaded_model_was_thrown_away(tmp_path: Path) -> None:
    model, untouched = net(1), net(2)
    path = saved(tmp_path, state_dict=model)
    assert {d.code for d in holdfast.compare(path, untouched).differences} == {"T211"}
    quiet(path, model=untouched)
    assert not holdfast.compare(path, untouched).differences


def test_pt_058_weights_one_level_deeper(tmp_path: Path) -> None:
    model, other = net(1), net(2)
    path = saved(tmp_path, epoch=1, model_state_dict=model)
    result = other.load_state_dict(torch.load(path), strict=False)
    assert result.missing_keys and not same(model, other)
    quiet(path, model=other)
    assert same(model, other)


def layers(count: int, seed: int) -> Any:
    torch.manual_seed(seed)
    return nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(3, 3) for _ in range(count)])})


@pytest.mark.parametrize(("stored", "live", "code"), [(16, 8, "T202"), (8, 16, "T201")])
def test_pt_060_another_number_of_layers(tmp_path: Path, stored: int, live: int, code: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file(layers(stored, 1).state_dict(), path)
    refused(path, code, model=layers(live, 2))
    errors = [
        f
        for f in holdfast.check(path, model=layers(live, 2)).checkpoints[0].findings
        if f.severity == "error"
    ]
    assert len(errors) == 1  # eight layers, one cause


class Lora(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.base_layer = nn.Linear(size, size)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(size, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, size, bias=False)})
        nn.init.zeros_(self.lora_B["default"].weight)
        self.base_layer.requires_grad_(False)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.v = Lora(8), Lora(8)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])


def adapted(seed: int, front: str = "base_model.model.model") -> Any:
    torch.manual_seed(seed)
    model: Any = Base()
    for name in reversed(front.split(".")):
        holder = nn.Module()
        holder.add_module(name, model)
        model = holder
    return model


def adapter_file(tmp_path: Path, front: str) -> tuple[Path, dict[str, Any]]:
    model = adapted(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight)
    tensors = {k.replace(".default", ""): v for k, v in model.state_dict().items() if "lora_" in k}
    named = {k.replace("base_model.model.model", front): v.clone() for k, v in tensors.items()}
    path = tmp_path / "adapter_model.safetensors"
    save_file(named, path)
    return path, {k: v for k, v in model.state_dict().items() if "lora_" in k}


def carries(model: Any, tensors: dict[str, Any]) -> bool:
    now = [v for k, v in model.state_dict().items() if "lora_" in k]
    return all(torch.equal(a, b) for a, b in zip(now, tensors.values(), strict=True))


KEPT = ("keep-live:*base_layer*",)


def test_pt_084_an_adapter_with_one_level_fewer(tmp_path: Path) -> None:
    path, tensors = adapter_file(tmp_path, "base_model.model")
    model = adapted(2)
    from safetensors.torch import load_file

    assert (
        len(model.load_state_dict(load_file(path), strict=False).unexpected_keys) == 8
    )  # none of them known
    refused(path, "T205", allow=KEPT, model=model)
    assert carries(model, tensors)
    path, tensors = adapter_file(tmp_path, "base_model.model.model")
    model = adapted(2)
    outcome = quiet(path, allow=KEPT, model=model)
    assert carries(model, tensors) and len(outcome.kept) == 8
    assert "8 tensors under" in str(
        outcome
    )  # not "`layers.*` kept their values": the adapter's are there, too


def test_pt_085_an_adapter_with_the_wrapper_in_its_names(tmp_path: Path) -> None:
    path, tensors = adapter_file(tmp_path, "base_model.model.model")
    model = adapted(2, "model")
    refused(path, "T205", allow=KEPT, model=model)
    assert carries(model, tensors)


class Tied(nn.Module):
    def __init__(self, seed: int, tie: bool) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.emb = nn.Embedding(7, 4)
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        if tie:
            self.head.weight = self.emb.weight


def test_pt_087_a_tied_head_that_nobody_ties(tmp_path: Path) -> None:
    source = Tied(1, tie=True)
    path = tmp_path / "m.safetensors"
    save_file({k: v for k, v in source.state_dict().items() if k != "head.weight"}, path)
    assert "head.weight" in refused(path, "T201", model=Tied(2, tie=False))
    other = Tied(2, tie=True)
    quiet(path, model=other)
    assert torch.equal(other.head.weight, source.emb.weight)


def test_pt_091_a_head_of_its_own_tied_again(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file(Tied(1, tie=False).state_dict(), path)
    refused(path, "T207", model=Tied(2, tie=True))
    quiet(path, model=Tied(2, tie=False))


def test_pt_111_only_the_average_is_there(tmp_path: Path) -> None:
    model = Tagger(1)
    optimizer = adam(model)
    trained(model, optimizer)
    path = saved(tmp_path, epoch=3, ema=model, updates=7, model=None, optimizer=optimizer)
    other = Tagger(2)
    assert "averaged copy" in refused(path, "T212", model=other, optimizer=adam(other))
    assert found(path, model=Tagger(2)) == {"T212"}  # for inference it may well be meant: a warning
    holdfast.restore(path, model=Tagger(2))
    quiet(path, allow=("rename:ema/*->*",), model=Tagger(2))
    both = saved(tmp_path, ema=Tagger(5), model=model, optimizer=optimizer)
    other = Tagger(2)
    quiet(both, model=other, optimizer=adam(other))
    assert same(model, other)


def test_pt_122_step_counts_that_disagree(tmp_path: Path) -> None:
    model = net(1)
    optimizer = adam(model)
    trained(model, optimizer)
    other = net(2)
    quiet(saved(tmp_path, model=model, optimizer=optimizer), model=other, optimizer=adam(other))
    optimizer.state[model[0].weight]["step"].fill_(2)
    assert "O104" in found(
        saved(tmp_path, model=model, optimizer=optimizer), model=net(2), optimizer=adam(other)
    )


# -- optimizers ---------------------------------------------------------------------------------------------------
def moments(weights: Any, state: Any) -> tuple[Any, Any]:
    torch.manual_seed(1)
    model = nn.Linear(4, 3).to(weights)
    optimizer = adam(model)
    model(torch.ones(2, 4, dtype=weights)).float().sum().backward()
    optimizer.step()
    for one in optimizer.state.values():
        one |= {k: one[k].to(state) for k in ("exp_avg", "exp_avg_sq")}
    return model, optimizer


@pytest.mark.parametrize(
    ("weights", "state"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)],
    ids=["160", "161"],
)
def test_pt_160_moments_of_another_type_are_not_cast(tmp_path: Path, weights: Any, state: Any) -> None:
    model, optimizer = moments(weights, state)
    path = saved(tmp_path, model=model, optimizer=optimizer)
    plain = adam(nn.Linear(4, 3).to(weights))
    plain.load_state_dict(torch.load(path)["optimizer"])
    assert next(iter(plain.state.values()))["exp_avg"].dtype == weights  # cast, without a word
    other = nn.Linear(4, 3).to(weights)
    refused(path, "T204", model=other, optimizer=adam(other))


def test_pt_161_moments_of_the_weights_type_are_left_alone(tmp_path: Path) -> None:
    model, optimizer = moments(torch.bfloat16, torch.bfloat16)
    other = nn.Linear(4, 3).bfloat16()
    quiet(saved(tmp_path, model=model, optimizer=optimizer), model=other, optimizer=adam(other))


def test_pt_178_a_path_that_is_not_there(tmp_path: Path) -> None:
    for ask in (holdfast.check, holdfast.restore):
        with pytest.raises(holdfast.CheckpointNotFound):
            ask(tmp_path / "checkpoint_last.pt", model=net(1))
    assert not list(tmp_path.iterdir())


def test_pt_183_counters_that_older_versions_did_not_have(tmp_path: Path) -> None:
    state = {k: v for k, v in Tagger(1).state_dict().items() if "num_batches" not in k}
    path = tmp_path / "m.pt"
    torch.save(state, path)
    assert "num_batches_tracked" in refused(path, "T201", model=Tagger(2))
    quiet(path, allow=("keep-live:*.num_batches_tracked",), model=Tagger(2))
    del state["bn.running_mean"]  # what strict=False would have hidden
    torch.save(state, path)
    refused(path, "T201", allow=("keep-live:*.num_batches_tracked",), model=Tagger(2))


def test_pt_194_containers_keep_their_kind(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    params = {"w": jax.numpy.ones((3, 2)), "b": jax.numpy.zeros(2)}
    tx = optax.chain(optax.clip(1.0), optax.adam(0.1))
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(params, state, params)
    named = {"params/w": params["w"], "params/b": params["b"]}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        named[
            "opt_state/"
            + "/".join(str(getattr(k, "idx", getattr(k, "name", getattr(k, "key", k)))) for k in path)
        ] = leaf
    np.savez(tmp_path / "s.npz", **{k: np.asarray(v) for k, v in named.items()})
    fresh = tx.init(params)
    zeros = jax.tree.map(jax.numpy.zeros_like, params)
    outcome = quiet(tmp_path / "s.npz", model=zeros, optimizer=fresh)
    assert jax.tree.structure(outcome.optimizer) == jax.tree.structure(state)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(outcome.optimizer), jax.tree.leaves(state), strict=True)
    )


class Two(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)

    def forward(self, x: Any) -> Any:
        return self.b(self.a(x))


def test_pt_197_weights_given_in_another_order(tmp_path: Path) -> None:
    model = Two(1)
    optimizer = adam(model)
    trained(model, optimizer)
    path = saved(tmp_path, model=model, optimizer=optimizer)
    other = Two(2)
    crossed = torch.optim.Adam([other.b.weight, other.a.weight], lr=0.1)
    crossed.load_state_dict(torch.load(path)["optimizer"])
    assert torch.equal(crossed.state[other.b.weight]["exp_avg"], optimizer.state[model.a.weight]["exp_avg"])
    crossed = torch.optim.Adam([other.b.weight, other.a.weight], lr=0.1)
    refused(path, "T210", settles=False, model=other, optimizer=crossed)
    refused(path, "T210", settles=False, optimizer=crossed)  # alone, nothing can tell
    straight = adam(other)
    quiet(path, model=other, optimizer=straight)
    assert torch.equal(straight.state[other.b.weight]["exp_avg"], optimizer.state[model.b.weight]["exp_avg"])
