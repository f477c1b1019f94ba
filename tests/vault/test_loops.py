"""The loops of docs/vault.md are run as they stand there: broken off, run again, and compared with a run that was not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

PAGE = Path(__file__).resolve().parents[2] / "docs" / "vault.md"
X = np.random.default_rng(0).normal(size=(32, 4)).astype("f4")
Y = (X @ np.arange(4, dtype="f4"))[:, None]
STEPS = 16


def block(title: str) -> Any:
    """The code below a heading of the page."""
    text = PAGE.read_text("utf-8")
    section = re.split(rf"^#+ {re.escape(title)}$", text, flags=re.M)[1]
    found = re.search(r"```python\n(.*?)```", section, flags=re.S)
    assert found is not None
    return compile(found[1], f"docs/vault.md: {title}", "exec")


class Broken(Exception):
    pass


def batches(until: int, convert: Callable[[Any], Any] = lambda a: a) -> Callable[[int], Iterator[Any]]:
    def from_(start: int) -> Iterator[Any]:
        for n in range(start, STEPS):
            if n == until:
                raise Broken
            rows = slice(n % 4 * 8, n % 4 * 8 + 8)
            yield convert(X[rows]), convert(Y[rows])

    return from_


def three_runs(
    title: str, make: Callable[[], dict[str, Any]], state: Callable[[dict[str, Any]], Any], tmp: Path,
    monkeypatch: pytest.MonkeyPatch, convert: Callable[[Any], Any] = lambda a: a,
) -> None:  # fmt: skip
    code = block(title)

    def run(folder: str, until: int) -> dict[str, Any]:
        (tmp / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp / folder)
        names = {"holdfast": holdfast, "batches": batches(until, convert), **make()}
        exec(code, names)
        return names

    whole = run("whole", STEPS)
    with pytest.raises(Broken):
        run("broken", 13)
    again = run("broken", STEPS)
    assert again["start"] == 10
    assert state(again) == state(whole)
    vault = again["vault"]
    assert [c.step for c in vault] == [10, 15]
    assert all("loss" in (c.metrics or {}) for c in vault)


def test_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    def make() -> dict[str, Any]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS)
        return {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    def state(names: dict[str, Any]) -> Any:
        tensors = [t.numpy().tobytes() for t in names["model"].state_dict().values()]
        return tensors, names["scheduler"].state_dict()

    three_runs("PyTorch", make, state, tmp_path, monkeypatch, torch.from_numpy)


def test_gradient_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend")

    def make() -> dict[str, Any]:
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
        return {"tf": tf, "model": keras.Sequential(layers), "optimizer": keras.optimizers.Adam(0.02)}

    def state(names: dict[str, Any]) -> Any:
        return [v.numpy().tobytes() for v in (*names["model"].variables, *names["optimizer"].variables)]

    three_runs("TensorFlow, a loop of your own", make, state, tmp_path, monkeypatch, tf.constant)


def test_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras = pytest.importorskip("keras")

    class BreakAt(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 13:
                raise Broken

    code = block("Keras")

    def run(folder: str, *more: Any) -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.02), "mse")
        plain = model.fit
        model.fit = lambda *a, callbacks, **k: plain(*a, callbacks=[*callbacks, *more], verbose=0, **k)
        names = {"holdfast": holdfast, "model": model, "x": X, "y": Y}
        exec(code, names)
        return names

    whole = run("whole")
    with pytest.raises(Broken):
        run("broken", BreakAt())
    again = run("broken")
    assert again["callback"].outcome.step == 12, (
        "the third epoch's end improved, so it was saved beside every=5"
    )
    for a, b in zip(again["model"].variables, whole["model"].variables, strict=True):
        assert keras.ops.convert_to_numpy(a).tobytes() == keras.ops.convert_to_numpy(b).tobytes()


def test_jax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    optimizer = optax.adam(0.02)

    @jax.jit
    def train(params: Any, opt_state: Any, x: Any, y: Any) -> Any:
        def loss_of(params: Any) -> Any:
            return ((x @ params["w"] + params["b"] - y) ** 2).mean()

        loss, gradients = jax.value_and_grad(loss_of)(params)
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state, loss

    def make() -> dict[str, Any]:
        params = {"w": jax.random.normal(jax.random.PRNGKey(0), (4, 1)), "b": jax.numpy.zeros(1)}
        return {"train": train, "params": params, "opt_state": optimizer.init(params)}

    def state(names: dict[str, Any]) -> Any:
        return [np.asarray(a).tobytes() for a in jax.tree.leaves((names["params"], names["opt_state"]))]

    three_runs("JAX", make, state, tmp_path, monkeypatch, jax.numpy.asarray)


def test_native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    model = torch.nn.Linear(2, 2)
    names = {
        "holdfast": holdfast,
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters()),
    }
    exec(block("The framework's own format"), names)
    assert torch.equal(names["state"]["model"]["weight"], model.weight)
