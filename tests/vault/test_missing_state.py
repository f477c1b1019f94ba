"""What an exact resume lacks is told: each rule where it speaks, and where it is silent."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Vault

torch = pytest.importorskip("torch")
X = torch.arange(24, dtype=torch.float32).reshape(6, 4) / 10
HERE = {"data": {"seen": 0}}
"""A position, so that nothing is said of that."""


class Run:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(4, 2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2)

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}

    def backward(self) -> None:
        self.model(X).sum().backward()

    def train(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.backward()
            self.optimizer.step()


def told(outcome: Any, code: str) -> list[Any]:
    return [f for f in outcome.findings if f.code == code]


# -- R212 ------------------------------------------------------------------------------------------------------------
def test_a_scheduler_and_an_average_that_are_left_out(tmp_path: Path) -> None:
    run = Run()
    ema = torch.optim.swa_utils.AveragedModel(run.model)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, **run.parts, scheduler=run.scheduler, ema=ema, **HERE, blocking=True)
        outcome = vault.restore(**run.parts, **HERE)
        assert outcome is not None
        (finding,) = told(outcome, "R212")
        assert finding.severity == "warning"
        assert "`ema`, `scheduler`" in finding.message
        everything = vault.restore(**run.parts, scheduler=run.scheduler, ema=ema, **HERE)
        assert everything is not None and told(everything, "R212") == []
        evaluated = vault.restore(model=run.model)
        assert evaluated is not None and [f.code for f in evaluated.findings if f.code.startswith("R")] == []


def test_an_ema_passed_beside_the_model_is_put_back_too(tmp_path: Path) -> None:
    """As data: an object with ``state_dict`` whose parameters are not those of the model."""
    run = Run()
    ema = torch.optim.swa_utils.AveragedModel(run.model)
    run.train()
    ema.update_parameters(run.model)
    expected = [t.clone() for t in ema.state_dict().values()]
    with Vault(tmp_path / "run") as vault:
        vault.save(1, **run.parts, data={"ema": ema}, blocking=True)
        ema.update_parameters(torch.nn.Linear(4, 2))
        vault.restore(**run.parts, data={"ema": ema})
    assert all(torch.equal(a, b) for a, b in zip(expected, ema.state_dict().values(), strict=True))


# -- R213 ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("step", "updates", "extra", "speaks"), [
    (4, 5, {}, True), (5, 5, {}, False), (1, 5, {}, False), (10, 5, {}, False),
    (5, 5, {"step": 6}, True), (5, 5, {"global_step": 5}, False), (5, 5, {"step": 700}, False), (5, 5, {"step": True}, False),
])  # fmt: skip
def test_a_step_that_is_off_by_one(
    tmp_path: Path, step: int, updates: int, extra: dict[str, Any], speaks: bool
) -> None:
    """Epochs, micro-steps and the number of updates are honest steps; one less than the updates is a trap."""
    run = Run()
    run.train(updates)
    with Vault(tmp_path / "run") as vault:
        vault.save(step, **run.parts, **HERE, extra=extra, blocking=True)
        outcome = vault.restore(**run.parts, **HERE)
    assert outcome is not None
    assert len(told(outcome, "R213")) == speaks
    assert all(f.severity == "note" for f in told(outcome, "R213"))


# -- R214 ------------------------------------------------------------------------------------------------------------
def test_gradients_that_were_gathered_since_the_last_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run()
    with Vault(tmp_path / "run") as vault:
        vault.save(0, **run.parts, **HERE, blocking=True)  # from now on its steps are seen
        run.train()
        run.optimizer.zero_grad()
        run.backward()
        with caplog.at_level(logging.WARNING):
            vault.save(1, **run.parts, **HERE, blocking=True)
        assert "in the middle of a gradient accumulation" in caplog.text
        outcome = vault.restore(**run.parts, **HERE)
        assert outcome is not None
        (finding,) = told(outcome, "R214")
        assert finding.severity == "warning"


def _as_after_step(run: Run) -> None:
    run.train()


def _zeroed(run: Run) -> None:
    run.train()
    run.optimizer.zero_grad(set_to_none=False)


def _dropped(run: Run) -> None:
    run.train()
    run.optimizer.zero_grad()


def _accumulated(run: Run) -> None:
    run.optimizer.zero_grad()
    for _ in range(4):
        run.backward()
    run.optimizer.step()


def _skipped(run: Run) -> None:
    """A loss scaler leaves a step out whose gradients are infinite."""
    run.train()
    run.optimizer.zero_grad()
    (run.model(X).sum() * torch.inf).backward()


@pytest.mark.parametrize("leave", [_as_after_step, _zeroed, _dropped, _accumulated, _skipped])
def test_an_ordinary_loop_is_not_told(tmp_path: Path, leave: Any) -> None:
    run = Run()
    with Vault(tmp_path / "run") as vault:
        for step in range(3):
            vault.save(step, **run.parts, **HERE, blocking=True)
            leave(run)
        vault.save(3, **run.parts, **HERE, blocking=True)
        for checkpoint in vault:
            outcome = vault.restore(step=checkpoint.step, **run.parts, **HERE)
            assert outcome is not None and told(outcome, "R214") == []


def test_looking_on_costs_an_optimizer_nothing_that_is_saved(tmp_path: Path) -> None:
    import copy
    import io

    run = Run()
    with Vault(tmp_path / "run") as vault:
        for step in range(3):
            vault.save(step, **run.parts, blocking=True)
    assert len(run.optimizer._optimizer_step_post_hooks) == 1
    copied = copy.deepcopy(run.optimizer)
    torch.save(run.optimizer.state_dict(), io.BytesIO())
    copied.step()


def test_keras_and_optax_keep_their_sums_themselves(tmp_path: Path) -> None:
    optax = pytest.importorskip("optax")
    jnp = pytest.importorskip("jax.numpy")
    update = optax.MultiSteps(optax.adam(0.1), 4)
    weights = {"w": jnp.ones((3,))}
    _, state = update.update({"w": jnp.arange(3.0)}, update.init(weights), weights)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=weights, optimizer=state, data={"seen": np.int64(4)}, blocking=True)
        outcome = vault.restore(model=weights, optimizer=state)
    assert outcome is not None and told(outcome, "R214") == []
    assert outcome.data == {"seen": 4}
