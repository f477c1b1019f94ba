"""The same tensors, another function: what is seen, how much it weighs, and what keeps silent."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._compare.architecture import architecture_differences
from holdfast._compare.compare import compare_catalogs
from holdfast._core.difference import Difference
from holdfast._core.modules import ModuleSpec
from holdfast._frameworks import live_catalog
from holdfast._frameworks.module_specs import torch_modules

torch = pytest.importorskip("torch")
nn = torch.nn


def told(differences: Any) -> list[Difference]:
    return [d for d in differences if d.code in ("T218", "T219")]


def between(a: Any, b: Any) -> list[Difference]:
    """Of two live torch models, through their state dicts' names."""
    names_a, names_b = list(a.state_dict()), list(b.state_dict())
    same = {name: name for name in names_a if name in names_b}
    if not same:
        same = dict(zip(names_a, names_b, strict=True))
    return list(architecture_differences(torch_modules(a), torch_modules(b), same))


def changed(module: Any, **settings: Any) -> Any:
    other = copy.deepcopy(module)
    for path, value in settings.items():
        *where, name = path.split("__")
        target = other.get_submodule(".".join(where)) if where else other
        assert hasattr(target, name)
        setattr(target, name, value)
    return other


def net() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.LeakyReLU(0.01),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


ROWS: list[tuple[str, dict[str, Any], str, str, str]] = [
    # name, what is changed (layer__attribute), path, setting, effect
    ("stride", {"0__stride": (2, 2)}, "0", "stride", "inference"),
    ("padding", {"5__padding": (0, 0)}, "5", "padding", "inference"),
    ("padding-mode", {"5__padding_mode": "reflect"}, "5", "padding_mode", "inference"),
    ("dilation", {"5__dilation": (2, 2)}, "5", "dilation", "inference"),
    ("epsilon", {"1__eps": 1e-3}, "1", "eps", "inference"),
    ("groups-of-norm", {"6__num_groups": 4}, "6", "num_groups", "inference"),
    ("slope", {"7__negative_slope": 0.2}, "7", "negative_slope", "inference"),
    ("pool-kernel", {"3__kernel_size": 3}, "3", "kernel_size", "inference"),
    ("pool-stride", {"3__stride": 1}, "3", "stride", "inference"),
    ("dropout-rate", {"4__p": 0.5}, "4", "p", "training"),
    ("bn-momentum", {"1__momentum": 0.01}, "1", "momentum", "training"),
]


@pytest.mark.parametrize(("name", "change", "path", "key", "effect"), ROWS, ids=[row[0] for row in ROWS])
def test_a_changed_setting_is_told_with_both_values(
    name: str, change: dict[str, Any], path: str, key: str, effect: str
) -> None:
    a = net()
    b = changed(a, **change)
    (found,) = between(a, b)
    assert (found.code, found.slug, found.a, found.b) == ("T218", "other-function", path, path)
    assert list(found.evidence["settings"]) == [key]
    row = found.evidence["settings"][key]
    assert row["a"] != row["b"] and row["effect"] == effect == found.evidence["effect"]
    assert found.evidence["severity"] == ("error" if effect == "inference" else "warning")
    assert key in found.message


@pytest.mark.parametrize("name", [row[0] for row in ROWS if row[4] == "inference"])
def test_what_counts_as_inference_changes_outputs(name: str) -> None:
    """The rows above, run: the same state, another output (so that `error` is deserved)."""
    change = next(row[1] for row in ROWS if row[0] == name)
    torch.manual_seed(0)
    a = net()[:9].eval()
    b = changed(a, **change)
    if name == "padding-mode":  # the attribute that forward uses is derived from it at construction
        b[5]._reversed_padding_repeated_twice = [1, 1, 1, 1]
    given = torch.randn(2, 3, 12, 12)
    left, right = a(given), b(given)
    assert left.shape != right.shape or not torch.allclose(left, right)


