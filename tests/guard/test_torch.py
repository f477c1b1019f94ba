"""PyTorch under a guard: where it speaks, where it is silent, and that the program does the same without it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from guard.watching import Watched  # noqa: E402
from holdfast._guard.guard import Options  # noqa: E402


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 2))


def stepped(model: nn.Module, optimizer: Any, steps: int = 2) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A training checkpoint: model, Adam, epoch."""
    torch.manual_seed(1)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    stepped(model, optimizer)
    path = tmp_path / "state.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    return str(path)


def resumed(path: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(2)
    found = torch.load(path)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    return model, optimizer


# -- silent ------------------------------------------------------------------------------------------------------
def test_a_plain_resume_is_told_and_nothing_is_wrong_with_it(saved: str, watched: Watched) -> None:
    model, optimizer = resumed(saved)
    stepped(model, optimizer)
    assert watched.codes() == []
    told = [s.sentence for s in watched.seen]
    assert "restored all 11 tensors, 100 % of bytes" in told[1]
    assert "restored all 24 tensors, 100 % of bytes; the next step will run" in told[2]
    assert [s.path for s in watched.seen[:3]] == [saved] * 3


def test_training_goes_on_bit_for_bit_as_without_a_guard(saved: str) -> None:
    def run() -> list[Any]:
        model, optimizer = resumed(saved)
        stepped(model, optimizer, 3)
        return [*model.state_dict().values(), torch.random.get_rng_state()]

    plain = run()
    made = Watched()
    try:
        guarded = run()
    finally:
        made.guard.close()
    assert made.seen
    assert all(torch.equal(a, b) for a, b in zip(plain, guarded, strict=True))


def test_the_optimizer_may_be_loaded_before_the_model(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.load_state_dict(found["optimizer"])
    model.load_state_dict(found["model"])
    assert watched.codes() == []


def test_an_optimizer_of_bare_tensors_belongs_to_no_module(watched: Watched, tmp_path: Path) -> None:
    tensors = [torch.zeros(3, requires_grad=True) for _ in range(3)]
    optimizer = torch.optim.Adam(tensors)
    sum(t.sum() for t in tensors).backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    other = torch.optim.Adam([torch.zeros(3, requires_grad=True) for _ in range(3)])
    other.load_state_dict(torch.load(tmp_path / "o.pt"))
    assert watched.codes() == []
    assert "restored all 9 tensors" in watched.last().sentence


def test_names_that_the_program_changes_before_it_loads_are_judged_by_what_is_loaded(
    watched: Watched, tmp_path: Path
) -> None:
    torch.save({f"module.{n}": t for n, t in net().state_dict().items()}, tmp_path / "m.pt")
    found = torch.load(tmp_path / "m.pt")
    net().load_state_dict({n.removeprefix("module."): t for n, t in found.items()})
    assert watched.codes() == []
    assert watched.last().path == str(tmp_path / "m.pt")


def test_a_part_of_a_model_is_a_model_of_its_own(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["model"]
    model = net()
    for index, layer in enumerate(model):
        layer.load_state_dict({n[2:]: t for n, t in found.items() if n.startswith(f"{index}.")})
    assert watched.codes() == []
    assert all("restored all" in s.sentence for s in watched.seen[1:])


def test_what_an_earlier_load_has_set_is_not_at_its_initial_value(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["model"]
    model = net()
    model.load_state_dict(found)
    model.load_state_dict({n: t for n, t in found.items() if n.startswith("3.")}, strict=False)
    assert watched.codes() == []
    model = net()
    model.load_state_dict({n: t for n, t in found.items() if not n.startswith("3.")}, strict=False)
    assert watched.codes() == ["T201"]


def test_copies_in_memory_are_not_told(watched: Watched) -> None:
    model, target = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average = torch.optim.swa_utils.AveragedModel(model)
    for _ in range(3):
        stepped(model, optimizer, 1)
        target.load_state_dict(model.state_dict())
        average.update_parameters(model)
        copy.deepcopy(target).load_state_dict(target.state_dict())
    shadow = {n: p.detach().clone() for n, p in model.named_parameters()}  # without the statistics
    kept = {n: t.clone() for n, t in model.state_dict().items()}
    model.load_state_dict(shadow, strict=False)
    model.load_state_dict(kept)
    assert watched.seen == []
    assert all(torch.equal(a, b) for a, b in zip(kept.values(), model.state_dict().values(), strict=True))


def test_a_copy_in_memory_that_sets_nothing_is_told(watched: Watched) -> None:
    model = net()
    model.load_state_dict({f"module.{n}": t.clone() for n, t in net().state_dict().items()}, strict=False)
    assert "T233" in watched.codes()
    assert "set none of 11 tensors" in watched.of("T233")


def test_a_whole_module_out_of_a_file_is_there_already(watched: Watched, tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "whole.pt")
    model = torch.load(tmp_path / "whole.pt", weights_only=False)
    other = net()
    other.load_state_dict(model.state_dict())
    assert watched.codes() == []
    assert watched.last().path == str(tmp_path / "whole.pt")


def test_an_empty_model_is_filled_by_assignment(saved: str, watched: Watched) -> None:
    found = torch.load(saved, mmap=True)
    with torch.device("meta"):
        model = net()
    model.load_state_dict(found["model"], assign=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.load_state_dict(found["optimizer"])
    stepped(model, optimizer, 1)
    assert watched.codes() == []
    assert "restored all 11 tensors" in watched.seen[1].sentence


def test_an_empty_model_that_is_filled_layer_by_layer(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["model"]
    with torch.device("meta"):
        model = net()
    for name, tensor in found.items():
        path, _, word = name.rpartition(".")
        model.get_submodule(path).load_state_dict({word: tensor}, strict=False, assign=True)
    assert watched.codes() == []
    assert torch.equal(model[0].weight, found["0.weight"])


def test_wrapped_models_have_the_names_of_bare_ones(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["model"]
    nn.DataParallel(net()).module.load_state_dict(found)
    nn.DataParallel(net()).load_state_dict({f"module.{n}": t for n, t in found.items()})
    torch.compile(net()).load_state_dict({f"_orig_mod.{n}": t for n, t in found.items()})
    assert watched.codes() == []


def test_schedulers_own_the_learning_rate(watched: Watched, tmp_path: Path) -> None:
    def made(rate: float) -> tuple[nn.Module, Any, Any]:
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    model, optimizer, scheduler = made(0.1)
    stepped(model, optimizer)
    scheduler.step()
    torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], tmp_path / "s.pt")
    found = torch.load(tmp_path / "s.pt")
    for thing, state in zip(made(0.3), found, strict=True):
        thing.load_state_dict(state)
    assert watched.codes() == []


# -- told --------------------------------------------------------------------------------------------------------
def test_a_schedule_of_schedules_that_the_code_makes_otherwise(watched: Watched, tmp_path: Path) -> None:
    lr = torch.optim.lr_scheduler

    def made(warm: int) -> Any:
        optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
        parts = [lr.LinearLR(optimizer, 0.1, total_iters=warm), lr.CosineAnnealingLR(optimizer, 40)]
        return lr.SequentialLR(optimizer, parts, milestones=[warm])

    torch.save(made(5).state_dict(), tmp_path / "s.pt")
    made(5).load_state_dict(torch.load(tmp_path / "s.pt"))
    assert watched.codes() == []
    made(9).load_state_dict(torch.load(tmp_path / "s.pt"))
    assert {*watched.codes()} == {"O207"}
    assert watched.last().api == "SequentialLR.load_state_dict"


def test_the_prefix_of_a_wrapper_lets_nothing_through(watched: Watched, tmp_path: Path) -> None:
    torch.save(nn.DataParallel(net()).state_dict(), tmp_path / "m.pt")
    net().load_state_dict(torch.load(tmp_path / "m.pt"), strict=False)
    assert watched.codes() == ["T233"]
    assert "it has `module.0.weight`, the model `0.weight`" in watched.of("T233")
    assert "restored 0 of 11" in watched.last().sentence


def test_the_learning_rate_of_the_code_gives_way(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert watched.codes() == ["O207"]
    assert "learning_rate was 0.5 in the code and is 0.1 since this load" in watched.of("O207")


def test_an_optimizer_tells_nothing_of_the_model_again(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    del found["model"]["1.running_var"]
    model.load_state_dict(found["model"], strict=False)
    optimizer.load_state_dict(found["optimizer"])
    assert [(s.api, f.code) for s in watched.seen for f in s.findings if f.severity != "note"] == [
        ("Module.load_state_dict", "T201")
    ]


@pytest.mark.parametrize("first", ["model", "optimizer"])
@pytest.mark.parametrize("named", [False, True])
def test_weights_in_another_order_than_the_file_s_model(
    saved: str, watched: Watched, first: str, named: bool
) -> None:
    found = torch.load(saved)
    model = net()
    order = [*model[2].parameters(), *model[0].parameters(), *model[1].parameters(), *model[3].parameters()]
    names = {id(param): name for name, param in model.named_parameters()}
    params = [(names[id(param)], param) for param in order] if named else order  # names that the file has not
    optimizer = torch.optim.Adam(params, lr=0.1)
    things = {"model": model, "optimizer": optimizer}
    order = sorted(things, key=lambda word: word != first)
    for word in order:
        things[word].load_state_dict(found[word])
    assert "O209" in watched.codes()


def test_the_state_of_another_class_and_the_step_that_fails(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert {"O203", "O312"} <= {*watched.codes()}
    assert "KeyError: 'momentum'" in watched.last().sentence
    with pytest.raises(KeyError) as raised:
        stepped(model, optimizer)
    assert "Optimizer.load_state_dict" in raised.value.__notes__[0]


def test_parameters_replaced_under_an_optimizer(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.load_state_dict(found["model"], assign=True)
    assert watched.codes() == ["O302"]
    assert "assign=True replaced 8 parameters" in watched.of("O302")
    before = {n: t.clone() for n, t in model.state_dict().items()}
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())  # it is true


def test_an_optimizer_of_a_model_that_was_replaced(saved: str, watched: Watched) -> None:
    found = torch.load(saved)
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model = net()
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert watched.codes() == ["O302"]


def test_what_a_cast_loses(watched: Watched, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 0] = 70_000.0
    torch.save(model.state_dict(), tmp_path / "m.pt")
    nn.Linear(2, 2).half().load_state_dict(torch.load(tmp_path / "m.pt"))
    assert watched.codes() == ["T204"]
    nn.Linear(2, 2).bfloat16().load_state_dict(torch.load(tmp_path / "m.pt"))
    assert watched.codes() == ["T204"]


def test_two_weights_of_a_file_for_one_of_the_model(watched: Watched, tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self, tied: bool) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
            if tied:
                self.out.weight = self.embed.weight

    torch.save(Tied(True).state_dict(), tmp_path / "tied.pt")
    torch.save(Tied(False).state_dict(), tmp_path / "apart.pt")
    Tied(True).load_state_dict(torch.load(tmp_path / "tied.pt"))
    Tied(False).load_state_dict(torch.load(tmp_path / "tied.pt"))
    assert watched.codes() == []
    Tied(True).load_state_dict(torch.load(tmp_path / "apart.pt"))
    assert {*watched.codes()} & {"T207", "T231"}


def test_loads_in_a_loop_are_looked_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast._guard import loads

    looked: list[Any] = []
    inner: Callable[..., Any] = loads.state_of
    monkeypatch.setattr(loads, "state_of", lambda *a: looked.append(a) or inner(*a))
    model, target = net(), net()
    for _ in range(50):
        target.load_state_dict(model.state_dict())
    assert len(looked) == 1


def test_strict_raises_at_the_call(saved: str) -> None:
    from holdfast._guard.guard import Found

    made = Watched(Options(strict=True))
    try:
        found = torch.load(saved)["model"]
        del found["0.weight"]
        with pytest.raises(Found, match=r"0\.weight"):
            net().load_state_dict(found, strict=False)
    finally:
        made.guard.close()


def test_everything_is_taken_back() -> None:
    before = (torch.save, torch.load, nn.Module.load_state_dict, torch.optim.Optimizer.load_state_dict)
    made = Watched()
    assert torch.load is not before[1]
    made.guard.close()
    assert before == (
        torch.save,
        torch.load,
        nn.Module.load_state_dict,
        torch.optim.Optimizer.load_state_dict,
    )
