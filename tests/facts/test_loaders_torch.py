"""Every row on PyTorch's loaders, done with the installed PyTorch, safetensors and Lightning."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from holdfast._facts.loaders import ROWS, LoaderFact  # noqa: E402
from loading import Deed, outcome_of  # noqa: E402


class Net(nn.Module):
    """Layers under the names given."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Any) -> Any:
        total = x.sum() * 0
        for layer in self.children():
            total = total + layer(torch.ones(2, layer.in_features, dtype=layer.weight.dtype)).float().sum()
        return total


def linear(a: int = 3, b: int = 3) -> nn.Linear:
    return nn.Linear(a, b)


def values(net: nn.Module) -> dict[str, Any]:
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


class Pair(NamedTuple):
    """What is saved, what is live, and whether the live one is right afterwards (given the saved values)."""

    saved: nn.Module
    live: nn.Module
    right: Callable[[dict[str, Any], nn.Module], bool]


def same(saved: dict[str, Any], live: nn.Module, **names: str) -> bool:
    """Whether each live layer named holds the weights of the saved one."""
    now = live.state_dict()
    return all(
        torch.equal(now[f"{b}.weight"].double(), saved[f"{a}.weight"].double()) for b, a in names.items()
    )


def tied() -> Net:
    net = Net(a=linear(), b=linear())
    net.b.weight, net.b.bias = net.a.weight, net.a.bias
    return net


def buffered() -> nn.Module:
    layer = nn.Module()
    layer.register_buffer("weight", torch.zeros(3, 3))
    layer.register_buffer("bias", torch.zeros(3))
    layer.in_features = 3
    net = Net()
    net.a = layer
    return net


def typed(dtype: Any, value: float) -> Net:
    net = Net(a=linear()).to(dtype)
    nn.init.constant_(net.a.weight, value)
    return net


def frozen() -> Net:
    net = Net(a=linear())
    net.a.weight.requires_grad_(False)
    return net


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.module = inner

    def forward(self, x: Any) -> Any:
        return self.module(x)


PAIRS: dict[tuple[str, str], Callable[[], Pair]] = {
    ("T201", ""): lambda: Pair(Net(a=linear()), Net(a=linear(), head=linear()), _head_was_filled()),
    ("T202", ""): lambda: Pair(Net(a=linear(), b=linear()), Net(a=linear()), lambda s, b: same(s, b, a="a")),
    ("T203", ""): lambda: Pair(Net(a=linear()), Net(a=linear(3, 5)), lambda s, b: True),
    ("T204", "narrows"): lambda: Pair(
        typed(torch.float32, 70000.1), typed(torch.float16, 0), lambda s, b: same(s, b, a="a")
    ),
    ("T204", ""): lambda: Pair(
        typed(torch.float32, 0.1), typed(torch.float64, 0), lambda s, b: same(s, b, a="a")
    ),
    ("T205", ""): lambda: Pair(Net(old=linear()), Net(new=linear()), lambda s, b: same(s, b, new="old")),
    ("T206", "other-shape"): lambda: Pair(Net(a=linear(2, 3)), Net(a=linear(3, 2)), lambda s, b: True),
    ("T206", ""): lambda: Pair(
        Net(a=linear()), Net(a=linear()), lambda s, b: torch.equal(b.a.weight, s["a.weight"].T)
    ),
    ("T207", ""): lambda: Pair(Net(a=linear(), b=linear()), tied(), lambda s, b: same(s, b, a="a", b="b")),
    ("T207", "partial"): lambda: Pair(Net(a=linear()), tied(), lambda s, b: same(s, b, a="a", b="a")),
    ("T208", ""): lambda: Pair(tied(), Net(a=linear(), b=linear()), lambda s, b: same(s, b, a="a", b="b")),
    ("T209", ""): lambda: Pair(
        Net(x=linear(), y=linear()), Net(x=linear(), y=linear()), lambda s, b: same(s, b, x="y")
    ),
    ("T211", ""): lambda: Pair(Net(a=linear()), Net(a=linear()), lambda s, b: same(s, b, a="a")),
    ("T212", ""): lambda: Pair(Net(a=linear()), buffered(), lambda s, b: same(s, b, a="a")),
    ("T213", ""): lambda: Pair(
        Net(a=linear()), frozen(), lambda s, b: same(s, b, a="a") and not b.a.weight.requires_grad
    ),
    ("T214", ""): lambda: Pair(
        Net(q=linear(), k=linear()),
        Net(qk=linear(3, 6)),
        lambda s, b: torch.equal(b.qk.weight, torch.cat([s["q.weight"], s["k.weight"]])),
    ),
    ("T215", ""): lambda: Pair(
        Net(qk=linear(3, 6)),
        Net(q=linear(), k=linear()),
        lambda s, b: torch.equal(torch.cat([b.q.weight, b.k.weight]), s["qk.weight"]),
    ),
    ("T216", ""): lambda: Pair(
        Wrapped(Net(a=linear())), Net(a=linear()), lambda s, b: torch.equal(b.a.weight, s["module.a.weight"])
    ),
}


