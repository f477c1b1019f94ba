"""Orbax, flax and optax under a guard: where it speaks, where it is silent, and that the program does the same without it."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("orbax.checkpoint")
pytest.importorskip("flax")
pytest.importorskip("optax")

import flax
import jax
import optax
import orbax.checkpoint as ocp
import orbax.checkpoint.experimental.v1 as v1
from flax import linen, nnx, serialization
from flax.training import checkpoints
from flax.training.train_state import TrainState
from jax import numpy as jnp

from holdfast._frameworks.jax import orbax_hooks
from holdfast._guard.guard import Guard
from holdfast._guard.seen import Seen

GRAVE = ("error", "warning")


class Watched:
    """A guard that is on, and what it told."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.guard = Guard(tell=self.seen.append)

    def codes(self) -> list[str]:
        return [f.code for s in self.seen for f in s.findings if f.severity in GRAVE]

    def of(self, code: str) -> str:
        return next(f.message for s in self.seen for f in s.findings if f.code == code)

    def last(self, kind: str) -> Seen:
        return [s for s in self.seen if s.kind == kind][-1]


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    try:
        yield made
    finally:
        made.guard.close()
    assert [f.message for s in made.seen for f in s.findings if f.code == "H000"] == []


def weights(seed: int, width: int = 6, dtype: Any = jnp.float32) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "enc": {"kernel": jnp.asarray(draw.normal(size=(4, width)), dtype), "bias": jnp.asarray(draw.normal(size=width), dtype)},
        "head": {"kernel": jnp.asarray(draw.normal(size=(width, 2)), dtype)},
    }  # fmt: skip


def state(seed: int, tx: Any = None, **how: Any) -> dict[str, Any]:
    found = weights(seed, **how)
    return {"params": found, "opt_state": (tx or optax.adam(1e-3)).init(found), "step": seed}


def same(a: Any, b: Any) -> bool:
    return bool(
        jax.tree.all(jax.tree.map(lambda x, y: np.asarray(x).tobytes() == np.asarray(y).tobytes(), a, b))
    )


def saved(folder: Path, tree: Any) -> Path:
    path = (folder / "state").resolve()
    with ocp.StandardCheckpointer() as writer:
        writer.save(path, tree)
    return path


def restored(path: Path, target: Any = None, **how: Any) -> Any:
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(path, target, **how)


# -- right: silent ----------------------------------------------------------------------------------------------------
def test_a_right_restore_is_told_in_one_sentence_and_nothing_is_changed(
    tmp_path: Path, watched: Watched
) -> None:
    origin, target = state(1), state(2)
    path = saved(tmp_path, origin)
    before = jax.tree.map(np.array, target)
    assert same(restored(path, target), origin)
    assert same(before, target)
    assert watched.codes() == []
    assert (
        watched.last("restore").sentence == "restored all 10 tensors, 100 % of bytes; the next step will run"
    )
    assert watched.last("restore").api == "StandardCheckpointer.restore"


@pytest.mark.parametrize(
    "way", ["abstract", "no target", "metadata", "from metadata", "plain dicts", "narrower"]
)
def test_other_right_restores(way: str, tmp_path: Path, watched: Watched) -> None:
    origin = state(1)
    path = saved(tmp_path, origin)
    if way == "abstract":
        restored(path, jax.eval_shape(lambda: state(2)))
    elif way == "no target":
        restored(path)
    elif way == "metadata":
        reader = ocp.PyTreeCheckpointer()
        assert same(
            reader.restore(path, item=reader.metadata(path).item_metadata.tree)["params"], origin["params"]
        )
        assert watched.last("restore").sentence.startswith("restored all ")
    elif way == "from metadata":
        with ocp.StandardCheckpointer() as reader:
            told = reader.metadata(path).item_metadata.tree
            reader.restore(path, jax.tree.map(lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype), told))
    elif way == "plain dicts":
        assert same(restored(path, jax.tree.map(lambda x: x, restored(path)))["params"], origin["params"])
        read = serialization.from_state_dict(
            serialization.to_state_dict(state(2)), serialization.to_state_dict(origin)
        )
        assert same(read, serialization.to_state_dict(origin))
    else:
        found = restored(path, state(2, dtype=jnp.bfloat16))
        assert found["params"]["enc"]["bias"].dtype == jnp.bfloat16
    assert watched.codes() == []


