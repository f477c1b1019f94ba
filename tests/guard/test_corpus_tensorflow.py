"""Silent failures of TensorFlow and Keras that people reported, by their id in the corpus, under a guard: the framework says
nothing, ``holdfast run`` does, and it leaves the repaired program alone. See ``tests/restore/test_corpus.py``."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.watching import Watched
from holdfast._guard.guard import Guard
from holdfast._guard.writers import Writers

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


# -- the best so far ---------------------------------------------------------------------------------------------------
def dense(seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training within an epoch, as a kill would; and makes the model worse where it begins again."""

    def __init__(self, at: int | None, worse: bool = False) -> None:
        super().__init__()
        self.at, self.worse = at, worse

    def on_train_begin(self, logs: Any = None) -> None:
        if self.worse:
            self.model.set_weights([w + 3 for w in self.model.get_weights()])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            raise Killed


def best(folder: Path, **more: Any) -> Any:
    return keras.callbacks.ModelCheckpoint(
        folder / more.pop("name", "best.keras"), monitor="val_loss", save_best_only=True, **more
    )


def fit(model: Any, *callbacks: Any, **more: Any) -> Any:
    return model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[*callbacks], **more)


def loss_of(path: Path) -> float:
    return float(keras.models.load_model(path).evaluate(X, Y, verbose=0))


def interrupted(folder: Path, name: str = "best.keras") -> float:
    """A first run, that is killed; gives its best value, which lies in ``best.keras``."""
    saves = best(folder, name=name)
    with pytest.raises(Killed):
        fit(dense(), keras.callbacks.BackupAndRestore(folder / "backup"), saves, Kill(1), epochs=6)
    return float(saves.best)


def test_tf_023_a_restarted_run_forgets_the_best(tmp_path: Path) -> None:
    was = interrupted(tmp_path)
    watched = Watched()
    fit(
        dense(1),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        best(tmp_path),
        Kill(None, True),
        epochs=4,
    )
    watched.guard.close()
    assert loss_of(tmp_path / "best.keras") > was  # what the framework leaves, without a word
    assert watched.codes() == ["S149"]
    assert "best.keras was there before this training, and its first model has replaced it" in watched.of(
        "S149"
    )
    assert re.search(r"goes on after epoch \d", watched.of("S149"))


@pytest.mark.parametrize("repair", ["threshold", "names"])
def test_tf_023_the_value_is_handed_over_or_each_has_a_name(tmp_path: Path, repair: str) -> None:
    name = "best.keras" if repair == "threshold" else "best-{epoch}.keras"
    was = interrupted(tmp_path, name)
    saves = best(tmp_path, name=name, **({"initial_value_threshold": was} if repair == "threshold" else {}))
    watched = Watched()
    fit(dense(1), keras.callbacks.BackupAndRestore(tmp_path / "backup"), saves, Kill(None), epochs=6)
    watched.guard.close()
    assert watched.codes() == []


def test_tf_024_the_loaded_best_is_replaced_by_the_first_epoch(tmp_path: Path) -> None:
    path = tmp_path / "best.keras"
    fit(dense(), best(tmp_path), epochs=4)
    was = loss_of(path)
    watched = Watched()
    model = keras.models.load_model(path)  # with the optimizer, as it was compiled
    fit(model, best(tmp_path), Kill(None, True), epochs=1)
    watched.guard.close()
    assert loss_of(path) > was
    assert watched.codes() == ["S149"]
    assert "the optimizer had made 4 steps before it" in watched.of("S149")


def test_tf_024_a_second_fit_in_one_process_is_told_by_both_values(tmp_path: Path) -> None:
    watched = Watched()
    model = dense()
    fit(model, best(tmp_path), epochs=4)
    assert watched.codes() == []
    fit(model, best(tmp_path), Kill(None, True), epochs=1)
    watched.guard.close()
    assert watched.codes() == ["S149"]
    assert re.search(r"the one before was better \(\d", watched.of("S149"))


def test_tf_024_what_is_better_or_begins_anew_is_not_told(tmp_path: Path) -> None:
    watched = Watched()
    model, once = dense(), best(tmp_path)
    fit(model, once, epochs=2)
    fit(model, once, epochs=2)  # the same callback remembers
    fit(model, best(tmp_path), epochs=8)
    fit(model, best(tmp_path), epochs=2)  # better still
    fit(dense(3), best(tmp_path), epochs=1)  # another model: a run of its own, which may be worse
    watched.guard.close()
    assert watched.codes() == []
    watched = Watched()
    fit(dense(4), best(tmp_path), epochs=1)  # another process, which has loaded nothing
    watched.guard.close()
    assert watched.codes() == []


