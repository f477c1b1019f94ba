"""Silent failures of TensorFlow and Keras that people reported, by their id in the corpus, and everyday situations:
transfer learning, ``tf.train.CheckpointManager``, exported models. See ``test_corpus.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
import keras
import tensorflow as tf
from keras import layers

from restore.resuming import found, quiet, refused

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = np.arange(16) % 3
FORMATS = ("model.keras", "model.weights.h5", "ckpt")


def dense(seed: int, outputs: int = 3, head: str = "head", width: int = 6) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(width, activation="relu", name="enc"),
            layers.BatchNormalization(name="bn"),
            layers.Dense(outputs, name=head),
        ]
    )


def adam(model: Any = None, lr: float = 0.01, **options: Any) -> Any:
    optimizer = keras.optimizers.Adam(lr, **options)
    if model is not None:
        optimizer.build(model.trainable_variables)
    return optimizer


def fitted(model: Any, **options: Any) -> Any:
    model.compile(adam(**options), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    model = fitted(dense(1))
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "ckpt"))
    model.export(folder / "exported", verbose=False)
    return folder, model


# -- situations -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FORMATS)
def test_transfer_to_another_head(run: tuple[Path, Any], name: str) -> None:
    folder, model = run
    refused(folder / name, "T203", model=dense(2, 5))
    refused(folder / name, "T201", "T202", model=dense(2, 5, "top"))
    for head, allow in (
        ("head", ("drop:head/*", "keep-live:head/*")),
        ("top", ("drop:head/*", "keep-live:top/*")),
    ):
        other = dense(3, 5, head)
        fresh = other.get_layer(head).get_weights()
        outcome = quiet(folder / name, allow=allow, model=other)
        assert not [f for f in outcome.findings if f.code == "T221"]
        for layer in ("enc", "bn"):
            assert same(model.get_layer(layer), other.get_layer(layer))
        assert all(
            np.array_equal(a, b) for a, b in zip(fresh, other.get_layer(head).get_weights(), strict=True)
        )


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_without_its_head(run: tuple[Path, Any], name: str) -> None:
    folder, model = run
    keras.utils.set_random_seed(4)
    body = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="enc"),
            layers.BatchNormalization(name="bn"),
        ]
    )
    refused(folder / name, "T202", model=body)
    assert same(body.get_layer("enc"), model.get_layer("enc"))


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.l1 = layers.Dense(5)

    def call(self, x: Any) -> Any:
        return self.l1(x)


def trained_net(seed: int, steps: int) -> tuple[Any, Any]:
    keras.utils.set_random_seed(seed)
    net, optimizer = Net(), keras.optimizers.Adam(0.1)
    net(X)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(net(X) ** 2)
        optimizer.apply_gradients(
            zip(tape.gradient(loss, net.trainable_variables), net.trainable_variables, strict=True)
        )
    return net, optimizer


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("tf_ckpts")
    net, optimizer = trained_net(1, 3)
    checkpoint = tf.train.Checkpoint(step=tf.Variable(4), optimizer=optimizer, net=net)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=3)
    manager.save()
    checkpoint.step.assign(5)
    manager.save()
    return folder, net


def test_the_folder_of_a_checkpoint_manager(managed: tuple[Path, Any]) -> None:
    folder, net = managed
    other, optimizer = trained_net(2, 0)
    quiet(folder, model=other, optimizer=optimizer)
    assert same(net, other) and int(optimizer.iterations) == 3


def test_a_checkpoint_object_that_holds_everything(managed: tuple[Path, Any]) -> None:
    folder, net = managed
    other, optimizer = trained_net(2, 1)
    step = tf.Variable(1)
    quiet(folder, model=tf.train.Checkpoint(step=step, optimizer=optimizer, net=other))
    assert same(net, other) and int(step) == 5 and int(optimizer.iterations) == 3


# -- by their ids -----------------------------------------------------------------------------------------------
def test_tf_026_a_model_without_variables(run: tuple[Path, Any]) -> None:
    folder, model = run

    def unbuilt() -> Any:
        return keras.Sequential(
            [
                layers.Dense(6, activation="relu", name="enc"),
                layers.BatchNormalization(name="bn"),
                layers.Dense(3, name="head"),
            ]
        )

    with pytest.raises(holdfast.RestoreRefused) as caught:
        holdfast.restore(folder / "model.weights.h5", model=unbuilt())
    assert {f.code for f in caught.value.findings if f.severity == "error"} == {"O310"}
    assert not len(caught.value.plan)  # no edit settles that
    built = unbuilt()
    holdfast.restore(folder / "model.weights.h5", model=built, build_with=X[:2])
    assert same(model, built)


def test_tf_029_weights_without_the_optimizer(tmp_path: Path) -> None:
    model = dense(1)  # never compiled
    model.save_weights(tmp_path / "w.weights.h5")
    other = dense(2)
    refused(tmp_path / "w.weights.h5", "O201", model=other, optimizer=adam(other))
    quiet(tmp_path / "w.weights.h5", model=dense(3))


def test_tf_030_the_old_learning_rate(run: tuple[Path, Any]) -> None:
    folder, _ = run
    other = dense(2)
    optimizer = adam(other, 0.5)
    refused(folder / "ckpt", "O207", settles=False, model=other, optimizer=optimizer)
    holdfast.restore(folder / "ckpt", allow=["hyper:learning_rate=live"], model=other, optimizer=optimizer)
    assert float(optimizer.learning_rate) == 0.5
    untouched = adam(other, 0.5)
    quiet(folder / "ckpt", model=dense(3))
    assert float(untouched.learning_rate) == 0.5


def test_tf_033_tf_138_tf_174_an_exported_model_has_no_optimizer(run: tuple[Path, Any]) -> None:
    folder, model = run
    other = dense(2)
    refused(folder / "exported", "O201", model=other, optimizer=adam(other))
    other = dense(3)
    quiet(folder / "exported", model=other)  # its second list of all variables is no left-over
    assert same(model, other)


test_tf_138_an_exported_model_has_no_optimizer = None  # the same scene: parametrised above
test_tf_174_an_exported_model_has_no_optimizer = None


def counted(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4), layers.Dense(2)])


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5"])
def test_tf_094_names_counted_in_another_process(tmp_path: Path, name: str) -> None:
    keras.backend.clear_session()
    counted(1)
    model = counted(2)
    assert model.layers[0].name != "dense"
    model.save_weights(tmp_path / name) if "weights" in name else model.save(tmp_path / name)
    keras.backend.clear_session()
    other = counted(3)
    quiet(tmp_path / name, model=other)
    assert same(model, other)


def test_tf_096_the_same_names_in_another_size(run: tuple[Path, Any]) -> None:
    folder, _ = run
    codes = found(folder / "model.weights.h5", model=dense(2, width=7))
    assert "T203" in codes and "T223" not in codes
    refused(folder / "model.weights.h5", "T203", model=dense(2, width=7))


def test_tf_130_no_state_file(managed: tuple[Path, Any], tmp_path: Path) -> None:
    folder, net = managed
    for file in folder.iterdir():
        if file.name != "checkpoint":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert tf.train.latest_checkpoint(str(tmp_path)) is None  # and a run begins anew, without a word
    other, optimizer = trained_net(2, 0)
    quiet(tmp_path, model=other, optimizer=optimizer)
    assert same(net, other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(holdfast.CheckpointNotFound):
        holdfast.restore(tmp_path / "empty", model=other)


def test_tf_140_an_optimizer_that_is_not_built(run: tuple[Path, Any]) -> None:
    folder, model = run
    for name in FORMATS:
        other, optimizer = dense(2), adam()
        quiet(folder / name, model=other, optimizer=optimizer)
        assert same(model, other) and int(optimizer.iterations) == int(model.optimizer.iterations)
        for mine, theirs in zip(model.optimizer.variables, optimizer.variables, strict=True):
            assert np.array_equal(mine, theirs)


def test_tf_149_only_what_is_trained(run: tuple[Path, Any], tmp_path: Path) -> None:
    _, model = run
    np.savez(tmp_path / "w.npz", **{v.path.partition("/")[2]: v.numpy() for v in model.trainable_variables})
    assert "moving_mean" in refused(tmp_path / "w.npz", "T201", model=dense(2))
    np.savez(tmp_path / "all.npz", **{v.path.partition("/")[2]: v.numpy() for v in model.variables[:8]})
    other = dense(3)
    holdfast.restore(tmp_path / "all.npz", model=other)
    assert same(model, other)


def test_tf_171_another_vocabulary(tmp_path: Path) -> None:
    def embedding(words: list[str]) -> Any:
        return keras.Sequential(
            [
                keras.Input((1,), dtype="string"),
                layers.StringLookup(vocabulary=words, name="look"),
                layers.Embedding(4, 3, name="emb"),
            ]
        )

    model = embedding(["a", "b", "c"])
    model.save(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "T225", model=embedding(["c", "b", "a"]))
    quiet(tmp_path / "m.keras", model=embedding(["a", "b", "c"]))
    model.save_weights(tmp_path / "m.weights.h5")  # holds no vocabulary: a seal does
    holdfast.seal(tmp_path / "m.weights.h5", model=model)
    refused(tmp_path / "m.weights.h5", "T225", model=embedding(["c", "b", "a"]))


def test_tf_189_a_state_file_that_names_nothing(managed: tuple[Path, Any], tmp_path: Path) -> None:
    folder, net = managed
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/ckpt-9"\n')
    other, optimizer = trained_net(2, 0)
    assert found(tmp_path, model=other, optimizer=optimizer) == {"F114"}
    holdfast.restore(tmp_path, model=other, optimizer=optimizer)
    assert same(net, other)


def test_tf_193_a_plateau_begins_anew(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=4)
    for _ in range(3):
        plateau.step(1.0)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "p.pt")
    fresh = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=4)
    refused(tmp_path / "p.pt", "R201", model=model, optimizer=optimizer, scheduler=fresh)
    torch.save({"model": model.state_dict(), "scheduler": plateau.state_dict()}, tmp_path / "q.pt")
    quiet(tmp_path / "q.pt", model=model, scheduler=fresh)
    assert fresh.num_bad_epochs == plateau.num_bad_epochs == 2 and fresh.best == plateau.best


def test_tf_198_weights_by_position(run: tuple[Path, Any], tmp_path: Path) -> None:
    _, model = run
    np.savez(tmp_path / "w.npz", *model.get_weights())
    other = dense(2)
    before = other.get_weights()
    with pytest.raises(holdfast.RestoreRefused):
        holdfast.restore(tmp_path / "w.npz", model=other)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))


def test_tf_210_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(holdfast.CheckpointNotFound):
        holdfast.restore(tmp_path / "w.weights.h5", model=dense(1))
    assert not list(tmp_path.iterdir())  # nor is an empty one made


def test_tf_218_the_step_is_not_in_the_file(tmp_path: Path) -> None:
    other, optimizer = trained_net(2, 1)
    tf.train.Checkpoint(optimizer=optimizer, net=other).write(str(tmp_path / "ckpt"))
    live = tf.train.Checkpoint(step=tf.Variable(1), optimizer=optimizer, net=other)
    assert "step" in refused(tmp_path / "ckpt", "T201", model=live)


def test_tf_220_a_rate_that_training_moved(run: tuple[Path, Any], tmp_path: Path) -> None:
    model = fitted(dense(1))
    model.optimizer.learning_rate.assign(0.001)  # by the program, as a callback would
    model.save_weights(tmp_path / "w.weights.h5")
    other = dense(2)
    optimizer = adam(other)
    refused(tmp_path / "w.weights.h5", "O207", settles=False, model=other, optimizer=optimizer)
    holdfast.restore(
        tmp_path / "w.weights.h5", allow=["hyper:learning_rate=checkpoint"], model=other, optimizer=optimizer
    )
    assert float(optimizer.learning_rate) == pytest.approx(0.001)


def test_tf_222_weights_alone_are_not_a_resume(run: tuple[Path, Any]) -> None:
    folder, model = run
    other = dense(2)
    outcome = quiet(folder / "ckpt", model=other)
    assert [name for name, _ in outcome.others] == ["optimizer"]  # told, not taken
    optimizer = adam(other)
    quiet(folder / "ckpt", model=other, optimizer=optimizer)
    assert int(optimizer.iterations) == int(model.optimizer.iterations)


def test_an_average_that_the_live_optimizer_does_not_keep(tmp_path: Path) -> None:
    model = fitted(dense(1), use_ema=True)
    model.save(tmp_path / "m.keras")
    other = dense(2)
    refused(tmp_path / "m.keras", "T202", "O207", model=other, optimizer=adam(other))
    other = dense(3)
    quiet(tmp_path / "m.keras", model=other, optimizer=adam(other, use_ema=True))
    assert same(model, other)


# -- one model out of several -------------------------------------------------------------------------------------
def _gan(seed: int) -> tuple[Any, Any]:
    keras.utils.set_random_seed(seed)
    made = []
    for inputs, widths in ((3, (8, 4)), (4, (6, 1))):
        model = keras.Sequential([layers.Dense(width) for width in widths])
        model.build((None, inputs))
        made.append(model)
    return made[0], made[1]


def test_one_of_several_models_is_found_by_the_roots_attribute(tmp_path: Path) -> None:
    both = _gan(1)
    optimizers = [adam(model) for model in both]
    words = {"generator_optimizer": optimizers[0], "discriminator_optimizer": optimizers[1]}
    path = tf.train.Checkpoint(generator=both[0], discriminator=both[1], **words).save(str(tmp_path / "ck"))
    for at, beside in ((0, "discriminator"), (1, "generator")):
        live = _gan(2)[at]
        report = holdfast.check(path, model=live).checkpoints[0]
        others = {row["name"]: row["tensors"] for row in report.attributes["others"]}
        assert report.attributes["fits"] and others[beside] == 4
        holdfast.restore(path, model=live, optimizer=adam(live))
        assert same(live, both[at])


class _Block(tf.Module):
    def __init__(self, second: bool) -> None:
        super().__init__()
        self.first = tf.Variable(tf.ones((3, 2)))
        if second:
            self.second = tf.Variable(tf.ones((2, 2)))


@pytest.mark.parametrize("word", [None, "net"], ids=["the root itself", "an attribute"])
def test_what_the_model_itself_lacks_stands_against_a_restore(tmp_path: Path, word: str | None) -> None:
    saved = _Block(second=True)
    made = tf.train.Checkpoint(saved) if word is None else tf.train.Checkpoint(**{word: saved})
    path = made.save(str(tmp_path / "ck"))
    report = holdfast.check(path, model=_Block(second=False)).checkpoints[0]
    assert [f.code for f in report.findings if f.severity == "error"] == ["T202"]
