"""``holdfast.keras.VaultCallback``: a broken or killed ``fit`` goes on bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Keep, NothingToRestore, RestoreRefused, SaveFailed, UsageError, Vault

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

from holdfast.keras import VaultCallback  # noqa: E402
from vault.keras_runs import X, Y, fit, model, values  # noqa: E402

IN_MEMORY = True


class Broken(Exception):
    pass


class BreakAt(keras.callbacks.Callback):
    """Breaks ``fit`` off after so many batches."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Broken


@pytest.fixture(scope="module")
def whole() -> tuple[Any, Any]:
    """The run that nothing interrupts, and its history."""
    made = model()
    return made, fit(made)


def _broken(run: Path, at: int, **options: Any) -> None:
    with pytest.raises(Broken):
        fit(model(), VaultCallback(run, **options), BreakAt(at))


@pytest.mark.parametrize(
    "backend",
    [
        "tensorflow",
        pytest.param("jax", marks=pytest.mark.long),
        pytest.param("torch", marks=pytest.mark.long),
    ],
)
def test_killed_by_the_system_and_resumed(tmp_path: Path, backend: str) -> None:
    """Real processes, SIGKILL, by epoch and within one; weights, history and best value as if nothing had been."""
    pytest.importorskip(backend)
    script = Path(__file__).with_name("keras_runs.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("went on from") == 3


@pytest.mark.parametrize(("every", "at"), [("epoch", 18), (3, 14), (7, 15), (3, 8), (5, 6)])
def test_a_broken_fit_goes_on(tmp_path: Path, whole: tuple[Any, Any], every: Any, at: int) -> None:
    made, history = whole
    _broken(tmp_path / "run", at, every=every)
    resumed, own = model(), VaultCallback(tmp_path / "run", every=every)
    again = fit(resumed, own)
    assert own.outcome is not None and 0 < own.outcome.step <= at  # type: ignore[operator]
    assert values(resumed) == values(made)
    assert again.history == history.history and again.epoch == history.epoch
    assert resumed._initial_epoch is None
    # and once more: nothing is left, and nothing changes
    third = model()
    assert fit(third, VaultCallback(tmp_path / "run", every=every)).history == history.history
    assert values(third) == values(made)


def test_an_optimizer_whose_state_is_not_known_before_it_is_made(tmp_path: Path) -> None:
    def make() -> Any:
        made = model()
        made.compile(keras.optimizers.Adafactor(0.05), "mse")
        return made

    made = make()
    fit(made)
    with pytest.raises(Broken):
        fit(make(), VaultCallback(tmp_path / "run", every=3), BreakAt(8))
    resumed, own = make(), VaultCallback(tmp_path / "run", every=3)
    fit(resumed, own)
    assert own.outcome is not None
    assert values(resumed) == values(made)


def test_several_steps_per_execution_and_a_schedule(tmp_path: Path) -> None:
    def make() -> Any:
        made = model()
        rate = keras.optimizers.schedules.CosineDecay(0.05, 30)
        made.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", steps_per_execution=3, metrics=["mae"])
        return made

    def run(made: Any, *callbacks: Any) -> Any:
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10, drop_remainder=True)
        return made.fit(data, epochs=4, verbose=0, callbacks=[*callbacks])

    made = make()
    history = run(made)
    with pytest.raises(Broken):
        run(make(), VaultCallback(tmp_path / "run", every=3), BreakAt(5))
    resumed, own = make(), VaultCallback(tmp_path / "run", every=3)
    again = run(resumed, own)
    assert own.outcome is not None and own.outcome.step == 10
    assert values(resumed) == values(made) and again.history == history.history


def test_one_endless_data_set_over_all_epochs(tmp_path: Path) -> None:
    def run(made: Any, *callbacks: Any) -> Any:
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10).repeat()
        return made.fit(data, epochs=4, steps_per_epoch=5, verbose=0, callbacks=[*callbacks])

    made = model()
    history = run(made)
    for every, at in (("epoch", 12), (3, 8)):
        path = tmp_path / f"{every}"
        with pytest.raises(Broken):
            run(model(), VaultCallback(path, every=every), BreakAt(at))
        resumed = model()
        assert run(resumed, VaultCallback(path, skip="run")).history == history.history
        assert values(resumed) == values(made)


def test_a_data_set_that_positions_itself(tmp_path: Path) -> None:
    def run(made: Any, own: VaultCallback, *callbacks: Any) -> Any:
        start = own.steps_done

        def batches() -> Any:
            for n in range(start, 24):
                yield X[n % 7 * 10 :][:10], Y[n % 7 * 10 :][:10]

        signature = (tf.TensorSpec((None, 5)), tf.TensorSpec((None, 1)))
        data = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return made.fit(data, epochs=1, verbose=0, callbacks=[own, *callbacks])

    made = model()
    run(made, VaultCallback(tmp_path / "whole", skip=False))
    with pytest.raises(Broken):
        run(model(), VaultCallback(tmp_path / "run", every=5, skip=False), BreakAt(13))
    resumed, own = model(), VaultCallback(tmp_path / "run", every=5, skip=False)
    assert own.steps_done == 10
    run(resumed, own)
    assert own.steps_done == 24
    assert values(resumed) == values(made)


