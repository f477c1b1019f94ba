"""optax state in files without structure: told by path, field and the weights it mirrors, and by nothing less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors")
from safetensors.numpy import save_file

import holdfast

WEIGHTS = {"params/a/kernel": (3, 4), "params/a/bias": (4,), "params/b/kernel": (4, 2)}


def written(path: Path, shapes: dict[str, tuple[int, ...]], sep: str = "/") -> Path:
    arrays = {
        name.replace("/", sep): np.zeros(shape, np.int32 if name.endswith("count") else np.float32)
        for name, shape in shapes.items()
    }
    save_file(arrays, path)
    return path


def adam(root: str) -> dict[str, tuple[int, ...]]:
    slots = {
        f"{root}/0/{s}/{n.removeprefix('params/')}": shape
        for s in ("mu", "nu")
        for n, shape in WEIGHTS.items()
    }
    return {**WEIGHTS, **slots, f"{root}/0/count": ()}


@pytest.mark.parametrize("root", ["opt_state", "optimizer", "state/opt_state"])
@pytest.mark.parametrize("sep", ["/", "."])
def test_slots_have_owners(tmp_path: Path, root: str, sep: str) -> None:
    with holdfast.open(written(tmp_path / "m.safetensors", adam(root), sep)) as found:
        mu = found[f"{root}/0/mu/a/kernel".replace("/", sep)]
        assert (mu.role, mu.slot, mu.owner) == ("slot", "mu", "params/a/kernel".replace("/", sep))
        assert found[f"{root}/0/count".replace("/", sep)].role == "counter"
        (optimizer,) = found.optimizers
        assert (optimizer.class_name, optimizer.class_likely, optimizer.slots) == (None, "Adam", ("mu", "nu"))
        assert len(optimizer.groups[0].owners) == 3


def test_hyperparameters_and_gradients(tmp_path: Path) -> None:
    more = {
        "opt_state/hyperparams/learning_rate": (),
        "opt_state/inner_state/0/mu/a/kernel": (3, 4),
        "opt_state/acc_grads/a/kernel": (3, 4),
        "opt_state/mini_step": (1,),
    }
    with holdfast.open(written(tmp_path / "m.safetensors", {**WEIGHTS, **more})) as found:
        assert found["opt_state/hyperparams/learning_rate"].role == "hyperparameter"
        assert found["opt_state/acc_grads/a/kernel"].role == "gradient"
        assert found["opt_state/acc_grads/a/kernel"].owner == "params/a/kernel"
        assert found["opt_state/inner_state/0/mu/a/kernel"].owner == "params/a/kernel"


def test_two_networks_have_two_optimizers(tmp_path: Path) -> None:
    shapes = {f"{net}/k": (2, 2) for net in ("gen", "disc")}
    shapes |= {f"opt_state/{net}/0/mu/k": (2, 2) for net in ("gen", "disc")}
    with holdfast.open(written(tmp_path / "m.safetensors", shapes)) as found:
        assert {one.name for one in found.optimizers} == {"gen", "disc"}
        assert found["opt_state/gen/0/mu/k"].owner == "gen/k"
        assert found["opt_state/disc/0/mu/k"].owner == "disc/k"


@pytest.mark.parametrize(
    "names",
    [
        ["encoder/0/mu/kernel", "encoder/0/logvar/kernel"],  # a variational encoder's own layer
        ["vae/mu/weight", "vae/nu/weight"],
        ["optimizer/0/mu/a/kernel"],  # a slot's name, but no weight that it could be of
        ["optimizer/count", "a/kernel"],
        ["option/0/mu/a/kernel", "a/kernel"],
    ],
)
def test_other_names_stay_what_they_are(tmp_path: Path, names: list[str]) -> None:
    with holdfast.open(written(tmp_path / "m.safetensors", dict.fromkeys(names, (3, 3)))) as found:
        assert {spec.role for spec in found.values()} == {"weight"}
        assert found.optimizers == ()


def test_other_shapes_are_no_mirror(tmp_path: Path) -> None:
    shapes = {**WEIGHTS, "optimizer/0/mu/a/kernel": (7, 7), "optimizer/0/mu/b/kernel": (9,)}
    with holdfast.open(written(tmp_path / "m.safetensors", shapes)) as found:
        assert found.optimizers == ()
