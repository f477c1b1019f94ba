"""Rows on torch modules that make their weights late (``nn.LazyLinear``), and on models inside adapters, named as ``peft``
names them: ``base_model.model.encoder.base_layer.weight``, ``...encoder.lora_A.default.weight``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from harness import Row
from torch import nn
from torch_making import (
    ALL,
    bare_names,
    compiled,
    each,
    each_edited,
    parallel,
    renaming,
)
from torch_nets import Net, Run, batch, train

FILES = ("torch", "torch weights", "torch safetensors")


# -- lazy modules ----------------------------------------------------------------------------------------
class Lazy(nn.Module):
    """Its widths follow from the first batch."""

    def __init__(
        self, hidden: int = 8, classes: int = 3, activation: type[nn.Module] = nn.ReLU, adapter: bool = False
    ) -> None:
        super().__init__()
        self.encoder = nn.LazyLinear(hidden)
        self.norm = nn.LazyBatchNorm1d()
        self.act = activation()
        self.head = nn.LazyLinear(classes)
        self.adapter = nn.Linear(classes, classes) if adapter else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.adapter(self.head(self.act(self.norm(self.encoder(x)))))


class Same(nn.Module):
    """:class:`Lazy`, written with its widths."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.act = nn.ReLU()
        self.head = nn.Linear(8, 3)
        self.adapter = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.adapter(self.head(self.act(self.norm(self.encoder(x)))))


def called(width: int = 8, **options: Any) -> Callable[[], nn.Module]:
    """After its first call, on a batch of so many features."""

    def made() -> nn.Module:
        model = Lazy(**options)
        model.eval()
        with torch.no_grad():
            model(batch(0)[0][:, :1].expand(-1, width))
        return model.train()

    return made


def without_values(run: Run) -> Run:
    """The model as it is before the first call: what is saved has names, and no shapes."""
    run.model = Lazy()
    run.optimizer = run.scheduler = None
    return run


LAZY_ROWS: list[Row] = [
    *each(ALL, "plain, lazy layers after the first call", "exact", saved=called(), go_on=True),
    *each(ALL, "saved from lazy layers, into the same with widths", "exact", saved=called(), live=Same, go_on=True),
    *each(ALL, "saved with widths, into lazy layers after the first call", "exact", saved=Same, live=called(), go_on=True),
    *each(
        ("torch weights", "torch safetensors"), "into lazy layers before the first call", "refuse", ("O310",),
        saved=called(), live=Lazy,
    ),
    *each(("torch weights",), "saved before the first call", "refuse", saved=called(), wrap_saved=without_values),
    *each(ALL, "lazy layers, called with other features", "lossy", ("T203",), saved=called(), live=called(6)),
    *each(ALL, "lazy layers, fewer classes", "lossy", ("T203",), saved=called(), live=called(classes=2)),
    *each(
        ALL, "lazy layers, layer removed at end", "leftover", ("T202",), saved=called(adapter=True), live=called(),
    ),
    *each(ALL, "lazy layers, layer added at end", "refuse", ("T201",), saved=called(), live=called(adapter=True)),
    *each(
        ALL, "lazy layers, activation changed", "indistinguishable", ("T218",), saved=called(),
        live=called(activation=nn.GELU), sealed="refuse",
    ),
]  # fmt: skip


# -- adapters --------------------------------------------------------------------------------------------
class Lora(nn.Module):
    """A linear layer with a low-rank update beside it, as ``peft.tuners.lora.Linear`` lays it out."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, name: str) -> None:
        super().__init__()
        self.base_layer = base
        for param in base.parameters():
            param.requires_grad_(False)
        self.lora_A = nn.ModuleDict({name: nn.Linear(base.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({name: nn.Linear(rank, base.out_features, bias=False)})
        self.scaling = {name: alpha / rank}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.base_layer(x)
        for name, scale in self.scaling.items():
            out = out + self.lora_B[name](self.lora_A[name](x)) * scale
        return out


class Tuner(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


class Adapter(nn.Module):
    """:class:`Net` with updates on two layers, frozen otherwise, behind ``base_model.model.``."""

    def __init__(self, rank: int = 2, alpha: float = 4.0, name: str = "default", heads: int = 3) -> None:
        super().__init__()
        net = Net(classes=heads)
        for param in net.parameters():
            param.requires_grad_(False)
        net.encoder = Lora(net.encoder, rank, alpha, name)
        net.decoder = Lora(net.decoder, rank, alpha, name)
        self.base_model = Tuner(net)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_model(x)


def two_adapters(*names: str) -> nn.Module:
    """Two adapters of one rank on the same layers."""
    model = Adapter(name=names[0])
    for layer in (model.base_model.model.encoder, model.base_model.model.decoder):
        for name in names[1:]:
            layer.lora_A[name] = nn.Linear(8, 2, bias=False)
            layer.lora_B[name] = nn.Linear(2, 8, bias=False)
            layer.scaling[name] = 2.0
    return model


def every_other(found: dict[str, Any]) -> dict[str, Any]:
    """State by position, once the second adapter's weights (each after the first's) are gone."""
    kept = {}
    for name, values in found.items():
        words = name.split("/")
        if name.startswith("optimizer/state/"):
            if int(words[2]) % 2:
                continue
            words[2] = str(int(words[2]) // 2)
        kept["/".join(words)] = values
    return kept


def trained_part(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)


def updates_only(weights: dict[str, Any]) -> None:
    """What ``save_pretrained`` of an adapter writes: the updates alone, without the adapter's name."""
    for name in list(weights):
        tensor = weights.pop(name)
        if "lora_" in name:
            weights[name.replace(".default.", ".")] = tensor


