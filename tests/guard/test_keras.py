"""Keras's saves, loads and callbacks under a guard: what it says, and when it is silent."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "matrix"))

import keras_nets as nets  # noqa: E402

from holdfast._guard.guard import Found, Guard, Options  # noqa: E402
from holdfast._guard.seen import Seen  # noqa: E402


@pytest.fixture
def seen() -> Iterator[list[Seen]]:
    """What a guard tells while the test runs."""
    told: list[Seen] = []
    with Guard(tell=told.append):
        yield told


def grave(told: list[Seen]) -> list[str]:
    return [f.code for s in told for f in s.findings if f.severity in ("error", "warning")]


def message(told: list[Seen], code: str) -> str:
    return next(f.message for s in told for f in s.findings if f.code == code)


def compiled(*units: int, optimizer: Any = None, build: bool = False) -> Any:
    model = nets.plain(*(units or (8, 3)))
    model.compile(optimizer or nets.adam(), "mse")
    if build:
        model.optimizer.build(model.trainable_variables)
    return model


def fitted(*units: int, **more: Any) -> Any:
    model = compiled(*units, **more)
    model.fit(nets.X, nets.Y, verbose=0)
    return model


# -- right ------------------------------------------------------------------------------------------------------
def test_fit_with_callbacks_is_silent(tmp_path: Path, seen: list[Seen]) -> None:
    callbacks = keras.callbacks
    model = compiled()
    model.fit(
        nets.X, nets.Y, verbose=0, epochs=3, validation_data=(nets.X, nets.Y),
        callbacks=[
            callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
            callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
            callbacks.EarlyStopping(patience=1, restore_best_weights=True),
        ],
    )  # fmt: skip
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    assert grave(seen) == []
    assert [s.kind for s in seen] == ["save"] * len(seen)
    assert {Path(s.path or "").name for s in seen} >= {"best.keras", "1.weights.h5", "3.weights.h5"}
    assert all(Path(__file__).name in s.site for s in seen)


def test_weights_into_a_built_optimizer(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    fitted().save_weights(path)
    other = compiled(build=True)
    other.load_weights(path)
    other.fit(nets.X, nets.Y, verbose=0)
    assert grave(seen) == []
    assert seen[-1].sentence == "restored all 13 tensors, 100 % of bytes; the next step will run"


def test_load_model_by_every_name(tmp_path: Path, seen: list[Seen]) -> None:
    from keras.models import load_model

    path = str(tmp_path / "a.keras")
    fitted().save(path)
    for function in (load_model, keras.saving.load_model, keras.models.load_model):
        function(path).fit(nets.X, nets.Y, verbose=0)
    assert grave(seen) == []
    assert [s.api for s in seen] == ["Model.save", *["keras.models.load_model"] * 3]
    assert all(s.sentence.startswith("restored all 13 tensors") for s in seen[1:])


def test_a_name_taken_before_the_guard_is_watched_too(tmp_path: Path) -> None:
    from keras.saving import load_model  # not under a guard yet

    path = str(tmp_path / "a.keras")
    compiled().save(path)
    told: list[Seen] = []
    with Guard(tell=told.append):
        load_model(path)
    assert [s.api for s in told] == ["keras.models.load_model"]


def test_backup_and_restore_is_silent(tmp_path: Path, seen: list[Seen]) -> None:
    class Stopped(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise RuntimeError("stopped")

    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(RuntimeError, match="stopped"):
        compiled().fit(nets.X, nets.Y, verbose=0, epochs=3, callbacks=[backup, Stopped()])
    again = compiled()
    again.fit(
        nets.X, nets.Y, verbose=0, epochs=3, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")]
    )
    assert grave(seen) == []
    assert sum(s.kind == "restore" for s in seen) == 1


def test_weights_for_evaluation_only(tmp_path: Path, seen: list[Seen]) -> None:
    """Keras passes over the state of an optimizer that is not built; who evaluates does not miss it."""
    path = tmp_path / "a.weights.h5"
    fitted().save_weights(path)
    other = compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.load_weights(path)
    other.evaluate(nets.X, nets.Y, verbose=0)
    assert grave(seen) == []
    assert (
        seen[-1].sentence == "restored all 4 tensors, 100 % of bytes; the optimizer's state was passed over"
    )


def test_weights_without_a_state_into_training(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    nets.plain(8, 3).save_weights(path)
    for build in (False, True):
        other = compiled(build=build)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other.load_weights(path)
        other.fit(nets.X, nets.Y, verbose=0)
    assert grave(seen) == []


# -- wrong ------------------------------------------------------------------------------------------------------
def test_a_state_that_was_passed_over_is_told_when_training_goes_on(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    fitted().save_weights(path)
    other = compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.load_weights(path)
    other.fit(nets.X, nets.Y, verbose=0, epochs=2)
    assert grave(seen) == ["T232"]
    assert "passed over the optimizer's state" in message(seen, "T232")


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_swapped_names_cross(tmp_path: Path, seen: list[Seen], ending: str) -> None:
    path = tmp_path / f"a{ending}"
    first = nets.net()
    (first.save_weights if ending == ".weights.h5" else first.save)(path)
    other = nets.net(encoder="decoder", decoder="encoder")
    other.load_weights(path)
    assert np.array_equal(other.get_layer("decoder").kernel, first.get_layer("encoder").kernel)
    assert grave(seen) == ["T231"]
    assert message(seen, "T231").startswith("decoder/kernel holds the values of encoder/kernel")
    assert "and not by their names" in message(seen, "T231")


def test_layers_in_a_list_cross_in_a_whole_model(tmp_path: Path, seen: list[Seen]) -> None:
    """``load_model`` makes the model by today's code, and fills it by places in its list."""

    def made(*names: str) -> Any:
        @keras.saving.register_keras_serializable("guard", name="Pair")
        class Pair(nets.Listed):
            def __init__(self, trainable: bool = True, dtype: Any = None) -> None:
                super().__init__(*names)

        return nets.called(Pair())

    first = made("encoder", "decoder")
    first.save(tmp_path / "a.keras")
    made("decoder", "encoder")  # the class is another one now
    other = keras.models.load_model(tmp_path / "a.keras")
    assert [layer.name for layer in other.stack] == ["decoder", "encoder"]
    assert np.array_equal(other.stack[0].kernel, first.stack[0].kernel)
    assert grave(seen) == ["T231"]
    assert "decoder/kernel holds the values of " in message(seen, "T231")


