"""Frozen layers of Keras, variables of TensorFlow and arrays of JAX: linked, and right after every change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Vault
from holdfast._vault.folder.listing import record_of
from vault.test_incremental import FROZEN, TRAINED, inode


def homes(step: Path) -> dict[str, str]:
    return {row.name: row.stored[0].file for row in record_of(str(step)).tensors if row.stored}


def save(vault: Vault, step: int, **given: Any) -> Path:
    return Path(vault.save(step, blocking=True, **given).wait())


def test_a_model_that_is_built_again_is_no_other_variant(tmp_path: Path) -> None:
    """Keras counts on in one process: ``dense_3``, ``sequential_1``."""
    keras = pytest.importorskip("keras")

    def build(units: int) -> Any:
        return keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(units, "relu"),
                keras.layers.Dense(units, "relu"),
                keras.layers.Dense(1),
            ]
        )

    with Vault(tmp_path) as vault:
        for step, units in enumerate((4, 4, 5, 4)):
            save(vault, step, model=build(units))
        a, b, c, d = (row.variant for row in vault)
    assert a == b == d != c


def test_a_frozen_layer_of_keras(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((60,)),
            layers.Dense(400, name="encoder"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="head"),
        ]
    )
    model.get_layer("encoder").trainable = False
    model.compile("adam", "mse")
    x, y = np.random.default_rng(0).standard_normal((8, 60)).astype("f"), np.zeros((8, 2), "f")
    with Vault(tmp_path) as vault:
        paths, expected = [], []
        for step in (1, 2, 3):
            model.fit(x, y, verbose=0)
            paths.append(save(vault, step, model=model, optimizer=model.optimizer))
            expected.append([np.array(v) for v in model.variables])
        assert len({inode(path / FROZEN) for path in paths}) == 1
        found = homes(paths[2])
        assert {name for name, file in found.items() if file == FROZEN} == {
            name for name in found if "encoder/" in name and "optimizer" not in name
        }
        assert len([name for name in found if found[name] == FROZEN]) == 2
        assert {found[n] for n in found if n.endswith(("norm/moving_mean", "head/kernel"))} == {TRAINED}
        for step in (1, 2, 3):
            vault.restore(model=model, optimizer=model.optimizer, step=step)
            for value, was in zip(model.variables, expected[step - 1], strict=True):
                assert np.array(value).tobytes() == was.tobytes()
        model.get_layer("encoder").kernel.assign_add(model.get_layer("encoder").kernel)
        changed = save(vault, 4, model=model, optimizer=model.optimizer)
        assert inode(changed / FROZEN) != inode(paths[2] / FROZEN)
        kernel = np.array(model.get_layer("encoder").kernel)
        model.get_layer("encoder").kernel.assign(kernel * 0)
        vault.restore(model=model, optimizer=model.optimizer)
        assert np.array(model.get_layer("encoder").kernel).tobytes() == kernel.tobytes()


def test_variables_of_tensorflow_that_are_not_trained(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    body = tf.Module()
    body.base = tf.Variable(tf.range(30_000.0), trainable=False)
    body.head = tf.Variable(tf.ones(10))
    with Vault(tmp_path) as vault:
        paths = []
        for step in (1, 2, 3):
            body.head.assign_add(tf.ones(10))
            paths.append(save(vault, step, model=body))
        assert inode(paths[1] / FROZEN) == inode(paths[2] / FROZEN)
        body.base.scatter_nd_update([[5]], [9.0])
        changed = save(vault, 4, model=body)
        body.base.assign(tf.zeros(30_000))
        body.head.assign(tf.zeros(10))
        assert inode(paths[1] / FROZEN) not in {inode(file) for file in changed.iterdir()}
        vault.restore(model=body)
        assert float(body.base[5]) == 9
        assert float(body.head[0]) == 4
        vault.restore(model=body, step=3)
        assert float(body.base[5]) == 5


def test_arrays_of_jax_that_the_caller_names(tmp_path: Path) -> None:
    jnp = pytest.importorskip("jax.numpy")
    params = {"encoder": {"kernel": jnp.arange(30_000.0)}, "head": {"kernel": jnp.ones(10)}}
    with Vault(tmp_path) as vault:
        paths = []
        for step in (1, 2, 3):
            params["head"]["kernel"] += 1
            paths.append(save(vault, step, model=params, frozen="*encoder*"))
        assert len({inode(path / FROZEN) for path in paths}) == 1
        outcome = vault.restore(
            model={"encoder": {"kernel": jnp.zeros(30_000)}, "head": {"kernel": jnp.zeros(10)}}
        )
        assert outcome is not None
        assert float(outcome.model["encoder"]["kernel"][7]) == 7
        assert float(outcome.model["head"]["kernel"][0]) == 4
