"""Programs as people write them in Keras: several models with an optimizer each, models that were loaded or built again in one
process, loss scales that have moved, optimizers whose state nobody knows before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

import holdfast  # noqa: E402
from holdfast import RestoreRefused, Vault  # noqa: E402

layers = keras.layers
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


def values(*things: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for thing in things for v in thing.variables]


# -- two networks, two optimizers --------------------------------------------------------------------------------
def gan(units: int = 6) -> dict[str, Any]:
    generator = keras.Sequential(
        [keras.Input((4,)), layers.Dense(units), layers.BatchNormalization(), layers.Dense(4)], name="gen"
    )
    critic = keras.Sequential([keras.Input((4,)), layers.Dense(units), layers.Dense(1)], name="critic")
    return {
        "model": {"gen": generator, "critic": critic},
        "optimizer": {"g": keras.optimizers.Adam(0.01), "c": keras.optimizers.RMSprop(0.02)},
    }  # fmt: skip


def play(parts: dict[str, Any], rounds: int = 2) -> None:
    generator, critic = parts["model"]["gen"], parts["model"]["critic"]
    for _ in range(rounds):
        with tf.GradientTape() as one, tf.GradientTape() as other:
            made = critic(generator(X, training=True))
            lost, won = tf.reduce_mean(made**2), tf.reduce_mean((critic(X) - made) ** 2)
        for tape, loss, model, word in ((one, lost, generator, "g"), (other, won, critic, "c")):
            weights = model.trainable_variables
            parts["optimizer"][word].apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))


def whole(parts: dict[str, Any]) -> list[bytes]:
    return values(*parts["model"].values(), *parts["optimizer"].values())


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("way", ["vault", "tensorflow"])
def test_two_optimizers_that_have_not_stepped_get_their_state(tmp_path: Path, way: str, built: bool) -> None:
    parts = gan()
    play(parts)
    if way == "vault":
        with Vault(tmp_path / "run") as vault:
            vault.save(2, **parts)
        path = str(tmp_path / "run")
    else:
        models, optimizers = parts["model"], parts["optimizer"]
        path = tf.train.Checkpoint(**models, g_opt=optimizers["g"], c_opt=optimizers["c"]).write(
            str(tmp_path / "ck")
        )
    other = gan()
    if built:
        other["optimizer"]["g"].build(other["model"]["gen"].trainable_variables)
        other["optimizer"]["c"].build(other["model"]["critic"].trainable_variables)
    outcome = holdfast.restore(path, **other)
    assert outcome.step is None or outcome.step == 2
    assert whole(other) == whole(parts)
    play(parts)
    play(other)
    assert whole(other) == whole(parts)


def test_one_model_that_two_optimizers_share(tmp_path: Path) -> None:
    def made() -> tuple[Any, dict[str, Any]]:
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(5, name="base"), layers.Dense(2, name="head")]
        )
        return model, {
            "slow": keras.optimizers.SGD(0.01, momentum=0.9),
            "fast": keras.optimizers.SGD(0.1, momentum=0.9),
        }

    def step(model: Any, optimizers: dict[str, Any]) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(X) ** 2)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, weights)
        optimizers["slow"].apply_gradients(zip(gradients[:2], weights[:2], strict=True))
        optimizers["fast"].apply_gradients(zip(gradients[2:], weights[2:], strict=True))

    model, optimizers = made()
    step(model, optimizers)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=optimizers)
        other, fresh = made()
        vault.restore(model=other, optimizer=fresh)
    assert values(other, *fresh.values()) == values(model, *optimizers.values())
    step(model, optimizers)
    step(other, fresh)
    assert values(other, *fresh.values()) == values(model, *optimizers.values())


def test_a_network_of_another_width_is_refused_and_no_optimizer_built(tmp_path: Path) -> None:
    parts = gan()
    play(parts)
    with Vault(tmp_path / "run") as vault:
        vault.save(2, **parts)
        other = gan(units=7)
        before = whole(other)
        with pytest.raises(RestoreRefused) as refused:
            vault.restore(**other)
    assert "T203" in {f.code for f in refused.value.findings}
    assert whole(other) == before
    assert not any(optimizer.built for optimizer in other["optimizer"].values())


# -- the same model again in one process -------------------------------------------------------------------------
@keras.saving.register_keras_serializable(package="programs")
class Block(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.attention, self.norm = layers.MultiHeadAttention(2, 2), layers.LayerNormalization()
        self.inner = keras.Sequential([layers.Dense(6, activation="relu"), layers.Dense(4)])

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")
        self.attention.build(shape, shape)
        self.norm.build(shape)
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return self.inner(self.norm(x + self.attention(x, x))) * self.scale


@keras.saving.register_keras_serializable(package="programs")
class Encoder(keras.Model):  # type: ignore[misc]
    def __init__(self, depth: int = 2, **more: Any) -> None:
        super().__init__(**more)
        self.depth = depth
        self.tokens, self.places = layers.Embedding(9, 4), layers.Embedding(9, 4)
        self.blocks = [Block() for _ in range(depth)]
        self.drop, self.head = layers.Dropout(0.1), layers.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        h = self.tokens(x) + self.places(x)
        for block in self.blocks:
            h = block(h)
        return self.head(self.drop(h, training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depth": self.depth}


TOKENS = np.arange(12).reshape(2, 6) % 9


def encoder(batch: Any = TOKENS, **more: Any) -> Any:
    model = Encoder(**more)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model(batch)
    return model


@pytest.mark.parametrize("file", ["a.keras", "a.weights.h5", "run"])
def test_what_load_model_gives_after_other_models_is_known_again(tmp_path: Path, file: str) -> None:
    model = encoder()
    model.fit(TOKENS, np.ones((2, 6, 2)), verbose=0)
    model.save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=model.optimizer)
    loaded = keras.models.load_model(
        tmp_path / "a.keras"
    )  # built by `build`: without the model's own name before all
    for other in (loaded, encoder(TOKENS[:1])):
        want = [np.asarray(v).tobytes() for v in model.trainable_variables]
        for variable in other.trainable_variables:
            variable.assign(variable + 1)
        report = holdfast.check(tmp_path / file, model=other, optimizer=other.optimizer)
        assert [f.code for f in report.findings if f.severity != "note"] == []
        holdfast.restore(tmp_path / file, model=other, optimizer=other.optimizer)
        assert [np.asarray(v).tobytes() for v in other.trainable_variables] == want


def test_a_deeper_one_is_not_taken_for_it(tmp_path: Path) -> None:
    encoder().save(tmp_path / "a.keras")
    report = holdfast.check(tmp_path / "a.keras", model=encoder(depth=3))
    assert "T201" in {f.code for f in report.findings if f.severity == "error"}


def test_one_that_is_not_built_is_told_as_that_alone(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=encoder())
    report = holdfast.check(tmp_path / "run", model=Encoder())
    assert [f.code for f in report.findings if f.severity != "note"] == ["O310"]


# -- optimizers --------------------------------------------------------------------------------------------------
def dense(optimizer: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="one"), layers.Dense(2, name="two")])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("way", ["a.keras", "a.weights.h5", "ck", "run"])
def test_a_loss_scale_that_training_has_moved_comes_back(tmp_path: Path, way: str, built: bool) -> None:
    def made() -> Any:
        return dense(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=2))

    model = made()
    model.fit(X, np.ones((8, 2)), batch_size=2, epochs=2, verbose=0, shuffle=False)
    moved = float(model.optimizer.dynamic_scale)
    assert moved != model.optimizer.initial_scale
    parts = {"model": model, "optimizer": model.optimizer}
    if way == "run":
        with Vault(tmp_path / way) as vault:
            vault.save(8, **parts)
    elif way == "ck":
        tf.train.Checkpoint(**parts).write(str(tmp_path / way))
    else:
        (model.save if way.endswith(".keras") else model.save_weights)(tmp_path / way)
    other = made()
    if built:
        other.optimizer.build(other.trainable_variables)
    holdfast.restore(tmp_path / way, model=other, optimizer=other.optimizer)
    assert float(other.optimizer.dynamic_scale) == moved
    assert int(other.optimizer.step_counter) == int(model.optimizer.step_counter)


@pytest.mark.parametrize("name", ["Adafactor", "Muon"])
def test_state_that_nobody_knows_before_asks_for_the_optimizer_to_be_built(tmp_path: Path, name: str) -> None:
    model = dense(getattr(keras.optimizers, name)(0.01))
    model.fit(X, np.ones((8, 2)), verbose=0)
    model.save(tmp_path / "a.keras")
    other = dense(getattr(keras.optimizers, name)(0.01))
    parts = {"model": other, "optimizer": other.optimizer}
    with pytest.raises(
        RestoreRefused, match=r"is not built.*\n.*optimizer\.build\(model\.trainable_variables\)"
    ) as refused:
        holdfast.restore(tmp_path / "a.keras", **parts)
    assert "drop:" not in str(refused.value)  # that would lose what building keeps
    assert not other.optimizer.built
    other.optimizer.build(other.trainable_variables)
    holdfast.restore(tmp_path / "a.keras", **parts)
    assert values(other, other.optimizer) == values(model, model.optimizer)


def test_a_schedule_is_told_as_the_code_that_makes_it(tmp_path: Path) -> None:
    model = dense(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 100)))
    model.save(tmp_path / "a.keras")
    other = dense(keras.optimizers.Adam(0.01))
    report = holdfast.check(tmp_path / "a.keras", model=other, optimizer=other.optimizer)
    told = [f.message for f in report.findings if f.code == "O207"]
    assert len(told) == 1
    assert told[0].startswith("learning_rate is CosineDecay(initial_learning_rate=0.01, decay_steps=100")


# -- layers of one's own that hold layers ----------------------------------------------------------------------------
@keras.saving.register_keras_serializable(package="programs")
class Patches(layers.Layer):  # type: ignore[misc]
    def __init__(self, width: int = 4, **more: Any) -> None:
        super().__init__(**more)
        self.width, self.project = width, layers.Dense(width)

    def build(self, shape: Any) -> None:
        self.place = self.add_weight(shape=(self.width,), initializer="random_normal", name="place")
        self.project.build(shape)

    def call(self, x: Any) -> Any:
        return self.project(x) + self.place

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="programs")
class Mix(layers.Layer):  # type: ignore[misc]
    def __init__(self, heads: int = 2, **more: Any) -> None:
        super().__init__(**more)
        self.heads, self.look, self.norm = (
            heads,
            layers.MultiHeadAttention(heads, 4 // heads),
            layers.LayerNormalization(),
        )
        self.after = keras.Sequential(
            [layers.Dense(8, activation="gelu"), layers.Dropout(0.1), layers.Dense(4)]
        )

    def build(self, shape: Any) -> None:
        self.look.build(shape, shape)
        self.norm.build(shape)
        self.after.build(shape)

    def call(self, x: Any) -> Any:
        near = self.norm(x)
        return self.after(x + self.look(near, near))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


def mixed(pool: str = "GlobalAveragePooling1D", heads: int = 2) -> Any:
    given = keras.Input((3, 4))
    inner = Patches(name="patches")(given)
    for number in range(2):
        inner = Mix(heads, name=f"mix{number}")(inner)
    out = layers.Dense(1, name="cls")(getattr(layers, pool)()(inner))
    model = keras.Model(given, out)
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_layers_within_ones_own_layers_are_known_by_what_holds_them(tmp_path: Path, ending: str) -> None:
    model, path = mixed(), tmp_path / f"m.{ending}"
    model.fit(np.ones((4, 3, 4), "float32"), np.ones((4, 1)), verbose=0)
    model.save(path)
    again = mixed()
    report = holdfast.check(path, model=again, optimizer=again.optimizer)
    assert report.findings and not [f for f in report.findings if f.severity != "note"]
    holdfast.restore(path, model=again, optimizer=again.optimizer)
    assert [np.asarray(w).tobytes() for w in again.get_weights()] == [
        np.asarray(w).tobytes() for w in model.get_weights()
    ]


def test_what_is_changed_beside_ones_own_layers_is_still_told(tmp_path: Path) -> None:
    mixed().save(tmp_path / "m.keras")
    (found,) = (
        f
        for f in holdfast.check(tmp_path / "m.keras", model=mixed("GlobalMaxPooling1D")).findings
        if f.code == "T218"
    )
    assert (
        "it is a GlobalAveragePooling1D in the checkpoint and a GlobalMaxPooling1D in the model"
        in found.message
    )
    heads = holdfast.check(tmp_path / "m.keras", model=mixed(heads=1)).findings
    assert {"T203"} <= {f.code for f in heads} and not [f for f in heads if "it is a" in f.message]


# -- transfer ------------------------------------------------------------------------------------------------------
def backbone() -> Any:
    given = keras.Input((8,))
    inner = layers.BatchNormalization(name="norm")(layers.Dense(6, name="first")(given))
    inner = layers.Dense(6, name="second")(layers.ReLU()(inner))
    return keras.Model(given, layers.LayerNormalization(name="end")(layers.ReLU()(inner)), name="backbone")


def with_head(
    classes: int, frozen: bool = False, rate: float = 0.01, apart: bool = False, alpha: float = 0.0
) -> Any:
    base, given = backbone(), keras.Input((8,))
    base.trainable = not frozen
    if apart:
        given, inner = base.input, base.output
    else:
        inner = base(given)
    if alpha:
        inner = layers.ReLU(negative_slope=alpha)(inner)
    model = keras.Model(given, layers.Dense(classes, name="head")(inner))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def taught(path: Path, classes: int = 5, **how: Any) -> Any:
    model = with_head(classes, **how)
    model.fit(np.random.default_rng(1).normal(size=(16, 8)), np.arange(16) % classes, verbose=0)
    model.save(path)
    return model


def fit_errors(path: Path, model: Any) -> tuple[list[Any], list[str]]:
    """The errors told, and the plan that is said to settle them."""
    with pytest.raises(RestoreRefused) as refused:
        holdfast.restore(path, model=model, optimizer=model.optimizer)
    assert refused.value.plan is not None
    return [f for f in refused.value.findings if f.severity == "error"], [
        str(e) for e in refused.value.plan.edits
    ]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("built", [False, True])
def test_a_new_head_is_settled_by_the_plan_that_is_told(tmp_path: Path, frozen: bool, built: bool) -> None:
    before = taught(tmp_path / "pre.keras")
    model = with_head(3, frozen=frozen)
    if built:
        model.optimizer.build(model.trainable_variables)
    errors, plan = fit_errors(tmp_path / "pre.keras", model)
    assert [f.code for f in errors] == (["T203", "O205"] if frozen else ["T203"])
    head = [np.asarray(v) for v in model.get_layer("head").variables]
    outcome = holdfast.restore(tmp_path / "pre.keras", model=model, optimizer=model.optimizer, allow=plan)
    assert outcome.next_step == "the next step will run"
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("head").variables, strict=True))
    for mine, theirs in zip(
        model.get_layer("backbone").variables, before.get_layer("backbone").variables, strict=True
    ):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("saved", [False, True])
def test_frozen_layers_are_told_once_as_that(tmp_path: Path, saved: bool) -> None:
    taught(tmp_path / "one.keras", frozen=saved)
    model = with_head(5, frozen=not saved)
    (error,), plan = fit_errors(tmp_path / "one.keras", model)
    said = "they were frozen when it was saved" if saved else "they are frozen now"
    assert (
        error.code == "O205"
        and error.message.endswith(said)
        and "slots `momentum` and `velocity` of 8 weights" in error.message
    )
    (note,) = (f for f in holdfast.check(tmp_path / "one.keras", model=model).findings if f.code == "T213")
    assert note.severity == "note" and len(note.tensors) == 8
    assert "reset-slots:*" not in plan
    holdfast.restore(tmp_path / "one.keras", model=model, optimizer=model.optimizer, allow=plan)
    assert int(model.optimizer.iterations) == 1


def test_a_nested_model_that_was_taken_apart_is_the_same(tmp_path: Path) -> None:
    before, path = taught(tmp_path / "pre.keras"), tmp_path / "pre.keras"
    model = with_head(5, apart=True)
    assert not [f for f in holdfast.check(path, model=model).findings if f.severity != "note"]
    holdfast.restore(path, model=model, optimizer=model.optimizer)
    assert np.array_equal(model.predict(X8, verbose=0), before.predict(X8, verbose=0))
    (found,) = (
        f
        for f in holdfast.check(path, model=with_head(5, apart=True, alpha=0.3)).findings
        if f.code == "T218"
    )
    assert "only in the model" in found.message and "other outputs" in found.message


X8 = np.random.default_rng(2).normal(size=(4, 8)).astype("float32")


# -- words and tables ------------------------------------------------------------------------------------------------
def reader(words: list[str]) -> Any:
    cut = layers.TextVectorization(max_tokens=20, output_sequence_length=4, name="cut")
    cut.adapt(np.array(words))
    given = keras.Input((1,), dtype="string")
    inner = layers.LSTM(3, name="lstm")(layers.Embedding(20, 4, name="emb")(cut(given)))
    model = keras.Model(given, layers.Dense(1, name="out")(inner))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("way", ["checkpoint", "savedmodel"])
def test_the_empty_tables_of_a_vocabulary_are_nothing_left_over(tmp_path: Path, way: str) -> None:
    model, other = reader(["one two", "three"]), reader(["one two", "three"])
    path = tmp_path / "saved"
    if way == "checkpoint":
        tf.train.Checkpoint(model=model).write(str(path))
    else:
        model.export(str(path), verbose=False)
    holdfast.restore(path, model=other)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(one, two)


def test_a_table_that_holds_something_is_left_over(tmp_path: Path) -> None:
    class Known(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
            self.dense = layers.Dense(2, name="d")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = Known()
    model(X)
    model.table.insert(["a", "b"], [1, 2])
    tf.train.Checkpoint(model=model).write(str(tmp_path / "ck"))
    found = [f for f in holdfast.check(str(tmp_path / "ck"), model=model).findings if f.code == "T202"]
    assert found and all(f.severity == "error" for f in found)


def averaged_net(use_ema: bool) -> tuple[Any, Any]:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
    )
    optimizer = keras.optimizers.Adam(1e-2, use_ema=use_ema)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def test_averages_that_the_optimizer_keeps_come_out_of_a_bundle_with_it(tmp_path: Path) -> None:
    """They are the optimizer's, and no model of their own beside the one that is restored."""
    model, optimizer = averaged_net(True)
    model.compile(optimizer, "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "ck"))
    fresh, other = averaged_net(True)
    outcome = holdfast.restore(path, model=fresh, optimizer=other)
    assert outcome.total == len(outcome.restored) and not outcome.kept
    for mine, theirs in zip(optimizer.variables, other.variables, strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(theirs)), mine.path
    raw, plain = averaged_net(False)
    with pytest.raises(holdfast.RestoreRefused) as refused:
        holdfast.restore(path, model=raw, optimizer=plain)
    assert "T202" in {f.code for f in refused.value.findings}, "the averages would be lost"


def test_an_optimizer_that_will_keep_nothing_is_known_before_it_is_built(tmp_path: Path) -> None:
    def made(momentum: float) -> tuple[Any, Any]:
        model, _ = averaged_net(False)
        return model, keras.optimizers.SGD(1e-2, momentum=momentum)

    model, optimizer = made(0.9)
    optimizer.build(model.trainable_variables)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "ck"))
    fresh, other = made(0.0)
    with pytest.raises(holdfast.RestoreRefused) as refused:
        holdfast.restore(path, model=fresh, optimizer=other)
    codes = {f.code for f in refused.value.findings}
    assert "O204" in codes and "O310" not in codes