def _head_was_filled() -> Callable[[dict[str, Any], nn.Module], bool]:
    return lambda saved, live: not torch.equal(live.head.weight, live.first)


def _strict(pair: Pair, folder: Path, strict: bool = True) -> Callable[[], object]:
    torch.save(pair.saved.state_dict(), folder / "m.pt")
    return lambda: pair.live.load_state_dict(torch.load(folder / "m.pt"), strict=strict)


def _safetensors(pair: Pair, folder: Path) -> Callable[[], object]:
    st = pytest.importorskip("safetensors.torch")
    st.save_model(pair.saved, str(folder / "m.safetensors"))
    return lambda: st.load_model(pair.live, str(folder / "m.safetensors"))


def _dcp(pair: Pair, folder: Path) -> Callable[[], object]:
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    dcp.save({"model": pair.saved.state_dict()}, checkpoint_id=folder / "d", no_dist=True)

    def load() -> None:
        state = {"model": pair.live.state_dict()}
        dcp.load(state, checkpoint_id=folder / "d", no_dist=True)
        pair.live.load_state_dict(state["model"])

    return load


LOADERS: dict[str, Callable[[Pair, Path], Callable[[], object]]] = {
    "torch-strict": _strict,
    "torch-lenient": lambda pair, folder: _strict(pair, folder, strict=False),
    "safetensors": _safetensors,
    "dcp": _dcp,
}


def rows(*loaders: str, family: str) -> list[Any]:
    return [
        pytest.param(row, id=" ".join((row.loader, row.code, *row.when)))
        for row in ROWS
        if row.loader in loaders and row.code.startswith(family)
    ]


