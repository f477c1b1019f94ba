"""Silent failures of Keras that people reported, by their id in the corpus: a number that the reloaded model does not give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

import holdfast  # noqa: E402

X = np.random.default_rng(0).normal(size=(240, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
WHO = {"kind": "evaluation", "data": holdfast.data_identity(X), "samples": len(X)}


def classifier(seed: int = 0, metric: Any = "accuracy", **more: Any) -> Any:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, activation="relu", name="inner"),
            keras.layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=[metric], **more)
    return model


def measured(model: Any) -> dict[str, Any]:
    return dict(model.evaluate(X, Y, batch_size=60, verbose=0, return_dict=True))


def with_outputs(model: Any) -> dict[str, Any]:
    outputs = model.predict(X, batch_size=60, verbose=0)
    return {**measured(model), "outputs": outputs, "labels": Y}


def recorded(numbers: dict[str, Any]) -> list[holdfast.Metric]:
    return [holdfast.Metric(name, float(value), **WHO) for name, value in numbers.items()]


def test_tf_041_accuracy_that_means_another_function_after_the_load(tmp_path: Path) -> None:
    """What older versions made of ``accuracy`` when they loaded a model; today's keep it."""
    model = classifier()
    model.fit(X, Y, epochs=15, verbose=0)
    was = measured(model)
    model.save(tmp_path / "a.h5")
    assert measured(keras.models.load_model(tmp_path / "a.h5"))["accuracy"] == pytest.approx(was["accuracy"])
    loaded = keras.models.load_model(tmp_path / "a.h5", compile=False)
    loaded.compile(
        "adam", "sparse_categorical_crossentropy", metrics=[keras.metrics.CategoricalAccuracy("accuracy")]
    )
    now = measured(loaded)
    assert (
        now["loss"] == pytest.approx(was["loss"]) and now["accuracy"] < was["accuracy"] - 0.1
    )  # nothing is said
    report = holdfast.audit(
        tmp_path / "a.h5", evaluate=with_outputs, model=loaded, metrics=recorded(was), loaded=True
    )
    assert report.verdict == "differs"
    assert report.causes[0].slug == "metric-resolved-differently", report
    whole = keras.models.load_model(tmp_path / "a.h5")
    report = holdfast.audit(
        tmp_path / "a.h5", evaluate=with_outputs, model=whole, metrics=recorded(was), loaded=True
    )
    assert report.verdict == "reproduced", report


class Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves each epoch, with the number that was measured of it; the last epoch makes the model worse."""

    def __init__(self, vault: holdfast.Vault, epochs: int) -> None:
        super().__init__()
        self.vault, self.epochs, self.at = vault, epochs, {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch + 1 == self.epochs:
            self.model.set_weights([w * 0.3 for w in self.model.get_weights()])
        self.at[epoch + 1] = measured(self.model)
        self.vault.save(epoch + 1, model=self.model, metrics=recorded(self.at[epoch + 1]), blocking=True)


def test_tf_158_the_last_weights_bear_the_best_number(tmp_path: Path) -> None:
    """What older versions left when training ended at its last epoch; today's callback puts the best weights back."""
    with holdfast.Vault(tmp_path / "run") as vault:
        model, steps = classifier(), Steps(vault, 6)
        early = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
        model.fit(X, Y, validation_data=(X, Y), epochs=6, verbose=0, callbacks=[steps])
    best = min(steps.at, key=lambda step: steps.at[step]["loss"])
    assert best != 6
    last = tmp_path / "run" / "step-00000006"
    report = holdfast.audit(last, evaluate=measured, model=classifier(1), metrics=recorded(steps.at[best]))
    assert report.verdict == "differs"
    assert report.causes[0].slug in ("metric-best-for-last", "metric-other-step"), report
    assert f"{best}" in report.causes[0].message
    report = holdfast.audit(last, evaluate=measured, model=classifier(1))
    assert report.verdict == "reproduced", report
    again = classifier()
    again.fit(X, Y, validation_data=(X, Y), epochs=6, verbose=0, callbacks=[early])
    assert measured(again)["loss"] == pytest.approx(early.best, rel=1e-4)


def test_tf_158_the_best_step_is_kept_beside_the_last(tmp_path: Path) -> None:
    keep = holdfast.Keep(last=1, best=1, by="loss", mode="min")
    with holdfast.Vault(tmp_path / "run", keep=keep) as vault:
        model, steps = classifier(), Steps(vault, 6)
        model.fit(X, Y, epochs=6, verbose=0, callbacks=[steps])
        best = min(steps.at, key=lambda step: steps.at[step]["loss"])
        assert [one.step for one in vault.checkpoints()] == [best, 6]
        other = classifier(1)
        vault.restore(step=best, model=other)
    assert measured(other)["loss"] == pytest.approx(steps.at[best]["loss"])
