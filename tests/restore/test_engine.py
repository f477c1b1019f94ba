"""``holdfast.restore``: exactly, or not at all. Plans are carried out, failures undone, signals held."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

pytest.importorskip("torch")
pytest.importorskip("safetensors")
import torch
from safetensors.numpy import save_file
from torch import nn

F32 = np.float32


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(F32)


def tree(seed: int = 1) -> dict[str, Any]:
    return {
        "a": {"kernel": draw(seed, 6, 4), "bias": draw(seed + 1, 4)},
        "b": {"kernel": draw(seed + 2, 4, 3), "bias": draw(seed + 3, 3)},
    }


def flat(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {f"{m}/{n}": v for m, inner in values.items() for n, v in inner.items()}


def saved(folder: Path, values: dict[str, np.ndarray]) -> str:
    save_file({n: np.ascontiguousarray(v) for n, v in values.items()}, folder / "m.safetensors")
    return str(folder / "m.safetensors")


# -- plans carried out ------------------------------------------------------------------------------------
def carried(
    tmp_path: Path, stored: dict[str, np.ndarray], live: dict[str, Any], *plan: str
) -> dict[str, np.ndarray]:
    """Refused without the plan, restored with it."""
    path = saved(tmp_path, stored)
    with pytest.raises(holdfast.RestoreRefused):
        holdfast.restore(path, model=live)
    holdfast.restore(path, allow=plan, model=live)
    return flat(live)


def test_a_cast_is_carried_out(tmp_path: Path) -> None:
    live = tree(5)
    live["a"]["kernel"] = live["a"]["kernel"].astype(np.float16)
    stored = flat(tree())
    now = carried(tmp_path, stored, live, "cast:a/kernel:f32->f16")
    assert np.array_equal(now["a/kernel"], stored["a/kernel"].astype(np.float16))
    assert np.array_equal(now["b/kernel"], stored["b/kernel"])


def test_a_slice_is_carried_out(tmp_path: Path) -> None:
    live = tree(5)
    live["b"] = {"kernel": draw(9, 4, 2), "bias": draw(9, 2)}
    stored = flat(tree())
    now = carried(tmp_path, stored, live, "slice:b/kernel:[:,0:2]", "slice:b/bias:[0:2]")
    assert np.array_equal(now["b/kernel"], stored["b/kernel"][:, :2])
    assert np.array_equal(now["b/bias"], stored["b/bias"][:2])


def test_a_pad_is_carried_out(tmp_path: Path) -> None:
    live = tree(5)
    live["b"]["bias"] = draw(9, 5)
    now = carried(tmp_path, flat(tree()), live, "pad:b/bias:(5)=7")
    assert now["b/bias"].tolist() == [*flat(tree())["b/bias"].tolist(), 7.0, 7.0]


def test_a_pad_fills_the_weight_and_leaves_its_momenta_zero(tmp_path: Path) -> None:
    def made(seed: int, classes: int) -> tuple[nn.Module, Any]:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, classes))
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    model, optimizer = made(1, 2)
    model(torch.randn(5, 4)).square().mean().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    live, now = made(2, 4)
    holdfast.restore(
        tmp_path / "c.pt", allow=["pad:1.weight:(4,3)=7", "pad:1.bias:(4)"], model=live, optimizer=now
    )
    assert torch.equal(live[1].weight[:2], model[1].weight)
    assert live[1].weight[2:].eq(7).all()
    assert live[1].bias[2:].eq(0).all()
    for slot in ("exp_avg", "exp_avg_sq"):
        state = now.state[live[1].weight][slot]
        assert torch.equal(state[:2], optimizer.state[model[1].weight][slot])
        assert state[2:].eq(0).all()


def test_init_is_keep_live_by_another_name(tmp_path: Path) -> None:
    live = tree(5)
    live["new"] = {"w": draw(9, 2)}
    before = live["new"]["w"].copy()
    outcome = holdfast.restore(saved(tmp_path, flat(tree())), allow="init:new/*", model=live)
    assert np.array_equal(live["new"]["w"], before)
    assert outcome.kept == ("new/w",)


def test_a_transpose_is_carried_out(tmp_path: Path) -> None:
    stored = flat(tree())
    stored["a/kernel"] = stored["a/kernel"].T
    now = carried(tmp_path, stored, tree(5), "transpose:a/kernel:(1,0)")
    assert np.array_equal(now["a/kernel"], flat(tree())["a/kernel"])


def test_a_rename_is_carried_out(tmp_path: Path) -> None:
    live = tree(5)
    live["head"] = live.pop("b")
    now = carried(tmp_path, flat(tree()), live, "rename:b/*->head/*")
    assert np.array_equal(now["head/kernel"], flat(tree())["b/kernel"])


def test_tensors_can_change_places(tmp_path: Path) -> None:
    values = {"a": {"w": draw(1, 3, 3)}, "b": {"w": draw(2, 3, 3)}}
    live = {"a": {"w": draw(3, 3, 3)}, "b": {"w": draw(4, 3, 3)}}
    path = saved(tmp_path, flat(values))
    holdfast.restore(path, allow=["rename:a/w->b/w", "rename:b/w->a/w"], model=live)
    assert np.array_equal(live["a"]["w"], values["b"]["w"])
    assert np.array_equal(live["b"]["w"], values["a"]["w"])


def test_a_merge_is_carried_out(tmp_path: Path) -> None:
    parts = {f"attention/{n}": draw(k, 2, 4) for k, n in enumerate("qkv")}
    live = {"attention": {"qkv": draw(9, 6, 4)}}
    path = saved(tmp_path, parts)
    holdfast.restore(path, allow="merge:attention/q,attention/k,attention/v:0->attention/qkv", model=live)
    assert np.array_equal(live["attention"]["qkv"], np.concatenate(list(parts.values())))


def test_a_split_is_carried_out(tmp_path: Path) -> None:
    whole = draw(1, 6, 4)
    live = {"attention": {n: draw(9, 2, 4) for n in "qkv"}}
    path = saved(tmp_path, {"attention/qkv": whole})
    holdfast.restore(path, allow="split:attention/qkv:0->attention/q,attention/k,attention/v", model=live)
    assert np.array_equal(np.concatenate([live["attention"][n] for n in "qkv"]), whole)


def test_kept_and_dropped_are_told(tmp_path: Path) -> None:
    live = tree(5)
    live["new"] = {"w": draw(9, 2)}
    before = live["new"]["w"].copy()
    stored = {**flat(tree()), "old/w": draw(8, 2, 2)}
    path = saved(tmp_path, stored)
    outcome = holdfast.restore(path, allow=["keep-live:new/*", "drop:old/*"], model=live)
    assert outcome.kept == ("new/w",)
    assert outcome.dropped == ("old/w",)
    assert np.array_equal(live["new"]["w"], before)
    assert "`new/w` kept its initial value (allowed)" in str(outcome)


# -- refused --------------------------------------------------------------------------------------------------
def test_a_refusal_says_everything_at_once_and_changes_nothing(tmp_path: Path) -> None:
    live = tree(5)
    live["b"]["bias"] = draw(9, 5)
    live["new"] = {"w": draw(9, 2)}
    before = {n: v.copy() for n, v in flat(live).items()}
    path = saved(tmp_path, {**flat(tree()), "old/w": draw(8, 2, 2)})
    with pytest.raises(holdfast.RestoreRefused) as caught:
        holdfast.restore(path, model=live)
    refusal = caught.value
    assert {f.code for f in refusal.findings if f.severity == "error"} == {"T201", "T202", "T203"}
    text = str(refusal)
    assert text.startswith("nothing was restored: 3 errors stand against it")
    for said in (
        "`b/bias` is (3,) in the checkpoint and (5,) in the model",
        "Allow `keep-live:new/w`",
        "drop:old/w",
    ):
        assert said in text
    assert all(np.array_equal(before[n], v) for n, v in flat(live).items())
    holdfast.restore(path, plan=refusal.plan, model=live)  # what it proposes does settle it
    assert np.array_equal(flat(live)["a/kernel"], flat(tree())["a/kernel"])


@pytest.mark.parametrize(
    "edit", ["drop", "drop:", "throw-away:x", "cast:x:f32->f99", "slice:x:[0:", "rename:a", "hyper:lr"]
)
def test_what_is_no_edit_is_refused_before_anything_is_opened(edit: str) -> None:
    with pytest.raises(holdfast.PlanError):
        holdfast.restore("there is no such file", allow=[edit], model=tree())


def test_two_tensors_cannot_take_one_name(tmp_path: Path) -> None:
    path = saved(tmp_path, flat(tree()))
    with pytest.raises(holdfast.PlanError, match="one name"):
        holdfast.restore(path, allow="rename:a/bias->b/bias", model=tree(5))


# -- failures half-way ------------------------------------------------------------------------------------------
def small(seed: int) -> tuple[nn.Module, Any, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return model, optimizer, scheduler


def step(model: nn.Module, optimizer: Any, scheduler: Any, times: int = 3) -> None:
    for number in range(times):
        torch.manual_seed(number)
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        scheduler.step()
    optimizer.zero_grad()


def everything(model: nn.Module, optimizer: Any, scheduler: Any) -> dict[str, Any]:
    found: dict[str, Any] = {n: t.detach().numpy().tobytes() for n, t in model.state_dict().items()}
    state = optimizer.state_dict()
    for position, slots in state["state"].items():
        found |= {f"{position}/{n}": t.numpy().tobytes() for n, t in slots.items()}
    found["groups"] = repr(state["param_groups"])
    found["scheduler"] = repr(scheduler.state_dict())
    return found


def broken_at_the_end(tmp_path: Path) -> str:
    """A checkpoint whose tensors are all right and whose scheduler holds a text where a number belongs: setting it
    fails when everything else is set."""
    model, optimizer, scheduler = small(1)
    step(model, optimizer, scheduler)
    state = {**scheduler.state_dict(), "last_epoch": "three"}
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": state}
    torch.save(content, tmp_path / "c.pt")
    return str(tmp_path / "c.pt")


@pytest.mark.parametrize("stepped", [False, True], ids=["fresh", "stepped"])
def test_a_failure_half_way_is_undone_to_the_bit(tmp_path: Path, stepped: bool) -> None:
    path = broken_at_the_end(tmp_path)
    model, optimizer, scheduler = live = small(2)
    if stepped:
        step(*live, times=2)
    before = everything(*live)
    with pytest.raises(holdfast.HoldfastError, match="as they were before the restore"):
        holdfast.restore(path, model=model, optimizer=optimizer, scheduler=scheduler)
    assert everything(*live) == before


def test_without_rollback_the_failure_names_what_changed(tmp_path: Path) -> None:
    path = broken_at_the_end(tmp_path)
    model, optimizer, scheduler = small(2)
    with pytest.raises(holdfast.RestoreInterrupted) as caught:
        holdfast.restore(path, rollback=False, model=model, optimizer=optimizer, scheduler=scheduler)
    assert {"0.weight", "2.bias", "1.running_mean"} <= set(caught.value.changed)
    assert "0.weight" in str(caught.value)
    assert "make them anew" in str(caught.value)


def large() -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {f"layer{n}": {"kernel": draw(n, 64, 64)} for n in range(8)},
        {f"layer{n}": {"kernel": draw(n + 50, 64, 64)} for n in range(8)},
    )


def flipped_after_sealing(tmp_path: Path, name: str) -> str:
    origin, _ = large()
    path = saved(tmp_path, flat(origin))
    holdfast.seal(path)
    with holdfast.open(path) as catalog:
        [where] = catalog[name].stored
    data = bytearray(Path(path).read_bytes())
    data[where.offset + where.nbytes // 2] ^= 1
    Path(path).write_bytes(data)
    return path


def test_a_flip_found_while_reading_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = flipped_after_sealing(tmp_path, "layer5/kernel")
    _, live = large()
    before = {n: v.copy() for n, v in flat(live).items()}
    with pytest.raises(holdfast.ChecksumMismatch) as caught:
        holdfast.restore(path, model=live)
    assert caught.value.tensor == "layer5/kernel"
    assert all(np.array_equal(before[n], v) for n, v in flat(live).items())


def test_a_flip_in_what_is_left_out_does_not_stand_in_the_way(tmp_path: Path) -> None:
    path = flipped_after_sealing(tmp_path, "layer5/kernel")
    origin, live = large()
    del live["layer5"]
    holdfast.restore(path, allow="drop:layer5/*", model=live)
    assert np.array_equal(live["layer6"]["kernel"], origin["layer6"]["kernel"])


# -- signals --------------------------------------------------------------------------------------------------
def test_ctrl_c_waits_until_everything_is_set(tmp_path: Path) -> None:
    origin, live = large()
    path = saved(tmp_path, flat(origin))
    told: list[object] = []

    def progress(*given: object) -> None:
        if not told:
            signal.raise_signal(signal.SIGINT)
        told.append(given)

    with pytest.raises(KeyboardInterrupt):
        holdfast.restore(path, progress=progress, model=live)
    assert told, "no progress was told, so no signal was raised"
    assert all(np.array_equal(flat(origin)[n], v) for n, v in flat(live).items())


# -- settings ------------------------------------------------------------------------------------------------
def test_a_scheduler_goes_on_where_it_was(tmp_path: Path) -> None:
    origin = small(1)
    step(*origin)
    names = ("model", "optimizer", "scheduler")
    torch.save({n: part.state_dict() for n, part in zip(names, origin, strict=True)}, tmp_path / "c.pt")
    live = small(2)
    outcome = holdfast.restore(tmp_path / "c.pt", **dict(zip(names, live, strict=True)))
    assert everything(*live) == everything(*origin)
    assert outcome.values["learning_rate"] == (0.1, pytest.approx(0.01))
    assert outcome.next_step == "the next step will run"
    step(*origin)
    step(*live)
    assert everything(*live) == everything(*origin)


@pytest.mark.parametrize(("choice", "lr"), [("checkpoint", 0.1), ("live", 0.5), ("0.25", 0.25)])
def test_whose_learning_rate_counts_is_said_by_an_edit(tmp_path: Path, choice: str, lr: float) -> None:
    model, optimizer, scheduler = small(1)
    step(model, optimizer, scheduler, times=1)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    other, _, _ = small(2)
    mine = torch.optim.Adam(other.parameters(), lr=0.5)
    with pytest.raises(holdfast.RestoreRefused, match="O207"):
        holdfast.restore(tmp_path / "c.pt", model=other, optimizer=mine)
    holdfast.restore(tmp_path / "c.pt", allow=f"hyper:lr={choice}", model=other, optimizer=mine)
    assert mine.param_groups[0]["lr"] == pytest.approx(lr)


def test_a_learning_rate_that_is_no_number_is_not_restored_in_silence(tmp_path: Path) -> None:
    model, optimizer, scheduler = small(1)
    step(model, optimizer, scheduler, times=1)
    optimizer.param_groups[0]["lr"] = float("nan")
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    torch.save({name: part.state_dict() for name, part in parts.items()}, tmp_path / "c.pt")
    passed = dict(zip(parts, small(2), strict=True))
    live = passed["optimizer"].param_groups[0]
    was = live["lr"]
    with pytest.raises(holdfast.RestoreRefused, match="learning_rate is nan in the checkpoint"):
        holdfast.restore(tmp_path / "c.pt", **passed)
    holdfast.restore(tmp_path / "c.pt", allow="hyper:learning_rate=live", **passed)
    assert live["lr"] == was and torch.equal(next(passed["model"].parameters()), next(model.parameters()))
    holdfast.restore(tmp_path / "c.pt", allow="hyper:learning_rate=0.02", **passed)
    assert live["lr"] == 0.02