@pytest.mark.parametrize("row", rows(*LOADERS, family="T"))
def test_tensors(row: LoaderFact, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pair = PAIRS[row.code, " ".join(row.when)]()
    if hasattr(pair.live, "head"):
        pair.live.first = pair.live.head.weight.detach().clone()
    saved = values(pair.saved)
    deed = Deed(LOADERS[row.loader](pair, tmp_path), lambda: pair.right(saved, pair.live))
    assert outcome_of(deed) == row.outcome


# -- optimizers --------------------------------------------------------------------------------------------------


def trained(optimizer: Any, net: nn.Module, steps: int = 2) -> Any:
    """An optimizer that has stepped; every weight gets another gradient."""
    for count in range(steps):
        for i, p in enumerate(p for g in optimizer.param_groups for p in g["params"]):
            p.grad = torch.full_like(p, 1.0 + i + count)
        optimizer.step()
    return optimizer


class Two(NamedTuple):
    """A saved optimizer and a live one, and what must hold afterwards."""

    saved: Any
    live: Any
    right: Callable[[Any, Any], bool]


def adam(params: Any, **more: Any) -> Any:
    return torch.optim.Adam(params, **{"lr": 0.1, **more})


def _classes(a: Callable[[Any], Any], b: Callable[[Any], Any]) -> Two:
    # right would be: the live class goes on with its own settings
    n, m = Net(a=linear()), Net(a=linear())
    live = b(m.parameters())
    mine = {k: v for k, v in live.param_groups[0].items() if k != "params"}
    kept = lambda s, o: {k: v for k, v in o.param_groups[0].items() if k != "params"} == mine  # noqa: E731
    return Two(trained(a(n.parameters()), n), live, kept)


def _momenta(a: Any, p: Any, b: Any, q: Any) -> bool:
    return (
        torch.equal(a.state[p]["exp_avg"], b.state[q]["exp_avg"]) if p in a.state and q in b.state else False
    )


def _positions() -> Two:
    n, m = Net(a=linear(), b=linear()), Net(a=linear(), b=linear())
    saved = trained(adam([n.a.weight, n.b.weight]), n)
    return Two(saved, adam([m.b.weight, m.a.weight]), lambda s, o: _momenta(o, m.a.weight, s, n.a.weight))


def _positions_of_other_shapes() -> Two:
    n, m = Net(a=linear(3, 2), b=linear(3, 4)), Net(a=linear(3, 2), b=linear(3, 4))
    saved = trained(adam([n.a.weight, n.b.weight]), n)
    return Two(saved, adam([m.b.weight, m.a.weight]), lambda s, o: True)


def _owners() -> Two:
    n, m = (Net(a=linear(), b=linear(), c=linear()) for _ in range(2))
    saved = trained(adam([n.a.weight, n.b.weight]), n)
    return Two(saved, adam([m.b.weight, m.c.weight]), lambda s, o: _momenta(o, m.b.weight, s, n.b.weight))


def _owners_more() -> Two:
    n, m = (Net(a=linear(), b=linear()) for _ in range(2))
    return Two(trained(adam([n.a.weight, n.b.weight]), n), adam([m.b.weight]), lambda s, o: True)


def _groups() -> Two:
    n, m = Net(a=linear()), Net(a=linear())
    split = adam([{"params": [m.a.weight]}, {"params": [m.a.bias]}])
    return Two(trained(adam(n.parameters()), n), split, lambda s, o: True)


def _rate() -> Two:
    n, m = Net(a=linear()), Net(a=linear())
    return Two(
        trained(adam(n.parameters()), n),
        adam(m.parameters(), lr=0.5),
        lambda s, o: o.param_groups[0]["lr"] == 0.5,
    )


def _step() -> Two:
    n, m = Net(a=linear()), Net(a=linear())
    live = trained(adam(m.parameters()), m, steps=5)
    return Two(trained(adam(n.parameters()), n), live, lambda s, o: int(o.state[m.a.weight]["step"]) == 2)


def _amsgrad() -> Two:
    n, m = Net(a=linear()), Net(a=linear())
    live = adam(m.parameters(), amsgrad=True)
    return Two(trained(adam(n.parameters()), n), live, lambda s, o: o.param_groups[0]["amsgrad"])


def _never_stepped() -> Two:
    n, m = Net(a=linear()), Net(a=linear())
    live = trained(adam(m.parameters()), m)
    return Two(adam(n.parameters()), live, lambda s, o: m.a.weight in o.state)


SGD = torch.optim.SGD
OPTIMIZERS: dict[tuple[str, str], Callable[[], Two]] = {
    ("O203", "kin"): lambda: _classes(adam, lambda p: torch.optim.AdamW(p, lr=0.3)),
    ("O203", "asks-at-load"): lambda: _classes(lambda p: SGD(p, 0.1, momentum=0.9), adam),
    ("O203", ""): lambda: _classes(adam, lambda p: SGD(p, 0.1)),
    ("O204", "option"): _amsgrad,
    ("O204", ""): _never_stepped,
    ("O205", "more"): _owners_more,
    ("O205", ""): _owners,
    ("O206", ""): _groups,
    ("O207", ""): _rate,
    ("O208", ""): _step,
    ("O209", "shapes_fit"): _positions,
    ("O209", ""): _positions_of_other_shapes,
}


def _deed(two: Two, state: Any) -> Deed:
    params = [p for g in two.live.param_groups for p in g["params"]]

    def step() -> None:
        for p in params:
            p.grad = torch.ones_like(p)
        copied = copy.deepcopy(two.live)  # its own parameters, so that right() sees what was loaded
        for p in (p for g in copied.param_groups for p in g["params"]):
            p.grad = torch.ones_like(p)
        copied.step()

    return Deed(lambda: two.live.load_state_dict(state), lambda: two.right(two.saved, two.live), step)


@pytest.mark.parametrize(
    "row", [r for r in rows("torch-optimizer", family="O") if r.values[0].code not in ("O201", "O202")]
)
def test_optimizers(row: LoaderFact, tmp_path: Path) -> None:
    two = OPTIMIZERS[row.code, " ".join(row.when)]()
    torch.save(two.saved.state_dict(), tmp_path / "o.pt")
    assert outcome_of(_deed(two, torch.load(tmp_path / "o.pt"))) == row.outcome


def test_no_optimizer_state() -> None:
    with pytest.raises(KeyError, match="param_groups"):
        adam(linear().parameters()).load_state_dict({})


def test_state_that_no_one_asks_for(tmp_path: Path) -> None:
    net, live = Net(a=linear()), Net(a=linear())
    torch.save(
        {"model": net.state_dict(), "optimizer": trained(adam(net.parameters()), net).state_dict()},
        tmp_path / "c.pt",
    )
    saved = torch.load(tmp_path / "c.pt")
    live.load_state_dict(saved["model"])
    assert same(saved["model"], live, a="a")


CLASSES: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: SGD(p, 0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
    "Adamax": lambda p: torch.optim.Adamax(p, 0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, 0.1),
    **{n: (lambda p, n=n: getattr(torch.optim, n)(p, lr=0.1)) for n in ("Adam", "AdamW", "NAdam", "RAdam")},
}


def _at(optimizer: Any, rate: float) -> Any:
    optimizer.param_groups[0]["lr"] = rate
    return optimizer


@pytest.mark.parametrize("a", CLASSES)
def test_state_of_another_class(a: str) -> None:
    """Which classes take one another's state, which raise when loading, which in the first step."""
    from holdfast._facts.loaders import row_for

    for b in CLASSES:
        if a == b:
            continue
        two = _classes(CLASSES[a], lambda p, make=CLASSES[b]: _at(make(p), 0.3))
        row = row_for(
            "torch-optimizer", "O203", {"a": a, "b": b, "stepped": bool(two.saved.state_dict()["state"])}
        )
        assert row is not None
        assert outcome_of(_deed(two, copy.deepcopy(two.saved.state_dict()))) == row.outcome, f"{a} -> {b}"


# -- Lightning ---------------------------------------------------------------------------------------------------


def _lightning(net: nn.Module, make: Callable[[Any], Any]) -> Any:
    L = pytest.importorskip("lightning")

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, index: int) -> Any:
            return self.net(batch[0])

        def configure_optimizers(self) -> Any:
            return make(net)

    return Module()