def updates_crossed(weights: dict[str, Any]) -> None:
    for side in ("lora_A", "lora_B"):
        one, other = (f"base_model.model.{layer}.{side}.default.weight" for layer in ("encoder", "decoder"))
        weights[one], weights[other] = weights[other], weights[one]


def sides_crossed(weights: dict[str, Any]) -> None:
    for name in [n for n in weights if "lora_A" in n]:
        other = name.replace("lora_A", "lora_B")
        weights[name], weights[other] = weights[other], weights[name]


def of_the_base(run: Run) -> Run:
    """The model within, as it was before the adapter was put around it."""
    model = Net()
    net = run.model.base_model.model
    weights = {n.replace("base_layer.", ""): t for n, t in net.state_dict().items() if "lora_" not in n}
    model.load_state_dict(weights)
    run.model, run.optimizer = model, None
    train(Run(model), 0)
    return run


PEFT: dict[str, Any] = {"saved": Adapter, "saved_optimizer": trained_part}
PEFT_TWO = {**PEFT, "saved": lambda: two_adapters("default", "french")}
WEIGHTS_ONLY = ("torch weights", "torch safetensors")

ADAPTER_ROWS: list[Row] = [
    *each(ALL, "plain, adapters", "exact", **PEFT, go_on=True),
    *each(FILES, "adapters, saved from torch.compile", "exact", **PEFT, wrap_saved=compiled, truth=bare_names),
    *each(FILES, "adapters, into DataParallel", "exact", **PEFT, wrap=parallel),
    *each(FILES, "adapters, rank changed", "lossy", ("T203",), **PEFT, live=lambda: Adapter(rank=3)),
    *each(FILES, "adapters, fewer classes", "lossy", ("T203",), **PEFT, live=lambda: Adapter(heads=2)),
    # an adapter's name is a handle of the code's: the only one there is meant
    *each(
        FILES, "adapter of another name", "exact", **PEFT, live=lambda: Adapter(name="french"),
        truth=renaming(".default.", ".french."),
    ),
    *each(FILES, "a second adapter beside", "refuse", ("T201",), **PEFT, live=lambda: two_adapters("default", "french")),
    *each(
        FILES, "two adapters, one of them in the code", "leftover", ("T202",), **PEFT_TWO, live=Adapter,
        truth=every_other,
    ),
    *each(FILES, "plain, two adapters", "exact", **PEFT_TWO, live=lambda: two_adapters("french", "default")),
    *each_edited(WEIGHTS_ONLY, updates_only, "updates alone, into the whole", "refuse", ("T201",), **PEFT),
    *each(WEIGHTS_ONLY, "base model, into one with adapters", "refuse", ("T201",), **PEFT, wrap_saved=of_the_base),
    *each(
        WEIGHTS_ONLY, "with adapters, into the base model", "refuse", ("T202", "T205", "T201"), **PEFT, live=Net,
    ),
    *each_edited(FILES, updates_crossed, "updates of two layers crossed in the file", "indistinguishable", **PEFT),
    *each_edited(FILES, sides_crossed, "lora_A and lora_B exchanged in the file", "refuse", ("T203", "T206", "T210"), **PEFT),
    *each(
        FILES, "adapters, alpha changed", "indistinguishable", **PEFT, live=lambda: Adapter(alpha=8.0), sealed="warn",
        codes=("T218", "T219"),
    ),
]  # fmt: skip

ROWS: list[Row] = [*LAZY_ROWS, *ADAPTER_ROWS]
