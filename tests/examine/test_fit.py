"""How a checkpoint and a live model fit: scope, positions, several optimizers, edits that cover nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._compare.optimizer_pairs import pair_optimizers
from holdfast._core.plan import Plan
from holdfast._examine.fit import as_plan, fit
from holdfast._examine.fitted import Fit
from holdfast._frameworks import live_catalog

pytest.importorskip("torch")
import torch
from torch import nn

Adam = torch.optim.Adam


def model(seed: int = 0, hidden: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, hidden), nn.Linear(hidden, 4), nn.Linear(4, 2))


def stepped(net: nn.Module, make: Callable[[Any], Any] = lambda p: Adam(p, lr=0.1)) -> Any:
    optimizer = make(net.parameters())
    net(torch.randn(3, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def fitted(tmp_path: Path, content: Any, plan: Any = (), **parts: Any) -> Fit:
    torch.save(content, tmp_path / "c.pt")
    with holdfast.open(tmp_path / "c.pt") as stored:
        return fit(stored, live_catalog(**parts), as_plan(plan))


def errors(found: Fit) -> set[str]:
    return {f.code for f in found.errors}


# -- plans --------------------------------------------------------------------------------------------------
def test_plan_and_allowances_are_one_plan() -> None:
    both = as_plan(["drop:a"], "keep-live:b")
    assert [str(e) for e in both] == ["keep-live:b", "drop:a"]
    assert [str(e) for e in as_plan("drop:a")] == ["drop:a"]
    assert [str(e) for e in as_plan(plan=Plan.parse(["drop:a"]))] == ["drop:a"]
    assert [str(e) for e in as_plan(plan=Plan.parse(["drop:a"]).to_toml())] == ["drop:a"]


@pytest.mark.parametrize("text", ["keep:x", "cast:*", "slice:x:0:5", "map-slots:a"])
def test_what_is_no_edit(text: str) -> None:
    with pytest.raises(holdfast.PlanError):
        as_plan(text)


def test_an_edit_that_covers_nothing_is_told(tmp_path: Path) -> None:
    net = model()
    found = fitted(tmp_path, net.state_dict(), ["drop:nothing.*"], model=net)
    assert [f.severity for f in found.findings if "covers nothing" in f.message] == ["note"] or [
        f.severity for f in found.findings if "covers nothing" in f.message
    ] == ["warning"]
    silent = fitted(tmp_path, {**net.state_dict(), "old": torch.ones(3, 3, 3)}, ["drop:old"], model=net)
    assert not silent.findings


def test_edits_name_tensors_by_their_live_name_too(tmp_path: Path) -> None:
    content = {f"module.{n}": t for n, t in model().state_dict().items()}
    small = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    plan = ["slice:2.weight:[0:1,:]", "slice:2.bias:[0:1]"]
    assert errors(fitted(tmp_path, content, model=small)) == {"T203"}
    assert not fitted(tmp_path, content, plan, model=small).errors
    by_file = ["slice:module.2.weight:[0:1,:]", "slice:module.2.bias:[0:1]"]
    assert not fitted(tmp_path, content, by_file, model=small).errors


# -- scope ------------------------------------------------------------------------------------------------------
def test_what_was_not_passed_for_is_no_left_over(tmp_path: Path) -> None:
    net = model()
    content = {
        "model": net.state_dict(),
        "optimizer": stepped(net).state_dict(),
        "ema": model(1).state_dict(),
    }
    found = fitted(tmp_path, content, model=net)
    assert not found.findings
    assert found.scope.container == "model/"
    assert {name for name, _ in found.scope.others} == {"optimizer", "ema"}


def test_of_containers_with_the_same_names_the_one_with_the_live_shapes_is_meant(tmp_path: Path) -> None:
    content = {"gen": model(0, 4).state_dict(), "disc": model(1, 6).state_dict()}
    for hidden, word in ((4, "gen/"), (6, "disc/")):
        found = fitted(tmp_path, content, model=model(2, hidden))
        assert found.scope.container == word
        assert not found.errors
    alike = fitted(tmp_path, {"one": model(0).state_dict(), "two": model(1).state_dict()}, model=model(2))
    assert errors(alike) == {"T210"}
    chosen = fitted(
        tmp_path,
        {"one": model(0).state_dict(), "two": model(1).state_dict()},
        "rename:one/*->*",
        model=model(2),
    )
    assert not chosen.errors


# -- positions --------------------------------------------------------------------------------------------------
def test_state_by_position_is_proved_by_sizes_shapes_and_recorded_order(tmp_path: Path) -> None:
    net = model()
    content = {"model": net.state_dict(), "optimizer": stepped(net).state_dict()}
    other = model(1)
    found = fitted(tmp_path, content, model=other, optimizer=Adam(other.parameters(), lr=0.1))
    assert not found.errors
    assert len(found.pairs) == 6 * 4


def test_another_order_of_equal_shapes_is_doubtful_and_can_be_allowed(tmp_path: Path) -> None:
    net = model()
    content = {"model": net.state_dict(), "optimizer": stepped(net).state_dict()}
    other = model(1)
    turned = Adam([*other[1].parameters(), *other[0].parameters(), *other[2].parameters()], lr=0.1)
    found = fitted(tmp_path, content, model=other, optimizer=turned)
    assert errors(found) == {"T210"}
    assert "map-slots:*->*" in [str(e) for e in found.proposal]
    assert not fitted(tmp_path, content, "map-slots:*->*", model=other, optimizer=turned).errors


def test_recorded_names_beat_positions(tmp_path: Path) -> None:
    net = model()
    optimizer = stepped(net, lambda _: Adam(net.named_parameters(), lr=0.1))
    if "param_names" not in optimizer.state_dict()["param_groups"][0]:
        pytest.skip("this torch records no names of parameters")
    content = {"model": net.state_dict(), "optimizer": optimizer.state_dict()}
    other = model(1)
    turned = Adam([*other[1].parameters(), *other[0].parameters(), *other[2].parameters()], lr=0.1)
    found = fitted(tmp_path, content, model=other, optimizer=turned)
    assert not found.errors
    assert found.pairs["optimizer/state/0/exp_avg"] == "optimizer/state/2/exp_avg"


def test_a_renamed_model_keeps_its_positions(tmp_path: Path) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    net = model()
    content = {"model": net.state_dict(), "optimizer": stepped(net).state_dict()}
    other = Named()
    parts = {"model": other, "optimizer": Adam(other.parameters(), lr=0.1)}
    renames = ["rename:model/0.*->one.*", "rename:model/1.*->two.*", "rename:model/2.*->out.*"]
    found = fitted(tmp_path, content, renames, **parts)
    assert not found.errors
    assert found.pairs["optimizer/state/2/exp_avg"] == "optimizer/state/2/exp_avg"


def test_weights_without_state_have_none_after_a_restore(tmp_path: Path) -> None:
    net = model()
    net[0].requires_grad_(False)
    content = {"model": net.state_dict(), "optimizer": stepped(net).state_dict()}
    other = model(1)
    mine = stepped(other)
    found = fitted(tmp_path, content, model=other, optimizer=mine)
    assert not found.errors
    assert {name.split("/")[2] for name in found.cleared} == {"0", "1"}


# -- several optimizers ------------------------------------------------------------------------------------------
def pairs(tmp_path: Path, content: Any, **parts: Any) -> Any:
    torch.save(content, tmp_path / "c.pt")
    with holdfast.open(tmp_path / "c.pt") as stored:
        return pair_optimizers(stored, live_catalog(**parts))


def two(hidden: int, *, momentum: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    nets = {"gen": model(0, 4), "disc": model(1, hidden)}

    def sgd(params: Any) -> Any:
        return torch.optim.SGD(params, lr=0.1, momentum=0.9)

    made = {
        "gen": stepped(nets["gen"]),
        "disc": stepped(nets["disc"], sgd) if momentum else stepped(nets["disc"]),
    }
    return nets, made


@pytest.mark.parametrize(
    ("words", "hidden", "momentum", "clear"),
    [
        (("gen_opt", "disc_opt"), 6, False, True),
        (("opt1", "opt2"), 6, False, True),  # told by the shapes of their state
        (("opt1", "opt2"), 4, True, True),  # told by what they keep
        (("g_optim", "d_optim"), 4, False, True),  # told by the words
        (("opt1", "opt2"), 4, False, False),
    ],
)
def test_optimizers_under_other_names(
    tmp_path: Path, words: tuple[str, str], hidden: int, momentum: bool, clear: bool
) -> None:
    nets, made = two(hidden, momentum=momentum)
    content = {
        **{name: net.state_dict() for name, net in nets.items()},
        words[0]: made["gen"].state_dict(),
        words[1]: made["disc"].state_dict(),
    }
    found = pairs(tmp_path, content, model=nets, optimizer=made)
    if clear:
        assert found.names == {words[0]: "optimizer/gen", words[1]: "optimizer/disc"}
        assert found.unclear == ()
    else:
        assert found.names == {}
        assert set(found.unclear) == set(words)
        assert errors(fitted(tmp_path, content, model=nets, optimizer=made)) == {"T210"}


def test_the_one_optimizer_passed_is_found_by_its_shapes(tmp_path: Path) -> None:
    nets, made = two(6)
    content = {"gen": nets["gen"].state_dict(), "a": made["gen"].state_dict(), "b": made["disc"].state_dict()}
    found = pairs(tmp_path, content, model=nets["gen"], optimizer=made["gen"])
    assert found.names == {"a": "optimizer"}


def test_missing_counts_are_told(tmp_path: Path) -> None:
    """State whose moments are there and whose step count is not would be corrected as if the run had just begun."""
    tree = {"w": np.ones((2, 2), np.float32)}
    state = {"m": {"w": np.ones((2, 2), np.float32)}, "step": np.asarray(7)}
    np.savez(tmp_path / "c.npz", **{"w": tree["w"], "optimizer/m/w": state["m"]["w"]})
    with holdfast.open(tmp_path / "c.npz") as stored:
        found = fit(stored, live_catalog(model=tree, optimizer=state))
    assert errors(found) == {"O204"}
    assert "step" in found.errors[0].message