def _trainer(folder: Path) -> Any:
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return lightning.Trainer(
        max_epochs=1, limit_train_batches=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip


def _data() -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 3)), batch_size=2)


def still(net: nn.Module) -> Any:
    """An optimizer of one parameter, whose steps change no weight."""
    return SGD([next((p for p in net.parameters() if p.requires_grad), nn.Parameter(torch.zeros(1)))], lr=0.0)


@pytest.mark.parametrize("row", rows("lightning", family="T"))
def test_lightning_tensors(row: LoaderFact, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    torch.manual_seed(0)
    pair = PAIRS[row.code, " ".join(row.when)]()
    saved = values(pair.saved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = _trainer(tmp_path)
        trainer.fit(_lightning(pair.saved, still), _data())
        trainer.save_checkpoint(tmp_path / "l.ckpt")
    live = _lightning(pair.live, still)
    deed = Deed(
        lambda: _trainer(tmp_path).fit(live, _data(), ckpt_path=str(tmp_path / "l.ckpt"), weights_only=False),
        lambda: pair.right(saved, pair.live),
    )
    assert outcome_of(deed) == row.outcome


LIGHTNING: dict[tuple[str, str], tuple[Callable[[nn.Module], Any], Callable[[nn.Module], Any], Any]] = {
    ("O203", "kin"): (
        lambda n: adam(n.parameters()),
        lambda n: torch.optim.AdamW(n.parameters(), lr=0.3),
        lambda o: o.param_groups[0]["lr"] == 0.3,
    ),
    ("O206", ""): (
        lambda n: adam(n.parameters()),
        lambda n: adam([{"params": [n.a.weight]}, {"params": [n.a.bias]}]),
        lambda o: True,
    ),
    ("O207", ""): (
        lambda n: adam(n.parameters()),
        lambda n: adam(n.parameters(), lr=0.5),
        lambda o: o.param_groups[0]["lr"] == 0.5,
    ),
}


@pytest.mark.parametrize(
    "row", [r for r in rows("lightning", family="O") if r.values[0].code not in ("O201", "O209")]
)
def test_lightning_optimizers(row: LoaderFact, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    make_a, make_b, right = LIGHTNING[row.code, " ".join(row.when)]
    trainer = _trainer(tmp_path)
    trainer.fit(_lightning(Net(a=linear()), make_a), _data())
    trainer.save_checkpoint(tmp_path / "l.ckpt")
    again = _trainer(tmp_path)
    live = _lightning(Net(a=linear()), make_b)
    deed = Deed(
        lambda: again.fit(live, _data(), ckpt_path=str(tmp_path / "l.ckpt"), weights_only=False),
        lambda: right(again.optimizers[0]),
    )
    assert outcome_of(deed) == row.outcome


def test_lightning_order(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    net, live = Net(a=linear(), b=linear()), Net(a=linear(), b=linear())
    trainer, again = _trainer(tmp_path), _trainer(tmp_path)
    trainer.fit(_lightning(net, lambda n: adam([n.a.weight, n.b.weight])), _data())
    first = trainer.optimizers[0]
    first.state[net.a.weight]["exp_avg"].fill_(7)
    trainer.save_checkpoint(tmp_path / "l.ckpt")
    again.fit(
        _lightning(live, lambda n: adam([n.b.weight, n.a.weight])),
        _data(),
        ckpt_path=str(tmp_path / "l.ckpt"),
        weights_only=False,
    )
    assert float(again.optimizers[0].state[live.b.weight]["exp_avg"].mean()) == 7  # a's, silently


def test_lightning_without_optimizer_state(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    trainer = _trainer(tmp_path)
    trainer.fit(_lightning(Net(a=linear()), still), _data())
    trainer.save_checkpoint(tmp_path / "l.ckpt", weights_only=True)
    with pytest.raises(KeyError):
        _trainer(tmp_path).fit(
            _lightning(Net(a=linear()), still),
            _data(),
            ckpt_path=str(tmp_path / "l.ckpt"),
            weights_only=False,
        )