def test_train_states_and_nnx_modules(tmp_path: Path, watched: Watched) -> None:
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return linen.Dense(3)(linen.relu(linen.Dense(8)(x)))

    def made(seed: int) -> TrainState:
        net = Net()
        params = net.init(jax.random.key(seed), jnp.ones((2, 4)))["params"]
        return TrainState.create(apply_fn=net.apply, params=params, tx=optax.adamw(1e-2))

    first, second = made(0), made(1)
    assert same(jax.tree.leaves(restored(saved(tmp_path, first), second)), jax.tree.leaves(first))
    read = serialization.from_bytes(second, serialization.to_bytes(first))
    assert same(jax.tree.leaves(read), jax.tree.leaves(first))
    one, other = nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.Linear(4, 3, rngs=nnx.Rngs(1))
    (tmp_path / "nnx").mkdir()
    nnx.update(other, restored(saved(tmp_path / "nnx", nnx.state(one)), nnx.state(other)))
    assert same(nnx.state(other), nnx.state(one))
    assert watched.codes() == []


def test_words_of_the_persons_own(tmp_path: Path, watched: Watched) -> None:
    """What a state is called says nothing: its classes do, on the live side."""

    def made(seed: int, rate: float) -> dict[str, Any]:
        found = weights(seed)
        return {
            "p": found,
            "s": optax.inject_hyperparams(optax.adam)(learning_rate=rate).init(found),
            "best": weights(seed + 5),
        }

    path = saved(tmp_path, made(1, 1e-2))
    restored(path, made(2, 1e-2))
    serialization.from_bytes(made(2, 1e-2), serialization.to_bytes(made(1, 1e-2)))
    assert watched.codes() == []
    assert watched.last("restore").sentence.startswith("restored all 14 tensors, 100 % of bytes")
    restored(path, made(2, 5e-2))
    assert watched.codes() == ["O207"]


def test_a_training_loop_with_a_manager_is_silent(tmp_path: Path, watched: Watched) -> None:
    found = state(0)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, save_interval_steps=2)
    with ocp.CheckpointManager((tmp_path / "run").resolve(), options=options) as manager:
        assert manager.latest_step() is None
        for step in range(9):
            manager.save(step, args=ocp.args.StandardSave(found))
        manager.wait_until_finished()
        assert list(manager.all_steps()) == [6, 8]
        manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(state(3)))
    watched.guard.close()
    assert watched.codes() == []
    assert watched.last("restore").path is not None and watched.last("restore").path.endswith("/8")
    assert watched.last("restore").api == "CheckpointManager.restore"


def test_items_of_a_manager(tmp_path: Path, watched: Watched) -> None:
    with ocp.CheckpointManager(
        (tmp_path / "run").resolve(), item_names=("params", "opt", "about")
    ) as manager:
        manager.save(1, args=ocp.args.Composite(
            params=ocp.args.StandardSave(weights(1)), opt=ocp.args.StandardSave(optax.adam(1e-3).init(weights(1))),
            about=ocp.args.JsonSave({"epoch": 1})))  # fmt: skip
        manager.restore(1, args=ocp.args.Composite(
            params=ocp.args.StandardRestore(weights(2)), opt=ocp.args.StandardRestore(optax.adam(1e-3).init(weights(2))),
            about=ocp.args.JsonRestore()))  # fmt: skip
        assert watched.last("restore").sentence.startswith("restored all 10 tensors")
        manager.restore(1, args=ocp.args.Composite(params=ocp.args.StandardRestore(weights(2))))
    assert watched.codes() == []


def test_version_1(tmp_path: Path, watched: Watched) -> None:
    path = (tmp_path / "one").resolve()
    v1.save_pytree(path, state(1))
    assert same(v1.load_pytree(path, state(2)), state(1))
    v1.save_pytree_async(path, state(3), overwrite=True).result()
    with v1.training.Checkpointer((tmp_path / "run").resolve()) as manager:
        manager.save_pytree(1, state(1))
        assert same(manager.load_pytree(None, state(2)), state(1))
    watched.guard.close()
    assert watched.codes() == []
    assert [s.api for s in watched.seen if s.kind == "restore"] == ["ocp.load_pytree", "Checkpointer.load"]