def test_a_zeroed_page_of_weights_is_told(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(256)])
    model.save_weights(path)
    data = bytearray(path.read_bytes())
    at = data.find(np.asarray(model.layers[0].kernel).tobytes()[:64]) // 4096 * 4096 + 65536
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)
    model.load_weights(path)
    assert "N103" in grave(seen)


def test_a_float16_model_takes_infinities(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    first = nets.net()
    kernel = np.array(first.get_layer("head").kernel)
    kernel[0, 0] = 70000.0
    first.get_layer("head").kernel.assign(kernel)
    first.save_weights(path)
    nets.net(dtype="float16").load_weights(path)
    assert grave(seen) == ["T204"]
    assert "became infinite" in message(seen, "T204")


def test_learning_rate_is_put_back(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    fitted(optimizer=nets.adam(0.001)).save_weights(path)
    compiled(optimizer=nets.adam(0.1), build=True).load_weights(path)
    assert grave(seen) == ["O207"]
    assert "was 0.1 in the code and is 0.001 since this load" in message(seen, "O207")


def test_a_missing_metric_is_told(tmp_path: Path, seen: list[Seen]) -> None:
    callback = keras.callbacks.ModelCheckpoint(
        tmp_path / "a.keras", monitor="val_acc", mode="max", save_best_only=True
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled().fit(nets.X, nets.Y, verbose=0, epochs=2, callbacks=[callback])
    assert not any("holdfast" in w.filename for w in caught)
    assert grave(seen) == ["S142"]
    assert "there is no such metric (there is loss)" in message(seen, "S142")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"monitor": "loss", "save_best_only": True, "initial_value_threshold": 0.0},
            "was never better than 0",
        ),
        ({"save_freq": 1000}, "saves every 1000 batches, and there were 2"),
    ],
)
def test_a_training_that_saved_nothing(
    tmp_path: Path, seen: list[Seen], options: dict[str, Any], words: str
) -> None:
    callback = keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", **options)
    compiled().fit(nets.X, nets.Y, verbose=0, epochs=2, callbacks=[callback])
    assert grave(seen) == ["S142"]
    assert words in message(seen, "S142")


def test_a_name_that_keras_refuses(tmp_path: Path, seen: list[Seen]) -> None:
    with pytest.raises(ValueError, match="must end in") as raised:
        compiled().save_weights(tmp_path / "checkpoint_epoch_1")
    assert seen[0].sentence.startswith("format-mismatch")
    assert ".weights.h5" in "".join(raised.value.__notes__)