def test_best_is_recovered_and_kept(tmp_path: Path) -> None:
    keep = Keep(last=1, best=1, by="val_loss")
    with Vault(tmp_path / "run", keep) as vault:
        own = VaultCallback(vault)
        history = fit(model(), own)
        losses = history.history["val_loss"]
        assert own.best == min(losses)
        assert own.best_step == 7 * (losses.index(min(losses)) + 1)
        best = vault.best()
        assert best is not None and best.step == own.best_step
        latest = vault.latest
        assert latest is not None and latest.metrics is not None
        assert latest.metrics["val_loss"] == losses[-1] and "mae" in latest.metrics
        again = VaultCallback(vault)
        fit(model(), again)
        assert (again.best, again.best_step) == (own.best, own.best_step)


def test_only_best(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        history = fit(model(), VaultCallback(vault, only_best=True))
        losses = history.history["val_loss"]
        improved = [n for n in range(len(losses)) if losses[n] < min([*losses[:n], float("inf")])]
        assert [c.step for c in vault] == [7 * (n + 1) for n in improved]


def test_by_time_and_an_extra_of_the_users(tmp_path: Path) -> None:
    seen = {"rows": 0}
    with Vault(tmp_path / "run") as vault:
        own = VaultCallback(
            vault, every=timedelta(microseconds=1), extra=lambda: {"rows": 7, "table": np.arange(3)}
        )
        model_ = model()
        model_.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[own], validation_data=(X, Y))
        assert [c.step for c in vault] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
        rarely = VaultCallback(vault, every=timedelta(hours=1), resume="required")
        model().fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[rarely], validation_data=(X, Y))
        assert rarely.outcome is not None
        seen |= rarely.outcome.extra
        assert seen["rows"] == 7 and seen["table"].tolist() == [0, 1, 2]
        assert [c.step for c in vault][-1] == 21 and len(vault) == 15


class Counting(keras.callbacks.Callback):
    """A callback of the user's own with a state."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def test_a_callback_with_a_state_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        fit(model(), Counting(), VaultCallback(tmp_path / "run"), BreakAt(30))
    counting = Counting()
    fit(model(), counting, VaultCallback(tmp_path / "run"))
    assert counting.count == 6


def test_a_second_fit_of_the_same_process_goes_on_from_what_is_live(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        own, made = VaultCallback(vault, every=1000), model()
        made.fit(X, Y, batch_size=10, epochs=1, verbose=0, callbacks=[own], validation_data=(X, Y))
        before = values(made)
        made.compile(made.optimizer, "mse")
        made.fit(X, Y, batch_size=10, epochs=2, initial_epoch=1, verbose=0, callbacks=[own])
        assert values(made) != before and own.epoch == 2 and own.steps_done == 14
        assert [c.step for c in vault] == [7, 14]


def test_another_learning_rate_in_the_code_is_a_decision(tmp_path: Path) -> None:
    _broken(tmp_path / "run", 20)
    other = model()
    other.optimizer.learning_rate = 0.001
    with pytest.raises(RestoreRefused, match="learning_rate"):
        fit(other, VaultCallback(tmp_path / "run"))
    other = model()
    other.optimizer.learning_rate = 0.001
    own = VaultCallback(tmp_path / "run", allow=["hyper:learning_rate=live"])
    other.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[own])
    assert np.float32(other.optimizer.learning_rate) == np.float32(0.001)


def test_a_failed_save_is_raised(tmp_path: Path) -> None:
    from holdfast.testing import FaultySink

    sink = FaultySink(tmp_path / "run", at=12, action="fail", forever=True)
    vault = Vault(tmp_path / "run", sink=sink)
    with pytest.raises(SaveFailed):
        fit(model(), VaultCallback(vault))


def test_what_makes_no_sense(tmp_path: Path) -> None:
    for wrong in ("batch", 0, -3, True, timedelta(0)):
        with pytest.raises(UsageError, match="every"):
            VaultCallback(tmp_path, every=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="only_best"):
        VaultCallback(tmp_path, only_best=True, monitor=None)
    with pytest.raises(UsageError, match="mode"):
        VaultCallback(tmp_path, mode="up")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="less or more"):
        fit(model(), VaultCallback(tmp_path / "run", monitor="val_wobble"))
    with pytest.raises(NothingToRestore):
        fit(model(), VaultCallback(tmp_path / "run", resume="required"))


def test_importing_holdfast_imports_no_keras() -> None:
    code = "import holdfast, sys; holdfast.Vault; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    import holdfast

    assert holdfast.keras.VaultCallback is VaultCallback
