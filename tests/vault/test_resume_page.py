"""The loops of docs/resume.md are run as they stand there: broken off, run again, and compared with a run that was not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "resume.md"
STEPS = 20


def blocks(title: str) -> list[Any]:
    """The pieces of code below a heading of the page."""
    section = re.split(rf"^#+ {re.escape(title)}$", PAGE.read_text("utf-8"), flags=re.M)[1]
    section = (
        re.split(r"^#+ ", section, flags=re.M)[0] if title != "Going on exactly where it stood" else section
    )
    return [
        compile(code, f"docs/resume.md: {title}", "exec")
        for code in re.findall(r"```python\n(.*?)```", section, flags=re.S)
    ]


class Broken(Exception):
    pass


def compared(code: Any, make: Callable[[], dict[str, Any]], tmp: Path, at: int = 10) -> dict[str, Any]:
    """Batches seen after the restore, and the state at the end, are those of a run that was not broken off."""

    def run(folder: str, until: int) -> tuple[dict[str, Any], list[Any]]:
        seen: list[Any] = []
        with Vault(tmp / folder) as vault:
            names = {"holdfast": holdfast, "vault": vault, "STEPS": STEPS, **make()}
            inner = names["train"]

            def train(*given: Any) -> Any:
                if len(seen) == until:
                    raise Broken
                made = inner(*given)
                seen.append(made[-1])
                return made[0] if len(made) == 2 else made[:2]

            names["train"] = train
            with broken(until < STEPS):
                exec(code, names)
        return names, seen

    whole, expected = run("whole", STEPS * 9)
    run("broken", at)
    again, seen = run("broken", STEPS * 9)
    assert 0 < len(seen) < len(expected)
    assert seen == expected[-len(seen) :]
    assert again["end"](again) == whole["end"](whole)
    return again


@contextmanager
def broken(expected: bool) -> Iterator[None]:
    if not expected:
        yield
        return
    with pytest.raises(Broken):
        yield


def of_torch() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())

    def train(batch: Any) -> Any:
        optimizer.zero_grad()
        model(batch.float()[:, None] / 60).sum().backward()
        optimizer.step()
        return None, batch.tolist()

    def end(names: dict[str, Any]) -> Any:
        return [t.detach().numpy().tobytes() for t in model.state_dict().values()]

    dataset = list(range(60))
    return {
        "torch": torch,
        "model": model,
        "optimizer": optimizer,
        "train": train,
        "dataset": dataset,
        "end": end,
    }


def test_torch_stateful_loader(tmp_path: Path) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    compared(
        blocks("PyTorch")[0],
        lambda: {**of_torch(), "StatefulDataLoader": stateful.StatefulDataLoader},
        tmp_path,
    )


def test_torch_plain_loader(tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")

    def make() -> dict[str, Any]:
        own = of_torch()
        own["model"][
            1
        ].p = 0.0  # a new epoch's iterator draws from the global generator, and here one more is begun
        return {**own, "DataLoader": data.DataLoader, "Subset": data.Subset}

    compared(blocks("PyTorch")[1], make, tmp_path)


def test_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend")

    def make() -> dict[str, Any]:
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Input((1,)),
            keras.layers.Dense(4),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential(layers)
        model.compile(keras.optimizers.Adam(0.01), "mse")

        def train(batch: Any) -> Any:
            x = np.asarray(batch, "f4")[:, None] / 60
            model.train_on_batch(x, x)
            return None, np.asarray(batch).tolist()

        def end(names: dict[str, Any]) -> Any:
            return [np.asarray(v).tobytes() for v in (*model.variables, *model.optimizer.variables)]

        return {"tf": tf, "model": model, "optimizer": model.optimizer, "train": train, "end": end}

    compared(blocks("TensorFlow")[0], make, tmp_path)


def of_jax() -> dict[str, Any]:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    update = optax.adam(0.1)
    params = {"w": jax.numpy.ones(4)}

    def train(params: Any, state: Any, batch: Any, key: Any = None) -> Any:
        noise = 0.0 if key is None else jax.random.normal(key, (4,))
        changes, state = update.update({"w": jax.numpy.asarray(batch) / 60 + noise}, state, params)
        return optax.apply_updates(params, changes), state, np.asarray(batch).tolist()

    def end(names: dict[str, Any]) -> Any:
        return np.asarray(names["params"]["w"]).tobytes()

    return {"jax": jax, "np": np, "params": params, "state": update.init(params), "train": train, "end": end}


def test_grain(tmp_path: Path) -> None:
    grain = pytest.importorskip("grain.python")
    compared(blocks("Grain")[0], lambda: {**of_jax(), "grain": grain}, tmp_path)


def test_generators_keys_and_counters(tmp_path: Path) -> None:
    again = compared(blocks("Generators, keys, counters")[0], of_jax, tmp_path)
    assert again["here"]["seen"] == STEPS * 4


def test_a_scaler_is_fitted_once(tmp_path: Path) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    (code,) = blocks("Preprocessing")
    for n in range(2):
        with Vault(tmp_path / "run") as vault:
            names = {
                "vault": vault, "model": {"w": np.zeros(3)}, "StandardScaler": preprocessing.StandardScaler,
                "x": np.arange(10.0)[:, None] + 100 * n,
            }  # fmt: skip
            exec(code, names)
            assert names["scaler"].mean_.tolist() == [4.5]
            vault.save(n, model=names["model"])


def test_the_first_example(tmp_path: Path) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    accuracy = pytest.importorskip("torchmetrics").MeanMetric()
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    own = of_torch()
    accuracy.update(0.5)
    with Vault(tmp_path / "run") as vault:
        names = {
            **own, "vault": vault, "step": 1, "accuracy": accuracy,
            "scheduler": own["torch"].optim.lr_scheduler.StepLR(own["optimizer"], 3),
            "loader": stateful.StatefulDataLoader(own["dataset"], batch_size=4),
            "scaler": preprocessing.StandardScaler().fit(np.arange(4.0)[:, None]),
        }  # fmt: skip
        exec(blocks("Going on exactly where it stood")[0], names)
    assert [f.code for f in names["outcome"].findings if f.code.startswith(("R", "D"))] == []
