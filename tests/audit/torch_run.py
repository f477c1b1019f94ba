"""A PyTorch run on digits (BatchNorm, dropout, an averaged copy), and two dozen things that may be wrong when it is audited."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import holdfast
from audit.digits import RAW, VALID, XV, YV, X, Y, extra_of, measured, scaled
from holdfast._record.metrics import Metric
from holdfast._record.probe import make_probe

FIRST, LAST = 62, 72


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))


def outputs(model: nn.Module, x: np.ndarray, batch: int = 100) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(torch.from_numpy(x[n : n + batch])).float() for n in range(0, len(x), batch)])


def evaluate(
    model: nn.Module, x: np.ndarray = XV, y: np.ndarray = YV, *, batch: int = 100, mode: bool = True
) -> dict[str, Any]:
    """Loss and accuracy over samples; ``mode`` calls eval() as one should."""
    if mode:
        model.eval()
    given, labels = outputs(model, x, batch), torch.from_numpy(y)
    loss = nn.functional.cross_entropy(given.double(), labels).item()
    return {"val_loss": loss, "val_acc": (given.argmax(1) == labels).double().mean().item()}


@dataclass
class Run:
    """What a run left behind."""

    folder: Path
    metrics: list[Metric]
    average: nn.Module
    last: nn.Module
    logged: float
    at: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return str(self.folder)

    def loaded(self, step: int = LAST) -> nn.Module:
        """A model that other code loaded."""
        model = make(5)
        holdfast.restore(self.folder / f"step-{step:08d}", model=model)
        return model


def train(folder: Path) -> Run:
    """Three epochs; saved ten steps before the end and at the end."""
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    average = copy.deepcopy(model)
    step, losses, run = 0, [], Run(folder, [], average, model, 0.0)
    with holdfast.Vault(folder) as vault:
        for _ in range(3):
            model.train()
            for n in range(0, len(X), 50):
                loss = nn.functional.cross_entropy(
                    model(torch.from_numpy(X[n : n + 50])), torch.from_numpy(Y[n : n + 50])
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
                losses.append(loss.item())
                with torch.no_grad():
                    for a, b in zip(average.parameters(), model.parameters(), strict=True):
                        a.lerp_(b, 0.05)
                    for a, b in zip(average.buffers(), model.buffers(), strict=True):
                        a.copy_(b)
                if step in (FIRST, LAST):
                    run.at[step] = evaluate(copy.deepcopy(model))
                    probe = make_probe(model, RAW[VALID][:32], preprocess=scaled)
                    vault.save(
                        step, model=model, optimizer=optimizer, ema=average, extra=extra_of(probe),
                        metrics=run.at[step], blocking=True,
                    )  # fmt: skip
    run.logged = float(np.mean(losses[-24:]))
    run.metrics = measured(run.at[LAST])
    return run


# -- faults ----------------------------------------------------------------------------------------------------------
Case = tuple[str, str, Callable[[Run], dict[str, Any]]]
"""What is wrong, the rule that must come first, and the arguments of the audit."""


def _training_then(run: Run) -> dict[str, Any]:
    model = run.loaded().train()
    torch.manual_seed(11)
    return {"metrics": measured(evaluate(model, mode=False))}


def _reset_then(run: Run) -> dict[str, Any]:
    model = run.loaded()
    model[1].reset_running_stats()
    return {"metrics": measured(evaluate(model))}


def _rounded(model: nn.Module) -> nn.Module:
    state = model.state_dict()
    model.load_state_dict({k: v.bfloat16().float() if v.is_floating_point() else v for k, v in state.items()})
    return model


def _changed(model: nn.Module, change: Callable[[nn.Module], Any]) -> dict[str, Any]:
    change(model)
    return {"model": model}


def _narrow(model: nn.Module) -> dict[str, Any]:
    model.eval().bfloat16()
    with torch.no_grad():
        given = model(torch.from_numpy(XV).bfloat16()).float()
    labels = torch.from_numpy(YV)
    return {
        "val_loss": nn.functional.cross_entropy(given, labels).item(),
        "val_acc": (given.argmax(1) == labels).double().mean().item(),
    }


def _permuted(model: nn.Module) -> dict[str, Any]:
    labels = (YV * 3 + 1) % 10
    return {**evaluate(model, y=labels), "outputs": outputs(model.eval(), XV).numpy(), "labels": labels}


def _ragged(model: nn.Module) -> dict[str, Any]:
    rows = [
        (len(YV[n : n + 100]), evaluate(model, XV[n : n + 100], YV[n : n + 100]))
        for n in range(0, len(YV), 100)
    ]
    means = {name: float(np.mean([row[name] for _, row in rows])) for name in rows[0][1]}
    return {**means, "batches": rows}


def _by_element(run: Run) -> dict[str, Any]:
    given = outputs(run.loaded().eval(), XV).numpy()
    share = float(((given > 0) == (np.eye(10)[YV] > 0)).mean())

    def told(model: nn.Module) -> dict[str, Any]:
        return {**evaluate(model), "outputs": outputs(model.eval(), XV).numpy(), "labels": YV}

    return {"metrics": measured({**run.at[LAST], "val_acc": share}), "evaluate": told}


def _random_half(model: nn.Module) -> dict[str, Any]:
    half = np.random.default_rng().permutation(len(YV))[:300]
    return evaluate(model, XV[half], YV[half])


def _reinitialised(model: nn.Module) -> dict[str, Any]:
    model[4].reset_parameters()
    return evaluate(model)


CASES: tuple[Case, ...] = (
    ("eval() forgotten now", "metric-training-mode",
     lambda run: {"evaluate": lambda m: evaluate(m.train(), mode=False)}),
    ("eval() forgotten when it was logged", "metric-training-mode", _training_then),
    ("BatchNorm statistics reset while loading", "metric-batch-statistics",
     lambda run: {**_changed(run.loaded(), lambda m: m[1].reset_running_stats()), "loaded": True}),
    ("BatchNorm statistics lost before it was logged", "metric-batch-statistics", _reset_then),
    ("logged with the averaged weights", "metric-other-weights",
     lambda run: {"metrics": measured(evaluate(copy.deepcopy(run.average)))}),
    ("averaged weights loaded", "metric-other-weights", lambda run: {"model": copy.deepcopy(run.average), "loaded": True}),
    ("other constants in the preprocessing", "metric-other-inputs",
     lambda run: {"evaluate": lambda m: evaluate(m, scaled(RAW[VALID], 5.0, 8.0))}),
    ("not preprocessed at all", "metric-other-inputs", lambda run: {"evaluate": lambda m: evaluate(m, RAW[VALID])}),
    ("preprocess= with other constants", "metric-other-inputs",
     lambda run: {"evaluate": lambda m: evaluate(m, scaled(RAW[VALID], 5.0)), "preprocess": lambda v: scaled(v, 5.0)}),
    ("label map permuted", "metric-labels-permuted", lambda run: {"evaluate": _permuted}),
    ("logged ten steps earlier", "metric-other-step", lambda run: {"metrics": measured(run.at[FIRST])}),
    ("checkpoint of ten steps earlier loaded", "metric-other-step", lambda run: {"model": run.loaded(FIRST), "loaded": True}),
    ("loaded in bfloat16", "metric-precision", lambda run: {"model": _rounded(run.loaded()), "loaded": True}),
    ("evaluated in bfloat16", "metric-precision", lambda run: {"evaluate": _narrow}),
    ("logged with weights rounded to bfloat16", "metric-precision",
     lambda run: {"metrics": measured(evaluate(_rounded(run.loaded())))}),
    ("last layer initialised anew after loading", "metric-state-changed",
     lambda run: {**_changed(run.loaded(), lambda m: m[4].reset_parameters()), "loaded": True}),
    ("last layer initialised anew by the evaluation", "metric-state-changed", lambda run: {"evaluate": _reinitialised}),
    ("epsilon 1e-5 became 1e-6", "metric-function-changed",
     lambda run: _changed(make(), lambda m: setattr(m[1], "eps", 1e-6))),
    ("ReLU became GELU", "metric-function-changed", lambda run: _changed(make(), lambda m: m.__setitem__(2, nn.GELU()))),
    ("two metrics' names swapped", "metric-names-swapped",
     lambda run: {"metrics": measured(dict(zip(run.at[LAST], reversed(run.at[LAST].values()), strict=True)))}),
    ("another validation split", "metric-other-data",
     lambda run: {"evaluate": lambda m: evaluate(m, scaled(RAW[900:1497]), np.concatenate([Y, YV])[900:1497])}),
    ("mean of batch means, ragged last batch", "metric-averaging", lambda run: {"evaluate": _ragged}),
    ("evaluated on a random half each time", "metric-random", lambda run: {"evaluate": _random_half}),
    ("accuracy counted element by element", "metric-resolved-differently", _by_element),
)  # fmt: skip


def audited(run: Run, **given: Any) -> holdfast.AuditReport:
    """The audit of the run's last step, with some arguments of another kind."""
    given = {"metrics": run.metrics, "evaluate": evaluate, **given}
    if "model" not in given:
        given["model"] = make(9)
    return holdfast.audit(run.path, **given)