@pytest.mark.parametrize("name", [row[0] for row in ROWS if row[4] == "training"])
def test_what_counts_as_training_changes_no_output(name: str) -> None:
    change = next(row[1] for row in ROWS if row[0] == name)
    a = net()[:9].eval()
    given = torch.randn(2, 3, 12, 12)
    assert torch.equal(a(given), changed(a, **change)(given))


def test_another_activation_class() -> None:
    a, b = net(), net()
    b[2] = nn.GELU()
    (found,) = between(a, b)
    assert found.code == "T218" and found.evidence["severity"] == "error"
    assert found.evidence["settings"] == {"class": {"a": "ReLU", "b": "GELU", "effect": "inference"}}
    assert "a ReLU in A and a GELU in B" in found.message


def test_number_of_heads_and_activation_of_a_transformer() -> None:
    make = {"d_model": 16, "dim_feedforward": 32, "batch_first": True}
    a = nn.TransformerEncoderLayer(nhead=4, **make)
    b = nn.TransformerEncoderLayer(nhead=2, activation="gelu", norm_first=True, **make)
    assert {n: t.shape for n, t in a.state_dict().items()} == {n: t.shape for n, t in b.state_dict().items()}
    settings = {d.b or "": dict(d.evidence["settings"]) for d in between(a, b)}
    assert settings["self_attn"] == {"num_heads": {"a": 4, "b": 2, "effect": "inference"}}
    assert set(settings[""]) == {"activation", "norm_first"}


def test_an_inserted_layer_without_tensors() -> None:
    a = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    b = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2))
    c = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    (found,) = between(a, b)
    assert (found.a, found.b, found.evidence["class"]) == (None, "1", "Dropout")
    assert found.evidence["severity"] == "warning"
    (found,) = between(a, c)
    assert (found.a, found.b, found.evidence["class"]) == ("1", None, "ReLU")
    assert found.evidence["severity"] == "error"


def test_one_cause_in_many_layers_is_one_difference() -> None:
    a = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, eps=1e-5)) for _ in range(12)))
    b = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, eps=1e-6)) for _ in range(12)))
    (found,) = between(a, b)
    assert found.evidence["count"] == 12 and found.evidence["modules"][:2] == ["0.1", "1.1"]
    assert "and 11 more" in found.message


class Block(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.scale = scale
        self.step = 0

    def forward(self, x: Any) -> Any:
        return torch.relu(self.lin(x)) * self.scale


class OtherBlock(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.scale = scale
        self.step = 0

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.lin(x)) * self.scale


def test_code_of_a_users_layer() -> None:
    (found,) = between(nn.Sequential(Block()), nn.Sequential(OtherBlock()))
    assert (found.code, found.slug, found.b) == ("T219", "other-code", "0")
    assert found.evidence["severity"] == "warning" and "not known" in found.message
    assert found.evidence["code"]["a"] != found.evidence["code"]["b"]


def test_a_setting_of_a_users_layer_is_a_warning_and_a_counter_none() -> None:
    moved = Block()
    moved.step = 400
    assert between(Block(), moved) == []
    (found,) = between(Block(), Block(0.5))
    assert found.code == "T218" and found.evidence["effect"] == "unknown"
    assert found.evidence["severity"] == "warning"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (net, lambda: net().eval()),
        (net, lambda: net().double()),
        (net, lambda: changed(net(), **{"2__inplace": True})),
        (net, lambda: nn.DataParallel(net())),
        (lambda: nn.Sequential(nn.Linear(4, 4)), lambda: torch.compile(nn.Sequential(nn.Linear(4, 4)))),
        (lambda: nn.Sequential(Block()), lambda: nn.DataParallel(nn.Sequential(Block()))),
        (lambda: nn.Conv2d(3, 4, 3, stride=2), lambda: nn.Conv2d(3, 4, (3, 3), stride=(2, 2))),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Identity()), lambda: nn.Sequential(nn.Linear(4, 4))),
    ],
    ids=["mode", "dtype", "inplace", "data-parallel", "compiled", "wrapped-own", "spelling", "identity"],
)
def test_silent(a: Any, b: Any) -> None:
    assert between(a(), b()) == []