# -- graphs and sessions -----------------------------------------------------------------------------------------------
def a_run(folder: Path, first: int, told: Callable[[Any], None] = lambda _: None, count: int = 3) -> None:
    """One start of a scheduled training: it goes on from the latest checkpoint, and saves with ``max_to_keep=2``."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", [4])
        saver = v1.train.Saver(max_to_keep=2)
        latest = tf.train.latest_checkpoint(str(folder))
        if latest is None:
            session.run(v1.global_variables_initializer())
        else:
            saver.restore(session, latest)
        told(saver)
        for step in range(first, first + count):
            saver.save(session, str(folder / "model.ckpt"), global_step=step)


def steps(folder: Path) -> list[int]:
    return sorted(int(file.stem.rpartition("-")[2]) for file in folder.glob("*.index"))


def test_tf_105_each_start_leaves_its_last_checkpoints(tmp_path: Path, watched: Watched) -> None:
    a_run(tmp_path, 0)
    assert watched.codes() == []
    a_run(tmp_path, 10)
    assert steps(tmp_path) == [1, 2, 11, 12]  # max_to_keep=2
    assert watched.codes() == ["S153"]
    assert watched.of("S153").startswith(
        "2 checkpoints of earlier runs lie beside it (model.ckpt-1, model.ckpt-2; "
    )


def test_tf_105_a_saver_that_was_told_of_them(tmp_path: Path, watched: Watched) -> None:
    a_run(tmp_path, 0)

    def told(saver: Any) -> None:
        known = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
        saver.recover_last_checkpoints(known)

    a_run(tmp_path, 10, told)
    assert steps(tmp_path) == [11, 12]
    assert watched.codes() == []


def test_tf_105_one_checkpoint_to_begin_with_is_none_of_a_run(tmp_path: Path, watched: Watched) -> None:
    a_run(tmp_path, 0, count=1)
    a_run(tmp_path, 10)
    assert watched.codes() == []


def test_tf_142_restoring_in_a_loop_grows_the_graph(tmp_path: Path, watched: Watched) -> None:
    a_run(tmp_path, 0)
    newest = str(tmp_path / "model.ckpt-2")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.get_variable("w", [4])
        sizes = []
        for _ in range(6):
            v1.train.Saver().restore(session, newest)
            sizes.append(len(graph.get_operations()))
    assert len(set(np.diff(sizes))) == 1 and sizes[0] < sizes[-1]
    assert watched.codes() == ["T235"]


def test_tf_142_one_saver_or_a_graph_for_each(tmp_path: Path, watched: Watched) -> None:
    a_run(tmp_path, 0)
    newest = str(tmp_path / "model.ckpt-2")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", [4])
        saver = v1.train.Saver()
        for _ in range(6):
            saver.restore(session, newest)
    for _ in range(6):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.get_variable("w", [4])
            v1.train.Saver().restore(session, newest)
    assert watched.codes() == []


def network(*, training: bool) -> Any:
    """A layer with BatchNorm, its variables and its output ``out``."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    weights = v1.get_variable("dense/weights", [4, 4])
    about = [
        v1.get_variable(f"norm/{name}", [4], initializer=start, trainable=name in ("gamma", "beta"))
        for name, start in (
            ("gamma", v1.ones_initializer()),
            ("beta", v1.zeros_initializer()),
            ("moving_mean", v1.zeros_initializer()),
            ("moving_variance", v1.ones_initializer()),
        )
    ]
    moving = (None, None) if training else (about[2], about[3])
    inner = tf.reshape(x @ weights, [-1, 1, 1, 4])
    y, *_ = v1.nn.fused_batch_norm(inner, about[0], about[1], *moving, is_training=training)
    return tf.identity(y, name="out")


def trained(folder: Path) -> str:
    """A checkpoint with an average of every variable; gives its path."""
    with tf.Graph().as_default(), v1.Session() as session:
        network(training=True)
        raw = v1.global_variables()
        averages = tf.train.ExponentialMovingAverage(0.9).apply(raw)
        session.run(v1.global_variables_initializer())
        session.run([averages, *(v.assign_add(tf.ones_like(v)) for v in raw)])
        return str(v1.train.Saver().save(session, str(folder / "model.ckpt")))


