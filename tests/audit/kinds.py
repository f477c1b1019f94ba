"""Seven kinds of run on digits, each written as its framework is used; what they have in common for audits of them.

A kind trains into a real vault (``vault.record(probe=..., preprocess=..., contract=...)``; metrics with their meaning), so
that an audit knows what was recorded and nothing else. One epoch is ten steps: a checkpoint is ten steps from its neighbour.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from audit.digits import RAW, VALID, XV, YV, X, evaluated, numbers, scaled

__all__ = ["KINDS", "Kind", "Run", "kind_named"]

KINDS: dict[str, str] = {
    "torch": "torch_run",
    "keras-plain": "keras_run",
    "keras-dropout": "keras_run",
    "keras-batchnorm": "keras_run",
    "keras-bfloat16": "keras_run",
    "tape": "keras_run",
    "jax": "jax_run",
}
"""Name -> the module that has it in its own ``KINDS``."""

BATCH = 120
EPOCH = len(X) // BATCH
FIRST, LAST, LATER = 3 * EPOCH, 4 * EPOCH, 5 * EPOCH
"""Steps that are saved; what is audited is the one in the middle."""


def kind_named(name: str) -> Kind:
    """One of :data:`KINDS`. Imports its framework."""
    kind: Kind = importlib.import_module(f"audit.{KINDS[name]}").KINDS[name]
    return kind


@dataclass
class Run:
    """What a run left behind: its vault, and by step what it measured, its averaged weights (name -> values), and the
    running average that it logged."""

    kind: Kind
    folder: Path
    at: dict[int, dict[str, float]] = field(default_factory=dict)
    averages: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    logged: dict[int, float] = field(default_factory=dict)

    def step(self, step: int = LAST) -> Path:
        """A step's folder."""
        return self.folder / f"step-{step:08d}"

    def loaded(self, step: int = LAST) -> Any:
        """A model as other code loaded it."""
        return holdfast.restore(self.step(step), model=self.kind.make(5)).model

    def measured_with(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """What the run would have logged with other values in some tensors."""
        return self.kind.evaluate(self.kind.put(self.loaded(), values))


class Kind:
    """One way to train. Models are what the framework calls so; a JAX model is its tree of variables."""

    name = ""
    drops = True
    normalises = True
    narrow = False
    """Computes in bfloat16."""
    layers: tuple[str, str, str, str] = ("inner", "norm", "act", "head")
    """What the probe calls the first layer, the normalisation, where the activation shows first, and the last."""
    apply: Any = None

    # -- what each framework has of its own --------------------------------------------------------------------------
    def make(self, seed: int = 0, *, epsilon: float | None = None, activation: str = "relu") -> Any:
        """A new model."""
        raise NotImplementedError

    def train(self, folder: Path) -> Run:
        """Five epochs, saved at the end of the last three."""
        raise NotImplementedError

    def outputs(self, model: Any, x: np.ndarray, batch: int = 100, *, training: bool = False) -> np.ndarray:
        """Logits, in inference mode (as the program must see to itself)."""
        raise NotImplementedError

    def read(self, model: Any) -> dict[str, np.ndarray]:
        """Weights and statistics by name."""
        raise NotImplementedError

    def put(self, model: Any, values: Mapping[str, np.ndarray]) -> Any:
        """The model with other values in some of them."""
        raise NotImplementedError

    @contextmanager
    def setting(self) -> Iterator[None]:
        """What is set globally while this kind trains and is used."""
        yield

    # -- what follows ------------------------------------------------------------------------------------------------
    def evaluate(
        self, model: Any, x: np.ndarray = XV, y: np.ndarray = YV, *, batch: int = 100
    ) -> dict[str, Any]:
        """The evaluation as the run has it."""
        return numbers(self.outputs(model, x, batch), y)

    def forgetful(self, model: Any) -> dict[str, Any]:
        """The same in training mode."""
        return numbers(self.outputs(model, XV, 100, training=True), YV)

    def altered(self, **settings: Any) -> dict[str, Any]:
        """Arguments of an audit by code with other settings."""
        return {"model": self.make(9, **settings)}

    def head(self, model: Any) -> dict[str, np.ndarray]:
        """Those of the last layer."""
        return {
            name: v
            for name, v in self.read(model).items()
            if self.layers[3] in name.replace(".", "/").split("/")
        }

    def statistics(self, model: Any, values: Any = None) -> dict[str, np.ndarray]:
        """Those of the normalisation layer, at their initial value."""
        means, variances = ("running_mean", "moving_mean", "mean"), ("running_var", "moving_variance", "var")
        found = {}
        for name, value in self.read(model).items():
            last = name.replace(".", "/").rpartition("/")[2]
            if last in means + variances:
                found[name] = np.full_like(value, last in variances)
        return found

    def recorded(self, vault: holdfast.Vault) -> None:
        """What each save records besides."""
        contract = holdfast.DataContract.from_batches(X)
        vault.record(probe=RAW[VALID][:32], preprocess=scaled, apply=self.apply, contract=contract)

    def audited(self, run: Run, place: Path | None = None, **given: Any) -> holdfast.AuditReport:
        """The audit of the run's step :data:`LAST`. ``logged``: numbers that were filed under it instead, in a copy of the
        run at ``place``."""
        logged = given.pop("logged", None)
        folder = run.folder
        if logged is not None:
            assert place is not None
            shutil.copytree(folder, place)
            with holdfast.Vault(place) as vault:
                vault.annotate(LAST, metrics=evaluated(logged))
            folder = place
        given = {"evaluate": self.evaluate, "apply": self.apply, **given}
        if "model" not in given:
            given["model"] = self.make(9)
        return holdfast.audit(folder / f"step-{LAST:08d}", **given)