def test_a_width_is_told_by_its_shape_alone() -> None:
    a = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    b = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    names = {name: name for name in a.state_dict()}
    specs = torch_modules(a), torch_modules(b)
    assert list(architecture_differences(*specs, names, reshaped=set(names))) == []


def test_another_framework_says_nothing() -> None:
    keras = [
        ModuleSpec("", "Sequential", "keras"),
        ModuleSpec("dense", "Dense", "keras", {"activation": "relu"}),
    ]
    assert (
        list(architecture_differences(torch_modules(nn.Linear(2, 2)), keras, {"weight": "dense/kernel"}))
        == []
    )


def test_a_whole_pickled_module_against_the_live_one(tmp_path: Path) -> None:
    model = net()
    torch.save({"model": model, "epoch": 3}, tmp_path / "m.pt")
    with holdfast.open(tmp_path / "m.pt") as stored:
        assert [m.path for m in stored.modules][:3] == ["model", "model/0", "model/1"]
        mine = {m.path.removeprefix("model").strip("/"): m for m in stored.modules}
        for live in torch_modules(model):
            kept = mine[live.path]
            assert (kept.class_name, kept.package, dict(kept.config)) == (
                live.class_name,
                "torch",
                dict(live.config),
            )
        same = compare_catalogs(stored, live_catalog(model=model), depth="header")
        assert told(same.differences) == []
        other = compare_catalogs(
            stored, live_catalog(model=changed(model, **{"0__stride": (2, 2)})), depth="header"
        )
        (found,) = told(other.differences)
        assert found.a == "model/0" and found.b == "0"
        assert found.evidence["settings"]["stride"]["b"] == [2, 2]


def test_every_module_of_torch_survives_the_pickle(tmp_path: Path) -> None:
    """Settings out of the inert nodes are those of the live object, for many classes."""
    parts = [
        nn.Conv1d(2, 4, 3, stride=2, padding_mode="circular"),
        nn.ConvTranspose2d(2, 4, 3, output_padding=1, stride=2),
        nn.LSTM(3, 4, 2, batch_first=True, dropout=0.2, bidirectional=True),
        nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True),
        nn.TransformerEncoderLayer(8, 2, activation="gelu"),
        nn.TransformerDecoderLayer(8, 2, norm_first=True),
        nn.LayerNorm((4, 5), eps=1e-6, elementwise_affine=False),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.Embedding(5, 3, padding_idx=0, max_norm=1.0),
        nn.EmbeddingBag(5, 3, mode="max"),
        nn.PReLU(),
        nn.Hardtanh(-2, 2),
        nn.Softmax(dim=-1),
        nn.GELU(approximate="tanh"),
        nn.Upsample(scale_factor=2.0, mode="bilinear"),
        nn.AdaptiveAvgPool2d((1, None)),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.PixelShuffle(2),
        nn.Bilinear(2, 3, 4),
        nn.CosineSimilarity(dim=1, eps=1e-6),
        nn.ConstantPad2d(1, 0.5),
        nn.AlphaDropout(0.2),
        nn.Softplus(beta=2.0),
        nn.LocalResponseNorm(3),
    ]
    model = nn.ModuleList(parts)
    torch.save(model, tmp_path / "m.pt")
    with holdfast.open(tmp_path / "m.pt") as stored:
        kept = [(m.path, m.class_name, m.package, dict(m.config)) for m in stored.modules]
    live = [(m.path.replace(".", "/"), m.class_name, m.package, dict(m.config)) for m in torch_modules(model)]
    assert [(p.replace(".", "/"), *rest) for p, *rest in kept] == live
    assert sum(bool(config) for *_, config in live) >= 25


def test_numpy_trees_have_no_modules() -> None:
    a = live_catalog(model={"w": np.zeros(3, np.float32)})
    assert told(compare_catalogs(a, a, depth="header").differences) == []