# -- wrong: told ------------------------------------------------------------------------------------------------------
def test_a_background_save_whose_error_the_program_has_taken(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orbax gives the error of its thread once, here to a ``close`` in a ``try``, before the guard asks for it."""
    taken = threading.Event()
    wait = orbax_hooks._wait

    def later(*args: Any) -> None:
        taken.wait()
        wait(*args)

    monkeypatch.setattr(orbax_hooks, "_wait", later)
    path = (tmp_path / "one").resolve()
    saver = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)  # it stands for a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        saver.save(path, args=ocp.args.StandardSave({"w": jnp.asarray(np.random.rand(256, 512))}))
        with pytest.raises(ValueError, match="File too large"):
            saver.wait_until_finished()
        saver.check_for_errors()  # silent now
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        taken.set()
    watched.guard.close(0)
    assert watched.codes() == ["S146"] and "File too large" in watched.of("S146")
    saver.save(path, args=ocp.args.StandardSave({"w": jnp.zeros(2)}))
    saver.wait_until_finished()
    saver.close()


def test_a_target_that_is_taken_for_its_structure_alone(tmp_path: Path, watched: Watched) -> None:
    path = saved(tmp_path, state(1))
    found = ocp.PyTreeCheckpointer().restore(path, item=state(2, width=3))
    assert found["params"]["enc"]["bias"].shape == (6,)
    assert watched.codes() == ["T234"]
    assert watched.of("T234").startswith(
        "params/enc/bias came back as (6,) where the target has (3,), and 8 other arrays"
    )
    ocp.PyTreeCheckpointer().restore(path, item=state(2, dtype=jnp.float16))
    assert [f.severity for f in watched.last("restore").findings if f.code == "T234"] == ["warning"]


@pytest.mark.parametrize("way", ["std", "manager", "v1"])
def test_values_that_a_cast_has_lost(way: str, tmp_path: Path, watched: Watched) -> None:
    origin = state(1)
    origin["params"]["enc"]["bias"] = origin["params"]["enc"]["bias"].at[2].set(7e4)
    target = state(2, dtype=jnp.float16)
    path = (tmp_path / "here").resolve()
    if way == "std":
        restored(saved(tmp_path, origin), target)
    elif way == "manager":
        with ocp.CheckpointManager(path) as manager:
            manager.save(1, args=ocp.args.StandardSave(origin))
            manager.restore(1, args=ocp.args.StandardRestore(target))
    else:
        v1.save_pytree(path, origin)
        v1.load_pytree(path, target)
    watched.guard.close()
    assert watched.codes() == ["T204"]
    assert "1 value of params/enc/bias became infinite: 70000 does not fit into float16" in watched.of("T204")


def test_a_fraction_that_is_lost(tmp_path: Path, watched: Watched) -> None:
    target = state(2)
    target["params"]["head"]["kernel"] = jnp.zeros((6, 2), jnp.int32)
    restored(saved(tmp_path, state(1)), target)
    assert watched.codes() == ["T204"]
    assert "12 values of params/head/kernel lost the fraction" in watched.of("T204")


def test_nan_in_the_file(tmp_path: Path, watched: Watched) -> None:
    origin = state(1)
    origin["params"]["enc"]["bias"] = origin["params"]["enc"]["bias"].at[2].set(jnp.nan)
    path = saved(tmp_path, origin)
    watched.seen.clear()
    restored(path, state(2))
    assert "N101" in watched.codes()
    serialization.from_bytes(state(2), serialization.to_bytes(origin))
    assert "N101" in [f.code for f in watched.seen[-1].findings]


def test_a_new_layer_that_keeps_its_initial_values(tmp_path: Path, watched: Watched) -> None:
    target = {"params": weights(2) | {"new": {"kernel": jnp.ones((3, 3))}}}
    path = saved(tmp_path, {"params": weights(1)})
    with pytest.raises(ValueError, match="tree structures do not match"):
        restored(path, target)
    assert watched.last("restore").error.startswith("ValueError: ")
    assert (
        watched.of("T201") == "`params/new/kernel`, (3, 3) float32, is in the model and not in the checkpoint"
    )
    told = ocp.checkpoint_utils.construct_restore_args(target)
    found = ocp.PyTreeCheckpointer().restore(path, item=target, restore_args=told, transforms={})
    assert same(found["params"]["new"], target["params"]["new"])
    assert watched.last("restore").sentence.startswith("restored 3 of 4 tensors")
    assert watched.codes().count("T201") == 2
    assert watched.last("restore").findings[0].message.endswith("it kept its initial value")


def test_arrays_that_were_cut_or_padded(tmp_path: Path, watched: Watched) -> None:
    found = restored(saved(tmp_path, weights(1)), weights(2, width=8), strict=False)
    assert found["enc"]["bias"].shape == (8,)
    assert set(watched.codes()) == {"T203"}


def test_a_learning_rate_that_is_put_back(tmp_path: Path, watched: Watched) -> None:
    def tx(rate: float) -> Any:
        return optax.inject_hyperparams(optax.adam)(learning_rate=rate)

    restored(saved(tmp_path, state(1, tx(1e-3))), state(2, tx(5e-3)))
    assert watched.codes() == ["O207"]
    assert watched.of("O207").startswith("learning_rate was 0.005 in the code and is 0.001 since this load")


def test_steps_that_are_passed_over(tmp_path: Path, watched: Watched) -> None:
    with ocp.CheckpointManager((tmp_path / "run").resolve()) as manager:
        manager.save(5, args=ocp.args.StandardSave(weights(1)))
        assert manager.save(3, args=ocp.args.StandardSave(weights(2))) is False
    assert watched.codes() == ["S148"]
    assert watched.of("S148") == "step 3 was not saved: the newest step in the folder is 5"


def test_a_manager_that_sees_no_step(tmp_path: Path, watched: Watched) -> None:
    folder = (tmp_path / "run").resolve()
    with ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(step_prefix="epoch")) as manager:
        manager.save(5, args=ocp.args.StandardSave(weights(1)))
    with ocp.CheckpointManager(folder) as manager:
        assert manager.latest_step() is None
        assert watched.codes() == ["T233"]
        assert "there is epoch_5, which it does not take for a step" in watched.of("T233")
        with pytest.raises(FileNotFoundError, match="No steps found"):
            manager.restore(None)
    assert watched.last("restore").error.startswith("FileNotFoundError: No steps found")


def test_flax_checks_no_shape_and_no_dtype(watched: Watched) -> None:
    data = serialization.to_bytes(state(1))
    assert same(serialization.from_bytes(state(2), data), state(1))
    assert watched.codes() == []
    assert watched.seen[-1].api == "flax.serialization.from_bytes"
    serialization.from_bytes(state(2, width=3), data)
    assert watched.codes() == ["T234"]
    serialization.from_bytes(state(2, dtype=jnp.bfloat16), data)
    assert watched.codes() == ["T234", "T234"]
    with pytest.raises(ValueError, match="do not match"):
        serialization.from_bytes({"params": weights(2) | {"new": jnp.ones(3)}}, data)
    assert watched.of("T201").startswith("`params/new`")
    with pytest.raises(ValueError, match="incomplete"):
        serialization.from_bytes(state(2), data[:-5])
    assert watched.seen[-1].error.startswith("ValueError: Unpack failed")


def test_state_of_another_optimizer_is_not_called_missing(watched: Watched) -> None:
    data = serialization.to_bytes(state(1))
    chained = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    for tx, told in ((optax.sgd(0.1, momentum=0.9), "O203"), (chained, "O204")):
        with pytest.raises(ValueError, match="do not match"):
            serialization.from_bytes(state(2, tx), data)
        assert watched.codes() == [told]
        assert "None" not in watched.of(told)
        watched.seen.clear()
    without = serialization.to_bytes({"params": weights(1), "opt_state": {}, "step": 1})
    with pytest.raises(ValueError, match="do not match"):
        serialization.from_bytes(state(2), without)
    assert watched.codes() == ["O201"]


def test_a_save_that_fails_is_not_explained_by_what_it_did_not_write(
    watched: Watched, tmp_path: Path
) -> None:
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        manager.save(1, args=ocp.args.PyTreeSave(state(1)))
        manager.wait_until_finished()
        with pytest.raises(ValueError, match="registered handler"):
            manager.save(2, args=ocp.args.StandardSave(state(2)))
    assert list((tmp_path / "run").glob("2.orbax-checkpoint-tmp*"))
    failed = [s for s in watched.seen if s.error]
    assert failed and not any("not-found" in s.facts.get("diagnosis", ()) for s in failed)


def test_copies_in_memory_are_not_told(watched: Watched) -> None:
    found = state(1)
    for _ in range(3):
        found = serialization.from_state_dict(found, serialization.to_state_dict(state(2)))
    assert same(found, state(2))
    assert watched.seen == []


@pytest.mark.parametrize("orbax", [True, False])
def test_checkpoints_of_flax(orbax: bool, tmp_path: Path, watched: Watched) -> None:
    before = flax.config.flax_use_orbax_checkpointing
    flax.config.update("flax_use_orbax_checkpointing", orbax)
    try:
        folder, target = (tmp_path / "run").resolve(), weights(2)
        assert checkpoints.restore_checkpoint(folder, target) is target
        assert watched.codes() == ["T233"]  # nothing is there: a run may begin here
        assert watched.seen[-1].worst == "warning"
        checkpoints.save_checkpoint(folder, weights(1), 3)
        assert same(checkpoints.restore_checkpoint(folder, target), weights(1))
        assert watched.codes() == ["T233"]
        assert watched.seen[-1].sentence.startswith("restored all 3 tensors")
        assert checkpoints.restore_checkpoint(folder, target, prefix="run_") is target
        assert watched.seen[-1].worst == "error"
    finally:
        flax.config.update("flax_use_orbax_checkpointing", before)


# -- the program as it was ------------------------------------------------------------------------------------------------
def test_nothing_is_kept_alive(tmp_path: Path, watched: Watched) -> None:
    gc.collect()
    gc.disable()
    try:
        origin = weights(1)
        known = [weakref.ref(leaf) for leaf in jax.tree.leaves(origin)]
        path = saved(tmp_path, origin)
        del origin
        found = restored(path, weights(2))
        known += [weakref.ref(leaf) for leaf in jax.tree.leaves(found)]
        del found
        serialization.from_bytes(weights(2), serialization.to_bytes(weights(1)))
        assert [one for one in known[3:] if one() is not None] == []
        assert [one for one in known[:3] if one() is not None] == []
    finally:
        gc.enable()


def test_hooks_are_taken_away() -> None:
    before = (
        ocp.CheckpointManager.save,
        serialization.from_bytes,
        v1.load_pytree,
        checkpoints.restore_checkpoint,
    )
    guard = Guard()
    assert ocp.CheckpointManager.save is not before[0]
    guard.close()
    after = (
        ocp.CheckpointManager.save,
        serialization.from_bytes,
        v1.load_pytree,
        checkpoints.restore_checkpoint,
    )
    assert before == after


@pytest.mark.long
def test_arrays_on_several_devices(tmp_path: Path) -> None:
    """In a process of its own: the number of devices is said before jax is loaded."""
    script = tmp_path / "sharded.py"
    script.write_text(textwrap.dedent("""
        import sys
        import jax, numpy as np, orbax.checkpoint as ocp
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
        def made(seed):
            draw = np.random.default_rng(seed)
            return {"w": jax.device_put(draw.normal(size=(8, 4)).astype("float32"), NamedSharding(mesh, P("x", "y"))),
                    "b": jax.device_put(draw.normal(size=4).astype("float32"), NamedSharding(mesh, P()))}
        with ocp.StandardCheckpointer() as c:
            c.save(sys.argv[1], made(1))
            c.wait_until_finished()
            found = c.restore(sys.argv[1], made(2))
        assert all((a == b).all() for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(made(1))))
        assert found["w"].sharding.spec == P("x", "y")
    """))  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", str(script), str((tmp_path / "state").resolve())],
        capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu",
                                             "XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "restored all 2 tensors, 100 % of bytes" in done.stderr
    assert "nothing wrong" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("way", ["checkpointer", "manager"])
def test_a_background_save_that_fails_unseen(way: str, tmp_path: Path) -> None:
    """The disk takes no file so large; nobody waits for the thread in which that is raised."""
    script = tmp_path / "unseen.py"
    script.write_text(
        textwrap.dedent("""
        import resource, signal, sys
        import numpy as np, orbax.checkpoint as ocp
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        tree = {"w": np.random.default_rng(0).normal(size=(500, 500))}
        if sys.argv[1] == "manager":
            ocp.CheckpointManager(sys.argv[2]).save(1, args=ocp.args.StandardSave(tree))
        else:
            ocp.StandardCheckpointer().save(sys.argv[2], tree)
        print("went on")
    """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", str(script), way, str((tmp_path / "state").resolve())],
        capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.stdout == "went on\n"
    assert "S146 this save failed (ValueError: OUT_OF_RANGE" in done.stderr


def test_a_folder_that_is_deleted_first(tmp_path: Path, watched: Watched) -> None:
    path = (tmp_path / "state").resolve()
    for seed in range(2):
        with ocp.StandardCheckpointer() as writer:
            writer.save(path, weights(seed), force=True)
    watched.guard.close()
    notes = [f for s in watched.seen for f in s.findings if f.code == "S141"]
    assert [f.severity for f in notes] == ["note"]
    assert "deletes the folder that is there" in notes[0].message
    assert watched.codes() == []


def test_a_plain_number_that_comes_back_as_an_array_is_no_loss(watched: Watched) -> None:
    """A ``TrainState`` is made with ``step=0``; after a jitted step it is an array, and so it is in the file."""
    made = TrainState.create(apply_fn=None, params=weights(1), tx=optax.adam(0.1))
    saved = serialization.to_bytes(made.replace(step=jnp.asarray(6)))
    came = serialization.from_bytes(made, saved)
    assert int(came.step) == 6
    assert "initial value" not in watched.seen[-1].sentence
    assert watched.codes() == []
