"""Checkpoints of whole training programs against what such programs build: averages beside the model, heads begun anew,
other precision, schedulers that set several values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast._examine.fit import as_plan, fit
from holdfast._examine.fitted import Fit
from holdfast._frameworks import live_catalog

pytest.importorskip("torch")
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Net(nn.Module):
    def __init__(self, classes: int = 3, last: str = "head", seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
        self.register_buffer("mask", torch.ones(1, 4))
        setattr(self, last, nn.Linear(4, classes))
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = getattr(self, self.last)(self.body(x * self.mask))
        return out


def stepped(net: nn.Module, optimizer: Any) -> Any:
    net(torch.randn(3, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def adamw(net: nn.Module) -> Any:
    return torch.optim.AdamW(net.parameters(), lr=0.1)


def saved(tmp_path: Path, **content: Any) -> Path:
    path = tmp_path / "c.pt"
    torch.save({k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in content.items()}, path)
    return path


def fitted(path: Path, plan: Any = (), **parts: Any) -> Fit:
    with holdfast.open(path) as stored:
        return fit(stored, live_catalog(**parts), as_plan(plan))


def same(a: nn.Module, b: nn.Module) -> bool:
    there = b.state_dict()
    return all(torch.equal(value, there[name]) for name, value in a.state_dict().items())


# -- an averaged copy beside the model ----------------------------------------------------------------------
def test_an_average_in_the_models_place_is_told(tmp_path: Path) -> None:
    net, live = Net(), Net(seed=1)
    path = saved(tmp_path, model=AveragedModel(net), optimizer=stepped(net, adamw(net)))
    (error,) = fitted(path, model=live, optimizer=adamw(live)).errors
    assert error.code == "T212" and "the optimizer's state belongs to the raw weights" in error.message
    assert not fitted(path, model=live, optimizer=adamw(live), plan=[error.edit]).errors
    assert not fitted(path, model=live).errors and not fitted(path, model=AveragedModel(live)).findings


@pytest.mark.parametrize(
    ("wrap", "origin"), [(AveragedModel, "AveragedModel"), (nn.DataParallel, "DataParallel or")]
)
def test_who_has_put_module_in_front_is_told(tmp_path: Path, wrap: Any, origin: str) -> None:
    path = tmp_path / "c.pt"
    torch.save(wrap(Net()).state_dict(), path)
    (finding,) = fitted(path, model=Net(seed=1)).findings
    assert finding.code == "T216" and f"`module.` of {origin}" in finding.message


@pytest.mark.parametrize("part", ["ema", "average", "teacher"])
@pytest.mark.parametrize("of", [lambda net: net, lambda net: net.body], ids=["all of it", "a part of it"])
def test_an_averaged_model_is_found_under_its_own_word(tmp_path: Path, part: str, of: Any) -> None:
    net, live = Net(), Net(seed=1)
    copy, live_copy = AveragedModel(of(net)), AveragedModel(of(live))
    copy.update_parameters(of(net))
    stepped(net, optimizer := adamw(net))
    path = saved(tmp_path, model=net, optimizer=optimizer, **{part: copy})
    holdfast.restore(path, model=live, optimizer=adamw(live), **{part: live_copy})
    assert same(live, net) and same(live_copy, copy)
    assert not same(of(live), live_copy.module)


def test_an_averaged_model_alone_takes_the_averaged_copy(tmp_path: Path) -> None:
    net = Net()
    copy = AveragedModel(net)
    copy.update_parameters(net)
    stepped(net, optimizer := adamw(net))
    path = saved(tmp_path, model=net, ema=copy, optimizer=optimizer)
    live = AveragedModel(Net(seed=1))
    holdfast.restore(path, model=live)
    assert same(live, copy)
    plain = Net(seed=1)
    holdfast.restore(path, model=plain)
    assert same(plain, net)


def test_a_count_of_the_average_that_is_not_there_is_the_models(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, ema=AveragedModel(net).module)
    (error,) = fitted(path, model=net, ema=AveragedModel(net)).errors
    assert error.message == "`ema/n_averaged`, scalar int64, is in the model and not in the checkpoint"


def test_a_part_passed_by_the_words_of_the_file_needs_no_model(tmp_path: Path) -> None:
    generator, live = Net(), Net(seed=1)
    path = saved(tmp_path, generator=generator, discriminator=nn.Linear(2, 2))
    holdfast.restore(path, generator=live)
    assert same(live, generator)


# -- a head begun anew --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "allow",
    [["keep-live:head.*", "drop:head.*"], ["drop:head.*", "keep-live:head.*"], ["keep-live:head.*"]],
    ids=" ".join,
)
@pytest.mark.parametrize("classes", [3, 7])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_kept_live_keeps_its_value(
    tmp_path: Path, allow: list[str], classes: int, wrapped: bool
) -> None:
    net = Net()
    stepped(net, optimizer := adamw(net))
    path = saved(tmp_path, model=nn.DataParallel(net) if wrapped else net, optimizer=optimizer)
    live = Net(classes, seed=1)
    mine, before = adamw(live), live.head.weight.detach().clone()
    outcome = holdfast.restore(path, model=live, optimizer=mine, allow=allow)
    assert torch.equal(live.head.weight, before) and same(live.body, net.body)
    assert not any(p in mine.state for p in live.head.parameters())
    assert all(torch.equal(mine.state[p]["exp_avg"], optimizer.state[q]["exp_avg"])
               for p, q in zip(live.body.parameters(), net.body.parameters(), strict=True))  # fmt: skip
    assert "`head.*` kept" in str(outcome)
    stepped(live, mine)


def test_a_tied_tensor_is_kept_by_any_of_its_names(tmp_path: Path) -> None:
    net, live = (
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)),
    )
    for each in (net, live):
        each[1].weight = each[0].weight
    before = live[0].weight.detach().clone()
    holdfast.restore(saved(tmp_path, model=net), model=live, allow=["keep-live:1.weight"])
    assert torch.equal(live[0].weight, before) and torch.equal(live[0].bias, net[0].bias)


def test_another_shape_names_both_ways_out(tmp_path: Path) -> None:
    found = fitted(saved(tmp_path, model=Net()), model=Net(7))
    assert {f.code for f in found.errors} == {"T203"}
    assert all(
        "`keep-live:head." in (f.remedy or "") and "`pad:head." in (f.remedy or "") for f in found.errors
    )


def test_a_new_head_begins_anew_by_one_edit(tmp_path: Path) -> None:
    net, live = Net(), Net(7, seed=1)
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    found = fitted(path, model=live, optimizer=adamw(live))
    (error,) = found.errors
    assert error.code == "T203" and "3 outputs in the checkpoint and 7 in the model" in error.message
    assert error.edit == "keep-live:head.*" and [str(e) for e in found.proposal] == [error.edit]
    holdfast.restore(path, model=live, optimizer=adamw(live), plan=found.proposal)
    assert same(live.body, net.body)


class Deep(nn.Module):
    def __init__(self, width: int, vocabulary: int = 9) -> None:
        super().__init__()
        self.emb = nn.Embedding(vocabulary, 4)
        self.body, self.head = nn.Linear(4, width), nn.Linear(width, 3)


@pytest.mark.parametrize(
    ("other", "names"),
    [(Deep(6), {"body.weight", "body.bias", "head.weight"}), (Deep(4, 12), {"emb.weight"})],
    ids=["a wider model", "a table with more rows"],
)
def test_what_is_no_new_head_is_told_tensor_by_tensor(
    tmp_path: Path, other: nn.Module, names: set[str]
) -> None:
    found = fitted(saved(tmp_path, model=Deep(4)), model=other)
    assert {n for f in found.errors for n in f.tensors} == names
    assert all("outputs" not in f.message and (f.edit or "").startswith("pad:") for f in found.errors)


def test_weights_are_told_before_the_state_that_follows_them(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net)
    live = Net(last="classifier")
    live.more = nn.Linear(4, 4)
    codes = [f.code for f in fitted(path, model=live, optimizer=stepped(live, adamw(live))).errors]
    assert "O201" in codes and [c[0] for c in codes] == sorted((c[0] for c in codes), reverse=True)


# -- another precision --------------------------------------------------------------------------------------
def test_one_cast_for_a_model_of_another_precision(tmp_path: Path) -> None:
    net = Net()
    stepped(net, optimizer := adamw(net))
    for state in optimizer.state.values():
        state["step"].fill_(3001.0)  # no such number in bfloat16
    path = saved(tmp_path, model=net, optimizer=optimizer)
    live = Net().bfloat16()
    mine = adamw(live)
    found = fitted(path, model=live, optimizer=mine)
    assert [f.edit for f in found.errors] == ["cast:*:f32->bf16"] == [str(e) for e in found.proposal]
    holdfast.restore(path, model=live, optimizer=mine, allow=["cast:*:f32->bf16"])
    assert {state["step"].item() for state in mine.state.values()} == {3001.0}
    assert {state["exp_avg"].dtype for state in mine.state.values()} == {torch.bfloat16}


def test_a_cast_of_a_part_says_which(tmp_path: Path) -> None:
    live = Net()
    live.body.bfloat16()
    found = fitted(saved(tmp_path, model=Net()), model=live)
    assert [f.edit for f in found.errors] == ["cast:body.*:f32->bf16"]
    assert not fitted(saved(tmp_path, model=Net()), ["cast:*:f32->bf16"], model=live).errors


# -- another optimizer --------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad])
def test_a_fresh_start_settles_an_optimizer_of_another_class(tmp_path: Path, make: Any) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    mine = make(net.parameters(), lr=0.1, weight_decay=0.01)
    found = fitted(path, model=net, optimizer=mine)
    (error,) = [f for f in found.errors if f.code == "O203"]
    assert "Allow `reset-slots:*` to start" in (error.remedy or "")
    assert "O203" not in {f.code for f in fitted(path, ["reset-slots:*"], model=net, optimizer=mine).errors}
    assert not any(e.kind == "drop" for e in found.proposal)
    holdfast.restore(path, model=net, optimizer=mine, plan=found.proposal)


def test_state_kept_across_classes_says_which(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    mine = torch.optim.Adam(net.parameters(), lr=0.1, weight_decay=0.01)
    (note,) = fitted(path, ["map-slots:*->*"], model=net, optimizer=mine).findings
    assert note.message == "the optimizer is AdamW in the checkpoint and Adam now (allowed by map-slots)"


# -- names and positions ------------------------------------------------------------------------------------
def test_a_rename_that_is_likely_is_the_one_thing_told(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    live = Net(last="out")
    found = fitted(path, model=live, optimizer=adamw(live))
    assert [(f.code, f.edit) for f in found.errors] == [("T205", "rename:head.*->out.*")]
    mine = adamw(live)
    holdfast.restore(path, model=live, optimizer=mine, allow=["rename:head.*->out.*"])
    assert len(mine.state) == len([*live.parameters()])


def test_renames_of_two_models_say_both(tmp_path: Path) -> None:
    path = saved(tmp_path, generator=Net(), discriminator=Net(5, last="out"))
    found = fitted(path, model={"g": Net(), "d": Net(5, last="out")})
    told = " ".join(f.remedy or "" for f in found.errors)
    assert {f.code for f in found.errors} == {"T205"} and all(f.remedy for f in found.errors)
    assert "`rename:generator/*->g/*`" in told or "`rename:generator/" in told
    assert not fitted(
        path, [str(e) for e in found.proposal], model={"g": Net(), "d": Net(5, last="out")}
    ).errors


def test_a_renamed_model_in_another_order_is_doubtful_still(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    live = Net(last="out")
    ways = [*live.parameters()]
    ways[0], ways[4] = ways[4], ways[0]  # two kernels of one shape
    found = fitted(path, ["rename:head.*->out.*"], model=live, optimizer=torch.optim.AdamW(ways, lr=0.1))
    assert "T210" in {f.code for f in found.errors}


# -- what schedulers set ------------------------------------------------------------------------------------
def groups(net: Net) -> Any:
    decay = [p for p in net.parameters() if p.dim() > 1]
    return torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": [p for p in net.parameters() if p.dim() < 2]}],
        lr=0.1,
    )


def test_all_that_one_scheduler_sets_is_one_note(tmp_path: Path) -> None:
    net = Net()
    optimizer = groups(net)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=9)
    stepped(net, optimizer)
    scheduler.step()
    path = saved(tmp_path, model=net, optimizer=optimizer, scheduler=scheduler)
    mine = groups(net)
    again = torch.optim.lr_scheduler.OneCycleLR(mine, max_lr=0.5, total_steps=9)
    (note,) = fitted(path, model=net, optimizer=mine, scheduler=again).findings
    assert note.severity == "note" and note.message.startswith("learning_rate (")
    assert " and beta_1 (" in note.message and note.message.endswith("the checkpoint's are restored")
    with_another = fitted(path, model=net, optimizer=groups(net)).errors
    assert {f.code for f in with_another} == {"O207"}  # no scheduler is restored that owns the betas


def test_groups_of_one_value_are_one_note(tmp_path: Path) -> None:
    net = Net()
    optimizer = groups(net)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    stepped(net, optimizer)
    scheduler.step()
    path = saved(tmp_path, model=net, optimizer=optimizer)
    (note,) = fitted(path, model=net, optimizer=groups(net)).findings
    assert note.message.startswith("learning_rate is 0.05 in the checkpoint and 0.1 in the live optimizer")


# -- what the report says -----------------------------------------------------------------------------------
def test_errors_come_before_what_the_file_alone_shows(tmp_path: Path) -> None:
    net = Net()
    optimizer = stepped(net, adamw(net))
    del optimizer.state[net.body[0].weight]["exp_avg"]
    path = saved(tmp_path, model=net, optimizer=optimizer)
    found = holdfast.check(path, model=Net(7)).findings
    ranks = [("error", "warning", "note").index(f.severity) for f in found]
    assert ranks == sorted(ranks) and {0, 1} <= {*ranks}


def test_groups_are_counted_in_words(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    (told,) = [f for f in fitted(path, model=net, optimizer=groups(net)).errors if f.code == "O206"]
    assert told.message == "1 parameter group in the checkpoint, 2 now"


def test_a_buffer_of_the_model_has_no_state_to_miss(tmp_path: Path) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    assert holdfast.examine(path).findings == ()
    gone = adamw(net)
    stepped(net, gone)
    del gone.state[net.body[0].weight]  # given to the optimizer, and without state
    path = saved(tmp_path, model=net, optimizer=gone)
    assert [f.code for f in holdfast.examine(path).findings] == ["O103"]


@pytest.mark.parametrize("make", [adamw, groups])
def test_an_optimizer_of_weights_that_were_replaced_is_the_one_thing_told(tmp_path: Path, make: Any) -> None:
    net = Net()
    path = saved(tmp_path, model=net, optimizer=stepped(net, adamw(net)))
    mine = make(Net())
    found = fitted(path, model=net, optimizer=mine)
    assert [f.code for f in found.errors if f.cause == "optimizer-structure"] == ["O302"]
    assert "replaced after the optimizer was made" in found.errors[0].message and found.errors[0].related
    assert not found.proposal.edits
    told = [f.code for f in holdfast.check(path, model=net, optimizer=mine).findings]
    assert told.count("O302") == 1
    with pytest.raises(holdfast.RestoreRefused, match="Make the optimizer anew"):
        holdfast.restore(path, model=net, optimizer=mine)


def test_the_state_of_a_weight_that_is_kept_begins_anew_and_is_not_counted_as_restored(
    tmp_path: Path,
) -> None:
    source, model = Net(10), Net(5, seed=1)
    path = saved(tmp_path, model=source, optimizer=stepped(source, adamw(source)))
    optimizer = adamw(model)
    outcome = holdfast.restore(path, model=model, optimizer=optimizer, allow=["keep-live:head.*"])
    assert set(outcome.kept) == {"head.weight", "head.bias"}
    assert len(outcome.reset) == 6 and not {*outcome.reset} & {*outcome.restored}
    assert len(outcome.restored) == outcome.total - 8
    assert "start anew (allowed)" in outcome.summary


def test_state_that_was_never_made_is_restored_as_none(tmp_path: Path) -> None:
    source, model = Net(), Net(seed=1)
    source.body.requires_grad_(False)
    path = saved(tmp_path, model=source, optimizer=stepped(source, adamw(source)))
    outcome = holdfast.restore(path, model=model, optimizer=adamw(model))
    assert not outcome.reset
    assert "restored all" in outcome.summary


def test_state_by_position_that_fits_nowhere_is_one_finding_with_an_edit_that_settles_it(
    tmp_path: Path,
) -> None:
    net = Net(classes=3)
    backwards = torch.optim.AdamW(list(net.parameters())[::-1], lr=0.1)
    path = saved(tmp_path, model=net, optimizer=stepped(net, backwards))
    live = Net(seed=1)
    mine = adamw(live)
    found = fitted(path, model=live, optimizer=mine)
    (error,) = found.errors
    assert error.code == "O209" and {f.code for f in error.related} <= {"O204", "O205"}
    assert [str(e) for e in found.proposal] == ["reset-slots:*"]
    assert not fitted(path, ["reset-slots:*"], model=live, optimizer=mine).errors
    holdfast.restore(path, model=live, optimizer=mine, allow=["reset-slots:*"])
    assert same(net, live) and not mine.state


def test_weights_are_restored_beside_state_of_another_shape(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Embedding(16, 4), nn.Linear(4, 3))
    optimizer = adamw(net)
    net(torch.arange(16)).sum().backward()
    optimizer.step()
    # as nanoGPT's crop_block_size leaves it
    cut = {k: v[:8] if k == "0.weight" else v for k, v in net.state_dict().items()}
    path = saved(tmp_path, model=cut, optimizer=optimizer)
    live = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 3))
    with pytest.raises(holdfast.RestoreRefused) as refused:
        holdfast.restore(path, model=live, optimizer=adamw(live))
    assert "O209" in {f.code for f in refused.value.findings}
    mine = adamw(live)
    holdfast.restore(path, model=live, optimizer=mine, allow=["reset-slots:*"])
    assert torch.equal(live[0].weight, cut["0.weight"]) and not mine.state
    live = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 3))
    holdfast.restore(path, model=live)
    assert torch.equal(live[0].weight, cut["0.weight"])
