"""``tf.train.Checkpoint`` and its relatives under a guard: what it says of each restore and save, and when it is silent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "matrix"))

import keras_nets as nets  # noqa: E402

from holdfast._guard.guard import Guard  # noqa: E402
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


def saved(folder: Path, run: nets.Run, steps: int = 1) -> str:
    nets.train(run, steps)
    return str(tf.train.Checkpoint(**run.parts()).save(str(folder / "ckpt")))


def pair(*units: int, rate: float = 0.01) -> nets.Run:
    return nets.Run(nets.plain(*(units or (8, 8, 3))), nets.adam(rate))


# -- right ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("built", [False, True])
def test_plain_resume_is_one_good_line(tmp_path: Path, seen: list[Seen], built: bool) -> None:
    run = pair()
    path = saved(tmp_path, run)
    other = nets.build(pair()) if built else pair()
    status = tf.train.Checkpoint(**other.parts()).restore(path)
    assert type(status).__name__ == "CheckpointLoadStatus"
    nets.train(run, 2, 1)
    nets.train(other, 2, 1)
    status.assert_consumed()
    assert nets.state(run) == nets.state(other)
    assert grave(seen) == []
    assert [(s.api, s.kind) for s in seen] == [
        ("tf.train.Checkpoint.save", "save"), ("tf.train.Checkpoint.restore", "restore")
    ]  # fmt: skip
    assert seen[0].path == seen[1].path == path
    assert seen[1].sentence.startswith("restored all ")
    assert seen[1].sentence.endswith("the next step will run")


def test_last_layer_frozen_is_silent(tmp_path: Path, seen: list[Seen]) -> None:
    """The state of those before it stands at its places; that of the frozen one is not missed."""
    path = saved(tmp_path, pair())
    other = pair()
    other.model.layers[-1].trainable = False
    tf.train.Checkpoint(**other.parts()).restore(path).expect_partial()
    nets.train(other, 1)
    assert grave(seen) == []


def test_manager_tells_the_real_prefix(tmp_path: Path, seen: list[Seen]) -> None:
    run = pair()
    nets.train(run)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**run.parts()), str(tmp_path / "new"), max_to_keep=2
    )
    first = manager.save()
    second = manager.save(checkpoint_number=7)
    assert manager.restore_or_initialize() == second
    assert grave(seen) == []
    assert [(s.api, s.path) for s in seen] == [
        ("tf.train.CheckpointManager.save", first), ("tf.train.CheckpointManager.save", second),
        ("tf.train.CheckpointManager.restore_or_initialize", second),
    ]  # fmt: skip
    assert all(s.sentence.startswith(("wrote ", "restored all")) for s in seen)


def test_a_manager_that_waits_for_its_interval_saves_nothing(tmp_path: Path, seen: list[Seen]) -> None:
    step = tf.Variable(0, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(step=step), str(tmp_path), max_to_keep=2, step_counter=step, checkpoint_interval=5
    )
    manager.save()
    step.assign_add(1)
    assert manager.save() is None
    assert len(seen) == 1
    assert grave(seen) == []


def test_async_save_is_told_with_the_line_that_asked(tmp_path: Path, seen: list[Seen]) -> None:
    checkpoint = tf.train.Checkpoint(v=tf.Variable([1.0, 2.0]))
    options = tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)
    checkpoint.save(str(tmp_path / "ckpt"), options=options)
    checkpoint.sync()
    assert [s.kind for s in seen] == ["save"]
    assert Path(__file__).name in seen[0].site
    assert grave(seen) == []


@pytest.mark.parametrize("use", ["call", "function", "fit", "predict"])
def test_restore_put_off_and_right(tmp_path: Path, seen: list[Seen], use: str) -> None:
    path = str(tf.train.Checkpoint(model=nets.called(Own())).write(str(tmp_path / "ckpt")))
    other = Own()
    tf.train.Checkpoint(model=other).restore(path)
    USES[use](other)
    assert grave(seen) == []
    assert seen[-1].sentence == "after the model's first call: restored all 4 tensors, 100 % of bytes"


def test_saved_model_and_saver_are_watched(tmp_path: Path, seen: list[Seen]) -> None:
    module = tf.Module()
    module.v = tf.Variable(3.0)
    tf.saved_model.save(module, str(tmp_path / "module"))
    tf.saved_model.load(str(tmp_path / "module"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("v", [3])
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.restore(session, saver.save(session, str(tmp_path / "old"), global_step=3))
    assert grave(seen) == []
    assert [(s.kind, Path(s.path or "").name) for s in seen] == [
        ("save", "module"), ("read", "module"), ("save", "old-3"), ("read", "old-3")
    ]  # fmt: skip


# -- wrong ------------------------------------------------------------------------------------------------------
class Own(nets.Lazy):
    """Subclassed, with a ``build`` of its own: what is put off is restored right."""

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.second.build((None, 8))
        self.built = True


def _function(model: Any) -> None:
    optimizer = nets.adam()

    @tf.function
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    for _ in range(3):
        train(nets.X, nets.Y)


def _fit(model: Any) -> None:
    model.compile("adam", "mse")
    model.fit(nets.X, nets.Y, verbose=0, epochs=2)


USES: dict[str, Callable[[Any], Any]] = {
    "call": lambda model: model(nets.X),
    "function": _function,
    "fit": _fit,
    "predict": lambda model: model.predict(nets.X, verbose=0),
}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("use", USES)
def test_restore_before_the_first_call_leaves_a_kernel_random(
    tmp_path: Path, seen: list[Seen], use: str
) -> None:
    path = str(tf.train.Checkpoint(model=nets.called(nets.Lazy())).write(str(tmp_path / "ckpt")))
    other = nets.Lazy()
    tf.train.Checkpoint(model=other).restore(path)
    assert grave(seen) == []  # it might still turn out right
    USES[use](other)
    assert grave(seen) == ["T232", "O303"]
    assert "/kernel" in message(seen, "T232")
    assert "after the model's first call" in message(seen, "T232")


def test_what_is_never_built_is_told_at_the_end(tmp_path: Path) -> None:
    path = str(tf.train.Checkpoint(model=nets.called(nets.Lazy())).write(str(tmp_path / "ckpt")))
    told: list[Seen] = []
    model = nets.Lazy()
    with Guard(tell=told.append):
        tf.train.Checkpoint(model=model).restore(path).expect_partial()
    assert grave(told) == ["T232"]
    assert "there are still none" in message(told, "T232")


def test_variables_made_later_and_moved_by_a_loop_of_ones_own(tmp_path: Path) -> None:
    """At the end values have moved; what the framework has bound is right all the same."""

    class Line(tf.Module):
        def __call__(self, x: Any) -> Any:
            if not hasattr(self, "slope"):
                self.slope = tf.Variable(tf.random.normal([1]))
            return self.slope * x

    first = Line()
    first(1.0)
    path = tf.train.Checkpoint(line=first).write(str(tmp_path / "ckpt"))
    told: list[Seen] = []
    second = Line()
    with Guard(tell=told.append):
        tf.train.Checkpoint(line=second).read(path)
        second(1.0)
        assert np.array_equal(first.slope, second.slope)
        second.slope.assign_add([1.0])
    assert grave(told) == []


@pytest.mark.parametrize("over", ["reversed layers", "a subset"])
def test_optimizer_built_over_other_weights_crosses_the_models(
    tmp_path: Path, seen: list[Seen], over: str
) -> None:
    path = saved(tmp_path, pair(8, 8, 8, 3))
    other = pair(8, 8, 8, 3)
    first, second, *rest = (layer.trainable_variables for layer in other.model.layers)
    after = [weight for weights in rest for weight in weights]
    if over == "a subset":
        other.model.layers[0].trainable = other.model.layers[3].trainable = False
    other.optimizer.build([*second, *first, *after] if over == "reversed layers" else [*second, *rest[0]])
    tf.train.Checkpoint(**other.parts()).restore(path).expect_partial()
    assert seen[-1].findings[0].code == "T231"
    told = message(seen, "T231")
    assert "/kernel holds the values of " in told
    assert "numbers in the optimizer" in told


def test_first_layer_frozen_gives_the_next_one_its_state(tmp_path: Path, seen: list[Seen]) -> None:
    path = saved(tmp_path, pair(8, 8, 3))
    other = pair(8, 8, 3)
    other.model.layers[0].trainable = False
    tf.train.Checkpoint(**other.parts()).restore(path).expect_partial()
    assert grave(seen) == []
    nets.train(other, 1)
    assert grave(seen) == ["T232"]
    told = message(seen, "T232")
    assert "when the optimizer was built" in told
    assert "holds the values of " in told
    assert "by its place in a list" in told


def test_attributes_of_another_order_are_told_by_the_optimizers_names(
    tmp_path: Path, seen: list[Seen]
) -> None:
    run = nets.Run(nets.net(), nets.adam())
    path = saved(tmp_path, run)
    other = nets.Run(nets.net(encoder="decoder", decoder="encoder"), nets.adam())
    tf.train.Checkpoint(**other.parts()).restore(path).assert_existing_objects_matched()
    assert np.array_equal(other.model.get_layer("decoder").kernel, run.model.get_layer("encoder").kernel)
    assert "T231" in grave(seen)
    assert "and not by the layers' names" in message(seen, "T231")


def test_learning_rate_is_put_back(tmp_path: Path, seen: list[Seen]) -> None:
    path = saved(tmp_path, pair(rate=0.001))
    other = pair(rate=0.1)
    tf.train.Checkpoint(**other.parts()).restore(path)
    assert grave(seen) == ["O207"]
    assert message(seen, "O207").startswith("learning_rate was 0.1 in the code and is 0.001 since this load")


def test_a_step_that_the_checkpoint_does_not_have(tmp_path: Path, seen: list[Seen]) -> None:
    run = pair()
    path = saved(tmp_path, run)
    step = tf.Variable(0, name="step")
    tf.train.Checkpoint(step=step, **run.parts()).restore(path).expect_partial()
    assert grave(seen) == ["T201"]
    assert message(seen, "T201").startswith(
        "step is in the program's checkpoint object and not in the checkpoint"
    )
    step.assign(4)
    path = tf.train.Checkpoint(step=step, **run.parts()).save(str(tmp_path / "next"))
    seen.clear()
    step.assign(0)
    tf.train.Checkpoint(step=step, **run.parts()).restore(path)
    assert int(step) == 4
    assert grave(seen) == []


def test_added_layer_and_the_step_that_fails(tmp_path: Path, seen: list[Seen]) -> None:
    path = saved(tmp_path, pair(8, 3))
    other = pair(8, 3)
    nets.train(other)
    other.model.add(keras.layers.Dense(3, name="more"))
    tf.train.Checkpoint(**other.parts()).restore(path).expect_partial()
    assert grave(seen)[:1] == ["T201"]
    with pytest.raises(ValueError, match="Unknown variable") as raised:
        nets.train(other)
    assert seen[-1].kind == "step"
    assert any("this comes from tf.train.Checkpoint.restore at" in note for note in raised.value.__notes__)


def test_the_step_that_fails_after_a_restore_of_the_model_alone(tmp_path: Path, seen: list[Seen]) -> None:
    """The optimizer was not in the checkpoint object: the error names the variable that the restore left alone."""
    path = saved(tmp_path, pair(8, 3))
    other = pair(8, 3)
    nets.train(other)
    other.model.add(keras.layers.Dense(3, name="more"))
    tf.train.Checkpoint(model=other.model).restore(path).expect_partial()
    with pytest.raises(ValueError, match="Unknown variable") as raised:
        nets.train(other)
    assert any("this comes from tf.train.Checkpoint.restore at" in note for note in raised.value.__notes__)


def test_an_error_that_has_nothing_to_do_with_the_restore(tmp_path: Path, seen: list[Seen]) -> None:
    path = saved(tmp_path, pair(rate=0.001))
    other = pair(rate=0.1)
    tf.train.Checkpoint(**other.parts()).restore(path)
    weights = other.model.trainable_variables
    with pytest.raises(ValueError, match="No gradients provided") as raised:
        other.optimizer.apply_gradients([(None, weight) for weight in weights])
    assert getattr(raised.value, "__notes__", []) == []
    assert grave(seen) == ["O207"]


@pytest.mark.parametrize(
    ("state", "severity", "words"),
    [
        ("gone", "warning", "there is no folder"),
        ("empty", "warning", "holds no checkpoint"),
        ("dangling", "error", "names ckpt-2, which is not there; there is ckpt-1"),
    ],
)
def test_restore_of_nothing(tmp_path: Path, seen: list[Seen], state: str, severity: str, words: str) -> None:
    folder = tmp_path / "run"
    checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
    if state != "gone":
        folder.mkdir()
    if state == "dangling":
        manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=3)
        manager.save()
        manager.save()
        for file in folder.glob("ckpt-2.*"):
            file.unlink()
    seen.clear()
    checkpoint.restore(tf.train.latest_checkpoint(str(folder)))
    assert [(f.code, f.severity) for f in seen[-1].findings] == [("T233", severity)]
    assert words in message(seen, "T233")


def test_a_prefix_without_its_number_is_explained(tmp_path: Path, seen: list[Seen]) -> None:
    saved(tmp_path, pair())
    with pytest.raises(tf.errors.NotFoundError) as raised:
        tf.train.Checkpoint(**pair().parts()).restore(str(tmp_path / "ckpt"))
    assert "H000" not in grave(seen)
    assert "ckpt-1" in "".join(raised.value.__notes__)
    assert "ckpt-1" in seen[-1].sentence


def test_errors_look_as_without_a_guard(tmp_path: Path, seen: list[Seen]) -> None:
    import traceback

    with pytest.raises(tf.errors.NotFoundError) as raised:
        tf.train.Checkpoint(v=tf.Variable(1.0)).restore(str(tmp_path / "none"))
    assert "holdfast/_" not in "".join(traceback.format_tb(raised.value.__traceback__))


def test_another_attribute_sets_nothing_and_the_file_s_attributes_are_named(
    tmp_path: Path, seen: list[Seen]
) -> None:
    run = pair()
    nets.train(run, 1)
    prefix = tf.train.Checkpoint(net=run.model, opt=run.optimizer).save(str(tmp_path / "ckpt"))
    seen.clear()
    tf.train.Checkpoint(model=pair().model).restore(prefix).expect_partial()
    assert grave(seen) == ["T231"]
    assert "set none of them: the checkpoint has `net`, `opt` and no `model`" in message(seen, "T231")
    seen.clear()
    tf.train.Checkpoint(net=pair().model).restore(prefix).expect_partial()
    assert grave(seen) == []
