"""A save between two updates of a gradient accumulation keeps what was gathered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast import Vault


def test_keras_goes_on_bit_for_bit(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")

    def made() -> object:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
        model.compile(keras.optimizers.Adam(0.01, gradient_accumulation_steps=4), "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    draw = np.random.default_rng(0)
    x, y = draw.random((8, 4), dtype="f4"), draw.random((8, 3), dtype="f4")
    model, other = made(), made()
    for _ in range(2):
        model.train_on_batch(x, y)
    with Vault(tmp_path / "run") as vault:
        vault.save(2, model=model, optimizer=model.optimizer)
        for _ in range(3):
            model.train_on_batch(x, y)
        vault.restore(model=other, optimizer=other.optimizer)
        for _ in range(3):
            other.train_on_batch(x, y)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)


def test_optax_goes_on_bit_for_bit(tmp_path: Path) -> None:
    jnp = pytest.importorskip("jax.numpy")
    optax = pytest.importorskip("optax")
    update = optax.MultiSteps(optax.adam(0.1), 4)
    gradients = {"w": jnp.arange(3.0)}

    def train(weights: object, state: object, steps: int) -> tuple[object, object]:
        for _ in range(steps):
            changes, state = update.update(gradients, state, weights)
            weights = optax.apply_updates(weights, changes)
        return weights, state

    weights = {"w": jnp.ones((3,))}
    weights, state = train(weights, update.init(weights), 2)
    fresh = {"w": jnp.zeros((3,))}
    with Vault(tmp_path / "run") as vault:
        vault.save(2, model=weights, optimizer=state)
        outcome = vault.restore(model=fresh, optimizer=update.init(fresh))
    expected, _ = train(weights, state, 3)
    got, _ = train(outcome.model, outcome.optimizer, 3)
    assert np.array_equal(expected["w"], got["w"])
