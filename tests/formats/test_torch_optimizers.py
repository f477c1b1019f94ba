"""Optimizers in torch checkpoints: groups, hyperparameters, step, and owners where they are proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast._formats.torch.owners import candidates

torch = pytest.importorskip("torch")

from tests.formats.test_torch_zip import NEW, OLD, opened, saved  # noqa: E402

OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.1),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "Adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1),
}


def trained(make: Any) -> tuple[Any, Any]:
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 2)
    )
    optimizer = make(model)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("how", [NEW, OLD], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_class_owners_and_step(name: str, how: dict[str, Any], tmp_path: Path) -> None:
    model, optimizer = trained(lambda m: OPTIMIZERS[name](m.parameters()))
    catalog = saved(
        {"epoch": 7, "model": model.state_dict(), "optim": optimizer.state_dict()}, tmp_path, **how
    )
    (spec,) = catalog.optimizers
    assert spec.name == "optim" and spec.class_name is None and spec.class_likely == name
    assert spec.learning_rate == 0.1 and catalog.attributes["epoch"] == 7
    names = [f"model/{n}" for n, _ in model.named_parameters()]
    assert spec.groups[0].owners == tuple(names)
    assert spec.step == (None if name == "SGD" else 3)
    for tensor in catalog.values():
        if tensor.role == "slot":
            position = tensor.attributes["position"]
            assert tensor.owner == names[position]
            if tensor.shape:
                assert tensor.shape == catalog[tensor.owner].shape
    for index, values in optimizer.state_dict()["state"].items():
        for slot, value in values.items():
            if torch.is_tensor(value):
                assert catalog.read(f"optim/state/{index}/{slot}").tolist() == value.tolist()


def test_groups_over_decay_and_no_decay(tmp_path: Path) -> None:
    def make(model: Any) -> Any:
        named = list(model.named_parameters())
        return torch.optim.AdamW(
            [
                {"params": [p for _, p in named if p.ndim > 1], "weight_decay": 0.1},
                {"params": [p for _, p in named if p.ndim == 1], "weight_decay": 0.0},
            ],
            lr=0.01,
        )

    model, optimizer = trained(make)
    catalog = saved({"model": model.state_dict(), "optim": optimizer.state_dict()}, tmp_path)
    (spec,) = catalog.optimizers
    matrices = tuple(f"model/{n}" for n, p in model.named_parameters() if p.ndim > 1)
    assert spec.groups[0].owners == matrices
    assert spec.groups[1].positions == (3, 4, 5, 6, 7)
    assert [g.current["weight_decay"] for g in spec.groups] == [0.1, 0.0]


def test_what_shapes_cannot_tell_is_not_claimed(tmp_path: Path) -> None:
    """Two equal layers in two groups: either could come first, so neither is proved."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    optimizer = torch.optim.Adam([{"params": model[1].parameters()}, {"params": model[0].parameters()}])
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    catalog = saved({"model": model.state_dict(), "optim": optimizer.state_dict()}, tmp_path)
    slot = catalog["optim/state/0/exp_avg"]
    assert slot.owner is None and slot.attributes["owner_unproved"] is True
    assert set(slot.attributes["owner_candidates"]) == {"model/0.weight", "model/1.weight"}
    assert catalog.optimizers[0].groups[0].owners == ()


def test_optimizer_file_alone_and_lightning(tmp_path: Path) -> None:
    model, optimizer = trained(lambda m: torch.optim.Adam(m.parameters(), lr=0.1))
    alone = saved(optimizer.state_dict(), tmp_path)
    assert alone.optimizers[0].name == "optimizer" and alone["state/0/exp_avg"].optimizer == "optimizer"
    assert alone["state/0/exp_avg"].owner is None
    lightning = {
        "epoch": 1,
        "global_step": 30,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": model.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"last_epoch": 1, "base_lrs": [0.1]}],
        "hyper_parameters": {"hidden": 8, "deep": {"a": [1, 2]}},
    }
    catalog = saved(lightning, tmp_path)
    assert catalog.attributes["step"] == 30 and catalog.attributes["lightning_version"] == "2.4.0"
    assert catalog.attributes["hyper_parameters"] == {"hidden": 8, "deep": {"a": [1, 2]}}
    assert catalog["optimizer_states/0/state/2/exp_avg"].owner == "state_dict/1.weight"