def frozen(path: str, *, training: bool, mapped: Callable[[Any], Any] = lambda _: None) -> np.ndarray:
    """What a graph that is frozen from the checkpoint computes."""
    with tf.Graph().as_default(), v1.Session() as session:
        network(training=training)
        v1.train.Saver(mapped(tf.train.ExponentialMovingAverage(0.9))).restore(session, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["out"])
    with tf.Graph().as_default(), v1.Session() as session:
        (out,) = tf.import_graph_def(made, return_elements=["out:0"])
        (x,) = (op.outputs[0] for op in session.graph.get_operations() if op.name.endswith("/x"))
        return np.asarray(session.run(out, {x: X[:4]}))


def test_tf_151_the_training_graph_is_frozen(tmp_path: Path, watched: Watched) -> None:
    path = trained(tmp_path)
    of_training = frozen(path, training=True)
    assert watched.codes() == ["M122"]
    assert "`FusedBatchNormV3` normalises by the statistics of the batch" in watched.of("M122")
    of_inference = frozen(path, training=False)
    assert watched.codes() == ["M122"]
    assert not np.allclose(of_training, of_inference)


@pytest.mark.parametrize("training", [True, False])
def test_tf_151_a_function_that_is_frozen(watched: Watched, training: bool) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    one, none = tf.Variable(tf.ones([4])), tf.Variable(tf.zeros([4]))

    def norm(x: Any) -> Any:
        moving = (None, None) if training else (none, one)
        return v1.nn.fused_batch_norm(x, one, none, *moving, is_training=training)[0]

    called = tf.function(norm).get_concrete_function(tf.TensorSpec([None, 1, 1, 4], tf.float32))
    convert_variables_to_constants_v2(called)
    assert watched.codes() == (["M122"] if training else [])


def test_tf_245_some_variables_raw_and_some_averaged(tmp_path: Path, watched: Watched) -> None:
    path = trained(tmp_path)
    frozen(path, training=False, mapped=lambda ema: ema.variables_to_restore())
    assert watched.codes() == ["M121"]
    assert watched.of("M121").startswith("3 variables were restored from their averages")
    assert "`norm/moving_mean`, `norm/moving_variance` raw" in watched.of("M121")


@pytest.mark.parametrize("which", ["averaged", "raw", "both"])
def test_tf_245_all_averaged_all_raw_or_training_goes_on(
    tmp_path: Path, watched: Watched, which: str
) -> None:
    path = trained(tmp_path)
    with tf.Graph().as_default(), v1.Session() as session:
        network(training=False)
        average, every = tf.train.ExponentialMovingAverage(0.9), v1.global_variables()
        if which == "both":
            average.apply(every)
        mapped = {
            "averaged": lambda: average.variables_to_restore(every),
            "raw": lambda: {v.op.name: v for v in every},
            "both": lambda: {v.op.name: v for v in v1.global_variables()},
        }[which]()
        v1.train.Saver(mapped).restore(session, path)
    assert watched.codes() == []


# -- several processes -------------------------------------------------------------------------------------------------
def ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return found