# -- another optimizer, or other options of it ---------------------------------------------------------------------
def stepped(**options: Any) -> Any:
    model, _ = averaged_net(False)
    model.compile(keras.optimizers.Adam(1e-3, **options), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    return model


def compiled(kind: str, **options: Any) -> Any:
    model, _ = averaged_net(False)
    model.compile(getattr(keras.optimizers, kind)(1e-3, **options), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def told(path: Path, model: Any) -> tuple[set[str], list[str]]:
    """The codes and the edits of a refusal."""
    with pytest.raises(RestoreRefused) as refused:
        holdfast.restore(path, model=model, optimizer=model.optimizer)
    return {f.code for f in refused.value.findings}, [str(edit) for edit in refused.value.plan]


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_another_class_begins_afresh_by_the_edits_that_are_told(tmp_path: Path, name: str) -> None:
    model = stepped()
    (model.save if name == "m.keras" else model.save_weights)(tmp_path / name)
    for kind in ("AdamW", "SGD", "RMSprop"):
        other = compiled(kind)
        codes, edits = told(tmp_path / name, other)
        assert "O203" in codes and "reset-slots:*" in edits
        holdfast.restore(tmp_path / name, model=other, optimizer=other.optimizer, allow=edits)
        assert int(other.optimizer.iterations) == 0
        assert [np.asarray(v).tolist() for v in other.weights] == [
            np.asarray(v).tolist() for v in model.weights
        ]


def test_averages_are_not_taken_for_accumulated_gradients(tmp_path: Path) -> None:
    """Both lie at the same numbers of the optimizer's list, in the same shapes."""
    path = tmp_path / "m.keras"
    stepped(use_ema=True).save(path)
    other = compiled("Adam", gradient_accumulation_steps=2)
    codes, edits = told(path, other)
    assert "T202" in codes
    holdfast.restore(path, model=other, optimizer=other.optimizer, allow=edits)
    assert not any(np.asarray(v).any() for v in other.optimizer._accumulated_gradients)


def test_an_option_that_makes_state_is_not_changed_afterwards(tmp_path: Path) -> None:
    stepped(use_ema=True).save(tmp_path / "m.keras")
    other = compiled("Adam")
    optimizer, drop = other.optimizer, "drop:optimizer/*_average"
    with pytest.raises(holdfast.UsageError, match="Construct the optimizer with use_ema=True"):
        holdfast.restore(
            tmp_path / "m.keras", model=other, optimizer=optimizer, allow=[drop, "hyper:use_ema=checkpoint"]
        )
    assert optimizer.use_ema is False and int(optimizer.iterations) == 0
    holdfast.restore(
        tmp_path / "m.keras", model=other, optimizer=optimizer, allow=[drop, "hyper:use_ema=live"]
    )
    assert int(optimizer.iterations) == 1


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("name", ["m.keras", "ck"])
def test_averages_that_are_switched_on_at_a_resume_begin_at_the_restored_weights(
    tmp_path: Path, name: str, built: bool
) -> None:
    """Keras begins them in a first step alone, and ``fit`` writes them over the weights at its end."""
    model = stepped()
    path = tmp_path / name
    if name == "ck":
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(path))
    else:
        model.save(path)
    other, _ = averaged_net(False)
    other.compile(keras.optimizers.Adam(1e-3, use_ema=True), "mse")
    optimizer = other.optimizer
    if built:
        optimizer.build(other.trainable_variables)
    codes, edits = told(path, other)
    assert "T201" in codes and any(edit.startswith("keep-live:") for edit in edits)
    allow = [*edits, "hyper:use_ema=live"]
    outcome = holdfast.restore(path, model=other, optimizer=optimizer, allow=allow)
    assert int(optimizer.iterations) == 1 and "start anew" in str(outcome)
    assert outcome.next_step == "the next step will run"
    for weight, average in zip(
        other.trainable_variables, optimizer._model_variables_moving_average, strict=True
    ):
        assert np.array_equal(np.asarray(weight), np.asarray(average)) and np.asarray(average).any()
    before = np.asarray(other.layers[0].kernel)
    other.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    assert np.abs(np.asarray(other.layers[0].kernel) - before).max() < 0.01


def test_averages_that_have_begun_are_kept(tmp_path: Path) -> None:
    stepped().save(tmp_path / "m.keras")
    other = stepped(use_ema=True)
    for average in other.optimizer._model_variables_moving_average:
        average.assign(average + 5)
    before = [np.asarray(v) for v in other.optimizer._model_variables_moving_average]
    _, edits = told(tmp_path / "m.keras", other)
    holdfast.restore(
        tmp_path / "m.keras", model=other, optimizer=other.optimizer, allow=[*edits, "hyper:use_ema=live"]
    )
    for mine, theirs in zip(before, other.optimizer._model_variables_moving_average, strict=True):
        assert np.array_equal(mine, np.asarray(theirs))