@pytest.mark.filterwarnings("ignore")
def test_whole_objects_prove_owners_by_identity(tmp_path: Path) -> None:
    model, optimizer = trained(lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9))
    catalog = saved({"model": model, "optimizer": optimizer}, tmp_path)
    (spec,) = catalog.optimizers
    assert spec.class_name == "SGD" and spec.attributes["owners_by"] == "the same tensor"
    assert spec.groups[0].owners == tuple(f"model/{n}" for n, _ in model.named_parameters())
    assert catalog["optimizer/state/0/momentum_buffer"].owner == "model/0.weight"


def test_averaged_copies_have_owners(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    average = torch.optim.swa_utils.AveragedModel(model)
    catalog = saved({"model": model.state_dict(), "ema": average.state_dict()}, tmp_path)
    assert (catalog["ema/module.weight"].role, catalog["ema/module.weight"].owner) == (
        "average",
        "model/weight",
    )
    assert catalog["ema/n_averaged"].role == "counter"


def test_rng_states_are_told(tmp_path: Path) -> None:
    catalog = saved({"rng_state": torch.get_rng_state(), "w": torch.ones(1)}, tmp_path)
    assert (catalog["rng_state"].role, catalog["w"].role) == ("rng", "weight")
    assert opened(tmp_path / "model.pt")["rng_state"].dtype == "uint8"


def test_scores_of_callbacks_are_no_weights(tmp_path: Path) -> None:
    """Lightning keeps them as tensors, and infinity stands for none yet."""
    score = {
        "ModelCheckpoint{'monitor': None}": {
            "kth_value": torch.tensor(float("inf")),
            "current_score": torch.tensor(0.5),
        }
    }
    shadow = {"WeightAveraging": {"average": torch.ones(2, 2)}}
    state = {"net.weight": torch.ones(2, 2)}
    catalog = saved({"state_dict": state, "callbacks": score | shadow}, tmp_path)
    assert {catalog[name].role for name in catalog if "ModelCheckpoint" in name} == {"metric"}
    assert catalog["callbacks/WeightAveraging/average"].role != "metric"
    report = holdfast.examine(tmp_path / "model.pt")
    assert [f.code for f in report.findings if f.severity != "note"] == []


# -- the pure part -------------------------------------------------------------------

A, B, C = (2, 2), (3,), (4, 4)


@pytest.mark.parametrize(
    ("groups", "weights", "expected"),
    [
        ([[A, B]], [A, B], [[[0], [1]]]),
        ([[A, B]], [A, C, B], [[[0], [2]]]),
        ([[A]], [A, A], [[[0, 1]]]),
        ([[A, A]], [A, A], [[[0], [1]]]),
        ([[A, None]], [A, B], [[[0], [1]]]),
        ([[B, A]], [A, B], None),
        ([[A], [A]], [A, A], [[[0, 1]], [[0, 1]]]),
        ([[A, B], [A, C]], [A, B, A, C], [[[0], [1]], [[2], [3]]]),
        ([[C, B], [A, C]], [C, B, A, C], [[[0], [1]], [[2], [3]]]),
        ([[A, A], [B, B]], [A, B, A, B], [[[0], [2]], [[1], [3]]]),
        ([[A, B, C]], [A, B], None),
    ],
)
def test_candidates(groups: Any, weights: Any, expected: Any) -> None:
    assert candidates(groups, weights) == expected


def test_candidates_against_trying_everything() -> None:
    import itertools
    import random

    rng = random.Random(7)
    for _ in range(300):
        weights = [rng.choice([A, B]) for _ in range(rng.randint(1, 6))]
        sizes = [rng.randint(0, 2) for _ in range(rng.randint(1, 3))]
        groups = [[rng.choice([A, B, None]) for _ in range(n)] for n in sizes]
        flat = [(g, p) for g, group in enumerate(groups) for p in range(len(group))]
        if len(flat) > len(weights):
            continue
        found: dict[tuple[int, int], set[int]] = {f: set() for f in flat}
        for choice in itertools.permutations(range(len(weights)), len(flat)):
            given = dict(zip(flat, choice, strict=True))
            if any(groups[g][p] not in (None, weights[w]) for (g, p), w in given.items()):
                continue
            if any((g, p + 1) in given and given[g, p + 1] < w for (g, p), w in given.items()):
                continue
            for place, w in given.items():
                found[place].add(w)
        result = candidates(groups, weights)
        if flat and not all(found.values()):
            assert result is None
        else:
            assert result is not None
            assert all(set(result[g][p]) == found[g, p] for g, p in flat)