def program(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(textwrap.dedent(text))
    return str(file)


def found_in(report: Path) -> list[str]:
    told = json.loads(report.read_text())
    return [f["code"] for c in told["calls"] for f in c["findings"] if f["severity"] != "note"]


SERVER = """
import json, sys
import tensorflow as tf

spec = tf.train.ClusterSpec(json.loads(sys.argv[1]))
server = tf.distribute.Server(spec, job_name="ps", task_index=0)
print("up", flush=True)
sys.stdin.read()  # until the test closes it
"""
WORKER = """
import json, sys
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
spec = tf.train.ClusterSpec(json.loads(sys.argv[1]))
server = tf.train.Server(spec, job_name="worker", task_index=0)
with tf.device("/job:ps/task:0"):
    tf.get_variable("w", [4])
    saver = tf.train.Saver()
with tf.Session(server.target) as session:
    session.run(tf.global_variables_initializer())
    given = saver.save(session, sys.argv[2])
print("saved", given, flush=True)
"""


@pytest.mark.parametrize("shared", [False, True], ids=["each its own disk", "one disk"])
def test_tf_205_the_parameter_server_writes_on_its_own_disk(tmp_path: Path, shared: bool) -> None:
    """Two working folders for two hosts' disks: the server writes the relative path into its own."""
    for host in ("server", "worker"):
        (tmp_path / host / "run").mkdir(parents=True)
    one, other = ports(2)
    spec = json.dumps({"ps": [f"127.0.0.1:{one}"], "worker": [f"127.0.0.1:{other}"]})
    path = str(tmp_path / "worker" / "run" / "model.ckpt") if shared else "run/model.ckpt"
    server = subprocess.Popen(
        [sys.executable, program(tmp_path, "server.py", SERVER), spec],
        cwd=tmp_path / "server", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert server.stdout.readline()
        done = subprocess.run(
            [sys.executable, "-m", "holdfast", "run", "--json", str(tmp_path / "report.json"),
             program(tmp_path, "worker.py", WORKER), spec, path],
            cwd=tmp_path / "worker", capture_output=True, text=True, timeout=200,
        )  # fmt: skip
    finally:
        server.kill()
        server.wait()
    assert f"saved {path}" in done.stdout, done.stderr  # the call returned its path, and raised nothing
    assert (tmp_path / "worker" / "run" / "model.ckpt.index").exists() is shared
    assert found_in(tmp_path / "report.json") == ([] if shared else ["S142"])
    if not shared:
        assert "only its graph (model.ckpt.meta), and no tensor, at run/model.ckpt" in " ".join(
            done.stderr.split()
        )


RANK = """
import sys
import keras

keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(sys.argv[1])
"""


@pytest.mark.parametrize("repaired", [False, True])
def test_tf_168_every_rank_writes_one_path(tmp_path: Path, repaired: bool) -> None:
    """Each worker of a ``TF_CONFIG`` runs the same script; one after the other, as they meet by chance only. The strategy itself
    is left out: its collective operations would wait for both."""
    script = program(tmp_path, "rank.py", RANK)
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    (tmp_path / "temporary").mkdir()
    with Guard() as other:  # rank 0, which is still there when rank 1 writes
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
        try:
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(
                tmp_path / "a.weights.h5"
            )
            task = {"cluster": cluster, "task": {"type": "worker", "index": 1}}
            path = tmp_path / ("temporary/a.weights.h5" if repaired else "a.weights.h5")
            done = subprocess.run(
                [sys.executable, "-m", "holdfast", "run", "--json", "report.json", script, str(path)],
                cwd=tmp_path, env={**os.environ, "TF_CONFIG": json.dumps(task)}, capture_output=True, text=True, timeout=200,
            )  # fmt: skip
        finally:
            del os.environ["TF_CONFIG"]
    assert done.returncode == 0, done.stderr  # nobody is told by the framework
    assert found_in(tmp_path / "report.json") == ([] if repaired else ["S144"])
    assert [f.code for s in other.seen for f in s.findings if f.severity != "note"] == (
        [] if repaired else ["S144"]
    )
    if not repaired:
        assert "rank worker:0 of this job" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "config",
    ["", "no JSON", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'],
)
def test_tf_168_one_process_alone_has_no_rank(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    assert "rank" not in Writers()._me


# -- in the background ---------------------------------------------------------------------------------------------------
def test_tf_165_a_background_save_that_fails_in_the_callback(tmp_path: Path) -> None:
    """The limit on a file's size stands for a disk that is full."""
    pytest.importorskip("orbax.checkpoint")
    resource = pytest.importorskip("resource")
    folder = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Fill(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                saves.checkpointer.wait()
                resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))

    big = np.ones((8, 512), "float32")
    model = keras.Sequential([keras.Input((512,)), keras.layers.Dense(512)])
    model.compile("adam", "mse")
    watched = Watched()
    try:
        saves = keras.callbacks.OrbaxCheckpoint(str(folder))
        model.fit(big, big, epochs=2, verbose=0, callbacks=[Fill(), saves])  # it returns as if all were well
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    watched.guard.close(0)
    assert "1" not in os.listdir(folder) and "0" in os.listdir(folder)
    assert watched.codes() == ["S146"]


def test_tf_165_a_background_save_that_is_well(tmp_path: Path) -> None:
    pytest.importorskip("orbax.checkpoint")
    watched = Watched()
    fit(dense(), keras.callbacks.OrbaxCheckpoint(str(tmp_path / "run")), epochs=2)
    watched.guard.close(0)
    assert watched.codes() == []
