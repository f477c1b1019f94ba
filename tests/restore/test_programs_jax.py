"""Programs as people write them in JAX: renamed attributes, described trees, other chains of optax, copies for each device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")
jnp = jax.numpy

import holdfast  # noqa: E402
from holdfast import Vault  # noqa: E402

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


class Net(nnx.Module):  # type: ignore[misc]
    def __init__(self, last: str, rngs: Any) -> None:
        self.body, self.norm = nnx.Linear(5, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs)
        setattr(self, last, nnx.Linear(6, 2, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        return (self.head if hasattr(self, "head") else self.tail)(nnx.relu(self.norm(self.body(x))))


def made(last: str) -> tuple[Any, Any]:
    model = Net(last, nnx.Rngs(0))
    return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


def leaves(*things: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for thing in things for leaf in jax.tree.leaves(nnx.state(thing))]


def test_a_renamed_attribute_takes_its_moments_along(tmp_path: Path) -> None:
    model, optimizer = made("head")
    optimizer.update(model, nnx.grad(lambda m: (m(X) ** 2).mean())(model))
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=optimizer)
    other, fresh = made("tail")
    report = holdfast.check(tmp_path / "run", model=other, optimizer=fresh)
    assert [f.code for f in report.findings if f.severity == "error"] == ["T205"]
    allow = ["rename:head/*->tail/*"]
    assert [f.edit for f in report.findings if f.edit] == allow
    after = holdfast.check(tmp_path / "run", model=other, optimizer=fresh, allow=allow)
    assert [f.code for f in after.findings if f.severity != "note"] == []
    outcome = holdfast.restore(tmp_path / "run", model=other, optimizer=fresh, allow=allow)
    assert outcome.step == 1
    key = lambda array: (array.shape, array.tobytes())  # noqa: E731 - the attributes' order is another one
    assert sorted(map(key, leaves(other, fresh))) == sorted(map(key, leaves(model, optimizer)))


def test_without_the_rename_nothing_is_restored(tmp_path: Path) -> None:
    model, optimizer = made("head")
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=optimizer)
        other, fresh = made("tail")
        before = [leaf.tobytes() for leaf in leaves(other, fresh)]
        with pytest.raises(holdfast.RestoreRefused):
            vault.restore(model=other, optimizer=fresh)
    assert [leaf.tobytes() for leaf in leaves(other, fresh)] == before


def weights(seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    shapes = {"body": {"kernel": (4, 5), "bias": (5,)}, "head": {"kernel": (5, 3), "bias": (3,)}}
    return {
        layer: {name: jnp.asarray(draw.normal(size=shape), "float32") for name, shape in each.items()}
        for layer, each in shapes.items()
    }


def stepped(tx: Any, seed: int = 0) -> tuple[Any, Any]:
    found = weights(seed)
    _, state = tx.update(found, tx.init(found), found)
    return found, state


def same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def test_keys_in_a_described_tree(tmp_path: Path) -> None:
    tree = {
        "w": jnp.ones(3),
        "key": jax.random.key(3),
        "each": jax.random.split(jax.random.key(5, impl="rbg"), 2),
    }
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=tree)
    found = holdfast.restore(tmp_path / "run", model=jax.eval_shape(lambda: tree)).model
    for name in ("key", "each"):
        assert found[name].dtype == tree[name].dtype
        assert same(jax.random.key_data(found[name]), jax.random.key_data(tree[name]))


def test_keys_of_another_kind_are_not_cut_or_padded(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(
            1, model={"w": jnp.ones(3), "one": jax.random.key(3), "other": jax.random.key(4, impl="rbg")}
        )
    fresh = {"w": jnp.zeros(3), "one": jax.random.key(0, impl="rbg"), "other": jax.random.key(0)}
    errors = [f for f in holdfast.check(tmp_path / "run", model=fresh).findings if f.severity == "error"]
    assert [(f.code, f.edit) for f in errors] == [("T203", None), ("T203", None)]
    assert all("keep-live" in f.remedy and "pad" not in f.remedy and "slice" not in f.remedy for f in errors)
    found = holdfast.restore(tmp_path / "run", model=fresh, allow=["keep-live:one", "keep-live:other"]).model
    assert found["one"].dtype == fresh["one"].dtype and same(found["w"], np.ones(3))


def test_a_count_at_another_place_of_the_chain(tmp_path: Path) -> None:
    rate = optax.cosine_decay_schedule(0.1, 9)
    params, state = stepped(optax.adam(rate))
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=params, optimizer=state)
    fresh = {"model": weights(1), "optimizer": optax.adamw(rate).init(params)}
    (finding,) = [f for f in holdfast.check(tmp_path / "run", **fresh).findings if f.severity == "error"]
    assert (finding.code, finding.edit) == ("O204", "rename:opt_state/1/count->opt_state/2/count")
    restored = holdfast.restore(tmp_path / "run", **fresh, allow=[finding.edit]).optimizer
    assert same((restored[0], restored[2]), state)


def test_a_count_that_the_checkpoint_never_had(tmp_path: Path) -> None:
    params, state = stepped(optax.adam(0.1))
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=params, optimizer=state)
    fresh = {"model": weights(1), "optimizer": optax.adam(optax.cosine_decay_schedule(0.1, 9)).init(params)}
    (finding,) = [f for f in holdfast.check(tmp_path / "run", **fresh).findings if f.severity == "error"]
    assert (finding.code, finding.edit) == ("O204", "reset-slots:opt_state/1/count")
    assert "weight" not in finding.message and "`opt_state/1/count`" in finding.message
    assert holdfast.restore(tmp_path / "run", **fresh, allow=[finding.edit]).optimizer[1].count == 0


def test_saved_with_a_copy_for_each_device(tmp_path: Path) -> None:
    params, state = stepped(optax.adam(0.1))
    copies = jax.tree.map(lambda x: jnp.stack([x] * 8), (params, state))
    with Vault(tmp_path / "copies") as vault:
        vault.save(1, model=copies[0], optimizer=copies[1])
    with Vault(tmp_path / "one") as vault:
        vault.save(1, model=params, optimizer=state)
    fresh = (weights(1), optax.adam(0.1).init(params))
    (finding,) = _errors(tmp_path / "copies", fresh)
    assert finding.code == "T203" and "in the checkpoint, of 8 in front" in finding.message
    assert finding.edit is None and "jnp.stack([x] * 8)" in finding.remedy
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 8), fresh)
    outcome = holdfast.restore(tmp_path / "copies", model=stacked[0], optimizer=stacked[1])
    assert same(jax.tree.map(lambda x: x[0], (outcome.model, outcome.optimizer)), (params, state))
    (finding,) = _errors(tmp_path / "one", stacked)
    assert finding.code == "T203" and "in the model, of 8 in front" in finding.message


def test_one_weight_with_an_axis_more_is_no_copy(tmp_path: Path) -> None:
    found = weights()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=found)
    other = weights(1)
    other["head"]["kernel"] = jnp.stack([other["head"]["kernel"]] * 8)
    (finding,) = [f for f in holdfast.check(tmp_path / "run", model=other).findings if f.severity == "error"]
    assert finding.code == "T203" and finding.tensors == ("head/kernel",)


def _errors(path: Path, fresh: tuple[Any, Any]) -> list[Any]:
    report = holdfast.check(path, model=fresh[0], optimizer=fresh[1])
    return [f for f in report.findings if f.severity == "error"]
