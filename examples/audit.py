"""A run, its checkpoint, and three audits that get other numbers from it. Numpy alone: ``python examples/audit.py``.

A logistic regression is trained, saved and measured. Then the same checkpoint is audited: as it was measured, with another
step's number, with an evaluation that draws its samples, and with two names swapped.
"""

from __future__ import annotations

import tempfile

import numpy as np

import holdfast

draw = np.random.default_rng(0)
X = draw.normal(2.0, 3.0, size=(600, 8))
Y = (X @ np.linspace(-1, 1, 8) + draw.normal(size=600) > 0).astype(np.float64)


def scaled(x: np.ndarray, mean: float = 2.0, deviation: float = 3.0) -> np.ndarray:
    """Preprocessing."""
    return (x - mean) / deviation


XV = scaled(X[400:])


def predict(model: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Probabilities."""
    return 1 / (1 + np.exp(-(x @ model["weight"] + model["bias"])))


def evaluate(
    model: dict[str, np.ndarray],
    x: np.ndarray = XV,
    y: np.ndarray = Y[400:],
) -> dict[str, float]:
    """Log loss and accuracy on the last 200 samples."""
    p = predict(model, x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    return {"val_loss": float(loss), "val_acc": float(((p > 0.5) == y).mean())}


def train(folder: str) -> dict[int, dict[str, float]]:
    """Gradient descent, saved every 100 steps with its metrics."""
    model = {"weight": np.zeros(8), "bias": np.zeros(1)}
    x, y, measured = scaled(X[:400]), Y[:400], {}
    with holdfast.Vault(folder) as vault:
        for step in range(1, 301):
            error = predict(model, x) - y
            model["weight"] -= 0.5 * x.T @ error / len(y)
            model["bias"] -= 0.5 * error.mean()
            if step % 100 == 0:
                measured[step] = evaluate(model)
                metrics = [holdfast.Metric(n, v, kind="evaluation") for n, v in measured[step].items()]
                vault.save(step, model=model, metrics=metrics, blocking=True)
    return measured


def random_samples(model: dict[str, np.ndarray]) -> dict[str, float]:
    """Another 100 samples each time."""
    some = np.random.default_rng().permutation(np.arange(400, 600))[:100]
    return evaluate(model, scaled(X[some]), Y[some])


def main() -> None:
    """Print what each audit says."""
    with tempfile.TemporaryDirectory() as folder:
        measured = train(f"{folder}/run")
        for title, given in (
            ("as it was measured", {}),
            ("with step 200's numbers", {"metrics": measured[200]}),
            ("on samples drawn anew", {"evaluate": random_samples}),
            (
                "with names swapped",
                {"metrics": dict(zip(measured[300], reversed(measured[300].values()), strict=True))},
            ),
        ):
            model = {"weight": np.zeros(8), "bias": np.zeros(1)}
            report = holdfast.audit(f"{folder}/run", **{"evaluate": evaluate, "model": model, **given})
            print(f"{title}: {report.summary}")


if __name__ == "__main__":
    main()
