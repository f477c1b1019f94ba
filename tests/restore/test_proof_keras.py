"""After a restore every live value is what was read: those that are the very memory that was read to, and those that
something has changed since."""

from __future__ import annotations

import numpy as np
import pytest

import holdfast
from holdfast._core.errors import DamagedCheckpoint, HoldfastError, RestoreInterrupted
from holdfast._frameworks import LiveCatalog
from holdfast._restore import engine

tf = pytest.importorskip("tensorflow")


def made(seed: int) -> tf.Module:
    rng = np.random.default_rng(seed)
    module = tf.Module()
    module.a = tf.Variable(rng.normal(size=(700, 900)).astype("f4"))
    module.b = tf.Variable(rng.normal(size=(300,)).astype("f4"))
    module.c = tf.Variable(rng.normal())
    return module


@pytest.fixture
def checkpoint(tmp_path):
    module = made(0)
    return module, tf.train.Checkpoint(model=module).write(str(tmp_path / "ck"))


def test_memory_that_was_read_to_is_not_hashed_again(checkpoint, monkeypatch):
    stored, path = checkpoint
    looked: list[str] = []
    hashed = engine.live_checksum
    monkeypatch.setattr(engine, "live_checksum", lambda v: looked.append(v.spec.name) or hashed(v))
    live = made(1)
    outcome = holdfast.restore(path, model=live)
    assert looked == ["model/c"], "all but the scalar, which TensorFlow takes by assignment alone"
    assert outcome.proof == "checksums"
    for one, other in zip(live.variables, stored.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("rollback", [True, False])
@pytest.mark.parametrize("change", ["assign", "copied"])
def test_a_value_that_was_replaced_since_is_hashed(checkpoint, monkeypatch, change, rollback):
    stored, path = checkpoint
    live = made(1)
    before = live.a.numpy()
    finish = LiveCatalog.finish

    def meddling(catalog: LiveCatalog) -> None:
        finish(catalog)
        live.a.assign(stored.a + (1 if change == "assign" else 0))

    monkeypatch.setattr(LiveCatalog, "finish", meddling)
    if change == "copied":  # the same values in other memory are right
        holdfast.restore(path, model=live, rollback=rollback)
        assert live.a.numpy().tobytes() == stored.a.numpy().tobytes()
        return
    kind = HoldfastError if rollback else RestoreInterrupted
    with pytest.raises(kind, match="does not hold what was read") as caught:
        holdfast.restore(path, model=live, rollback=rollback)
    assert not isinstance(caught.value, DamagedCheckpoint)  # the checkpoint is not at fault
    if rollback:
        assert live.a.numpy().tobytes() == before.tobytes()


def test_new_memory_for_every_kind_of_shape():
    from holdfast._frameworks.tensorflow.fresh import fresh

    for value in (np.arange(6, dtype="i8").reshape(1, 2, 3), np.ones(5, "?"), np.zeros((300, 7), "f4")):
        for variable in (tf.Variable(value), tf.Variable(value, shape=tf.TensorShape(None))):
            held = variable.read_value()
            got = fresh(variable)
            assert got is not None
            array, commit = got
            array[...] = value + 1 if array.dtype != bool else ~value
            assert np.array_equal(variable.numpy(), value)
            place = array.ctypes.data
            commit()
            assert np.array_equal(variable.numpy(), array)
            assert np.array_equal(held.numpy(), value)
            assert np.asarray(variable.read_value()).ctypes.data == place
    assert fresh(tf.Variable(2.0)) is None  # a scalar comes out as a copy