def test_strict_raises_at_the_call(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    nets.net().save_weights(path)
    with Guard(Options(strict=True)), pytest.raises(Found) as raised:
        nets.net(encoder="decoder", decoder="encoder").load_weights(path)
    assert [f.code for f in raised.value.findings] == ["T231"]


def test_training_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """Loads, saves and steps of a whole run, with and without a guard."""

    def run(folder: Path) -> list[bytes]:
        folder.mkdir()
        keras.utils.set_random_seed(3)
        model = compiled(8, 8, 3)
        saving = keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras")
        model.fit(nets.X, nets.Y, verbose=0, epochs=2, callbacks=[saving])
        other = keras.models.load_model(folder / "1.keras")
        other.fit(nets.X, nets.Y, verbose=0)
        return [np.asarray(v).tobytes() for v in (*other.weights, *other.optimizer.variables)]

    plain = run(tmp_path / "plain")
    told: list[Seen] = []
    with Guard(tell=told.append):
        watched = run(tmp_path / "watched")
    assert plain == watched
    assert grave(told) == []
    assert not hasattr(keras.Model.load_weights, "__wrapped__") or "holdfast" not in str(
        keras.Model.load_weights.__code__.co_filename
    )


def test_who_asks_for_what_fits_is_told_nothing_of_the_optimizer(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    fitted().save_weights(path)
    other = compiled(8, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.load_weights(path, skip_mismatch=True)
    told = len(seen)
    other.fit(nets.X, np.zeros((len(nets.X), 5), "float32"), verbose=0)
    assert grave(seen) == []
    assert len(seen) == told


def test_weights_that_a_frozen_model_takes_in_another_order(tmp_path: Path, seen: list[Seen]) -> None:
    """Legacy HDF5 keeps the trainable weights of a nested model first, and takes them so."""

    def made(*, frozen: bool) -> Any:
        layers = keras.layers
        inner = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(4, name="a"),
                layers.BatchNormalization(name="n"),
                layers.Dense(4, name="b"),
            ],
            name="inner",
        )
        inner.trainable = not frozen
        return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="head")])

    first = made(frozen=False)
    for weight in first.weights:
        weight.assign(np.random.default_rng(len(weight.path)).normal(size=weight.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first.save(tmp_path / "a.h5")
        seen.clear()
        made(frozen=True).load_weights(tmp_path / "a.h5", by_name=True, skip_mismatch=True)
    assert "T231" in grave(seen)
    finding = next(f for s in seen for f in s.findings if f.code == "T231")
    assert "what is trainable first" in finding.message
    assert (finding.remedy or "").startswith("Load before anything is frozen")
    other = made(frozen=False)
    seen.clear()
    other.load_weights(tmp_path / "a.h5")
    assert grave(seen) == []


def test_weights_of_a_part_that_the_whole_takes_nothing_of(tmp_path: Path, seen: list[Seen]) -> None:
    """A file of a nested model, loaded into the model around it: with ``skip_mismatch`` Keras passes over every layer."""

    def around(classes: int) -> Any:
        layers = keras.layers
        inner = keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(3, name="b")], name="part"
        )
        return keras.Sequential([keras.Input((4,)), inner, layers.Dense(classes, name="head")])

    path = tmp_path / "part.weights.h5"
    around(2).get_layer("part").save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        around(2).load_weights(path, skip_mismatch=True)
    assert "T231" not in grave(seen) and "set nothing of the model" in message(seen, "T233")
    told = len(seen)
    around(2).get_layer("part").load_weights(path)
    assert not [f for s in seen[told:] for f in s.findings if f.severity == "error"]


def test_a_head_of_another_shape_kept_its_initial_value(tmp_path: Path, seen: list[Seen]) -> None:
    path = tmp_path / "a.weights.h5"
    fitted().save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nets.plain(8, 5).load_weights(path, skip_mismatch=True)
    assert "kept their initial value" in seen[-1].sentence and "other values" not in seen[-1].sentence


def normalising(around: float) -> Any:
    layer = keras.layers.Normalization(name="norm")
    layer.adapt(np.random.default_rng(0).normal(around, 1.0 + around, (50, 8)).astype("float32"))
    return keras.Sequential([keras.Input((8,)), layer, keras.layers.Dense(3)])


def test_what_was_compiled_before_a_load_keeps_a_layers_constants(tmp_path: Path, seen: list[Seen]) -> None:
    saved, path = normalising(0.0), tmp_path / "a.weights.h5"
    saved.save_weights(path)
    fresh = normalising(5.0)
    fresh.compile(nets.adam(), "mse")
    fresh.fit(nets.X, nets.Y, verbose=0, epochs=2, callbacks=[AtTheBeginning(path)])  # compiled afterwards
    used = normalising(5.0)
    used.predict(nets.X, verbose=0)
    used.predict_function = None
    used.load_weights(path)
    assert grave(seen) == []
    used = normalising(5.0)
    used.predict(nets.X, verbose=0)
    used.load_weights(path)
    assert not np.array_equal(used.predict(nets.X, verbose=0), saved.predict(nets.X, verbose=0))
    assert grave(seen) == ["O314"]
    used.load_weights(path)  # once more: nothing has changed
    assert grave(seen) == ["O314"]


class AtTheBeginning(keras.callbacks.Callback):
    """Loads as ``BackupAndRestore`` does."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_train_begin(self, logs: Any = None) -> None:
        self.model.load_weights(self.path)
