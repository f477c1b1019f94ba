"""Mutations between saving and loading on JAX, loaded as people write it: Orbax's checkpointers, its manager and version 1,
flax's ``from_bytes`` and ``restore_checkpoint``. A call gives new trees: those are judged."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import orbax.checkpoint.experimental.v1 as v1
from flax import serialization
from flax.training import checkpoints
from harness import Case, Row
from jax import numpy as jnp
from jax_rows import (
    adam,
    adapter,
    averages_swapped,
    bits,
    cast,
    crossed,
    double,
    flat,
    head_of,
    headless,
    in_order,
    injected,
    momentum,
    nan,
    other_model,
    params,
    renamed,
    rows_permuted,
    same,
    scheduled,
    sgd,
    split,
    trained,
    tree,
    turned,
    with_average,
    without_statistics,
)
from watched_matrix import Cell

__all__ = ["CELLS"]

logging.getLogger("absl").setLevel("CRITICAL")  # Orbax's own words, for every other cell

Tree = dict[str, Any]
Change = Callable[[Tree], Tree]


@dataclass(frozen=True)
class Mutation:
    """``saved`` and ``live`` change the trees on either side; with ``optimizer`` a few steps are trained before the save."""

    name: str
    expect: str
    codes: tuple[str, ...] = ()
    saved: Change = same
    live: Change = same
    optimizer: Callable[[], Any] | None = None
    live_optimizer: Callable[[], Any] | None = None
    with_state: bool = True
    steps: int = 3


def large(found: Tree) -> Tree:
    return {**found, "head": {**found["head"], "bias": found["head"]["bias"].at[0].set(70000.0)}}


def tied(found: Tree) -> Tree:
    return {**found, "decoder": found["encoder"]}


def whole_numbers(found: Tree) -> Tree:
    return {**found, "head": jax.tree.map(lambda x: x.astype(jnp.int32), found["head"])}


M = Mutation
MUTATIONS: tuple[Mutation, ...] = (
    M("plain", "exact"),
    M("plain, Adam", "exact", optimizer=adam),
    M("plain, momentum", "exact", optimizer=momentum),
    M("plain, schedule in the state", "exact", optimizer=scheduled),
    M("plain, injected hyperparameters", "exact", optimizer=injected),
    M("plain, partitioned", "exact", optimizer=split),
    M("saved before the first step", "exact", optimizer=adam, steps=0),
    M("with an averaged copy", "exact", saved=with_average, live=with_average),
    M("tied at save, untied at load", "exact", saved=params(tied)),
    M("untied at save, tied at load", "exact", live=params(tied)),
    M("order of the layers changed", "exact", live=params(in_order("head", "decoder", "encoder"))),
    M("layer added at end", "refuse", ("T201",), live=params(adapter)),
    M("layer added at end, with optimizer", "refuse", ("T201",), live=params(adapter), optimizer=adam),
    M("layer removed at end", "leftover", ("T202",), live=params(headless)),
    M("units changed", "lossy", ("T203",), live=lambda found: tree(2, width=12)),
    M("fewer classes", "lossy", ("T203",), live=params(head_of(2))),
    M("more classes, with optimizer", "lossy", ("T203",), optimizer=adam, live=params(head_of(5))),
    M("layer renamed only", "refuse", ("T205",), live=params(renamed)),
    M("dtype f32->f16", "lossy", ("T204",), live=params(cast(jnp.float16))),
    M("dtype f32->f16 (a weight of 70000)", "lossy", ("T204",), saved=params(large), live=params(cast(jnp.float16))),
    M("dtype f32->bf16", "lossy", ("T204",), live=params(cast(jnp.bfloat16))),
    M("dtype f64->f32", "lossy", ("T204",), saved=params(double)),
    M("dtype f32->int32", "lossy", ("T204",), live=params(whole_numbers)),
    M("kernel transposed", "refuse", ("T206", "T203"), saved=params(turned("head"))),
    M("square weight transposed", "indistinguishable", saved=params(turned("encoder"))),
    M("same-shape layers crossed in the file", "indistinguishable", saved=params(crossed)),
    M("vocabulary rows permuted", "indistinguishable", saved=params(rows_permuted)),
    M("averaged copy and raw weights swapped", "indistinguishable", saved=averages_swapped, live=with_average),
    M("BatchNorm running stats absent", "refuse", ("T201",), saved=without_statistics),
    M("NaN in weights", "refuse", ("N101",), saved=params(nan)),
    M("another model altogether", "refuse", ("T223",), live=other_model),
    M("optimizer Adam->SGD(no momentum)", "refuse", ("O203",), optimizer=adam, live_optimizer=sgd),
    M("optimizer Adam->SGD(momentum)", "refuse", ("O203",), optimizer=adam, live_optimizer=momentum),
    M("optimizer SGD(momentum)->Adam", "refuse", ("O203",), optimizer=momentum, live_optimizer=adam),
    M("optimizer SGD->Adam", "refuse", ("O201",), optimizer=sgd, live_optimizer=adam),
    M("lr changed before restore", "exact", optimizer=adam, live_optimizer=lambda: optax.adam(2e-2)),
    M("injected lr changed before restore", "refuse", ("O207",), optimizer=injected, live_optimizer=lambda: injected(2e-2)),
    M("optimizer state absent in ckpt", "refuse", ("O201",), optimizer=adam, with_state=False),
    M("param group split (partition)", "refuse", ("O203",), optimizer=adam, live_optimizer=split),
)  # fmt: skip


# -- the two sides -----------------------------------------------------------------------------------------------
def sides(mutation: Mutation) -> tuple[Tree, Tree]:
    """What is saved, and the target."""
    origin, here = tree(1), mutation.live(tree(2))
    saved = mutation.saved(origin)
    if mutation.optimizer is not None:
        tx = mutation.optimizer()
        origin, state = trained(origin, tx, tx.init(origin["params"]), 0, mutation.steps)
        saved = mutation.saved(origin)
        if mutation.with_state:
            saved = {**saved, "opt_state": state}
        here = {**here, "opt_state": (mutation.live_optimizer or mutation.optimizer)().init(here["params"])}
    return saved, here


def truth(saved: Tree, here: Tree) -> Mapping[str, np.ndarray]:
    """The saved values of each of the target's paths in the target's dtype; what nobody can have where there are none, or of
    another shape, or where the dtype cannot hold them."""
    mine, theirs = flat(here, "/"), flat(saved, "/")
    found = {}
    for name, asked in mine.items():
        values = theirs.get(name)
        held = values is not None and values.shape == asked.shape and holds(asked.dtype, values)
        found[name] = values.astype(asked.dtype) if held else np.full(asked.shape, 113, asked.dtype)
    return found


def holds(dtype: np.dtype, values: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        there, wide = values.astype(dtype).astype(np.float64), values.astype(np.float64)
    exact = dtype.kind in "iub" and values.dtype.kind not in "iub"
    return bool(np.all(there == wide)) if exact else bool(np.all(np.isfinite(there) == np.isfinite(wide)))


# -- saving and loading ----------------------------------------------------------------------------------------------
def abstract(target: Any) -> Any:
    return jax.eval_shape(lambda: target)


def given(target: Any) -> Any:
    return target


def place(folder: Path) -> Path:
    return (folder / "saved").resolve()


def save_std(folder: Path, saved: Tree) -> None:
    with ocp.StandardCheckpointer() as writer:
        writer.save(place(folder), saved)


def load_std(path: str, target: Any, seen_as: Callable[[Any], Any]) -> Any:
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(path, seen_as(target))


def load_item(path: str, target: Any) -> Any:
    return ocp.PyTreeCheckpointer().restore(path, item=target)


def load_item_args(path: str, target: Any) -> Any:
    told = ocp.checkpoint_utils.construct_restore_args(target)
    return ocp.PyTreeCheckpointer().restore(path, item=target, restore_args=told)


def load_transforms(path: str, target: Any) -> Any:
    told = ocp.checkpoint_utils.construct_restore_args(target)
    return ocp.PyTreeCheckpointer().restore(path, item=target, restore_args=told, transforms={})


def save_manager(folder: Path, saved: Tree) -> None:
    with ocp.CheckpointManager(place(folder)) as manager:
        manager.save(3, args=ocp.args.StandardSave(saved))


def load_manager(path: str, target: Any) -> Any:
    with ocp.CheckpointManager(path) as manager:
        return manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(target))


def save_items(folder: Path, saved: Tree) -> None:
    with ocp.CheckpointManager(place(folder), item_names=("variables", "about")) as manager:
        manager.save(3, args=ocp.args.Composite(
            variables=ocp.args.StandardSave(saved), about=ocp.args.JsonSave({"epoch": 3})))  # fmt: skip


def load_items(path: str, target: Any) -> Any:
    with ocp.CheckpointManager(path, item_names=("variables", "about")) as manager:
        found = manager.restore(3, args=ocp.args.Composite(
            variables=ocp.args.StandardRestore(target), about=ocp.args.JsonRestore()))  # fmt: skip
        return found["variables"]


def save_v1(folder: Path, saved: Tree) -> None:
    v1.save_pytree(place(folder), saved)


def load_v1(path: str, target: Any) -> Any:
    return v1.load_pytree(path, abstract(target))


def save_v1_manager(folder: Path, saved: Tree) -> None:
    with v1.training.Checkpointer(place(folder)) as manager:
        manager.save(3, saved)


def load_v1_manager(path: str, target: Any) -> Any:
    with v1.training.Checkpointer(path) as manager:
        return manager.load(None, abstract(target))


def save_bytes(folder: Path, saved: Tree) -> None:
    place(folder).write_bytes(serialization.to_bytes(saved))


def load_bytes(path: str, target: Any) -> Any:
    return serialization.from_bytes(target, Path(path).read_bytes())


def save_flax(folder: Path, saved: Tree) -> None:
    flax.config.update("flax_use_orbax_checkpointing", False)
    try:
        checkpoints.save_checkpoint(place(folder), saved, 3)
    finally:
        flax.config.update("flax_use_orbax_checkpointing", True)


def load_flax(path: str, target: Any) -> Any:
    return checkpoints.restore_checkpoint(path, target)


WAYS: tuple[tuple[str, Callable[[Path, Tree], None], Callable[[str, Any], Any]], ...] = (
    ("std", save_std, partial(load_std, seen_as=given)),
    ("std, abstract", save_std, partial(load_std, seen_as=abstract)),
    ("pytree item=", save_std, load_item),
    ("pytree restore_args=", save_std, load_item_args),
    ("pytree transforms={}", save_std, load_transforms),
    ("manager", save_manager, load_manager),
    ("manager, items", save_items, load_items),
    ("v1", save_v1, load_v1),
    ("v1 manager", save_v1_manager, load_v1_manager),
    ("flax bytes", save_bytes, load_bytes),
    ("flax checkpoints", save_flax, load_flax),
)
_ABSTRACT = frozenset({"std, abstract", "v1", "v1 manager"})
"""Ways whose target has no values: what the code had set is not in it."""


def cell(
    mutation: Mutation, way: str, save: Callable[[Path, Tree], None], load: Callable[[str, Any], Any]
) -> Cell:
    def make(folder: Path) -> Case:
        saved, here = sides(mutation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(folder, saved)
        return Case(str(place(folder)), {"model": here}, truth(saved, here))

    def loaded(case: Case) -> None:
        before = bits(case.parts["model"])
        result = load(case.path, case.parts["model"])
        assert bits(case.parts["model"]) == before, "the target changed"
        case.parts = {"model": result}

    codes = mutation.codes
    if (
        way == "pytree transforms={}" and mutation.live_optimizer is sgd
    ):  # asked for: what the target has not is left out
        return Cell(Row(mutation.name, "jax", "leftover", make, codes[:0]), way, loaded)
    if way in _ABSTRACT and codes == ("O207",):
        return Cell(Row(mutation.name, "jax", "exact", make), way, loaded)
    return Cell(Row(mutation.name, "jax", mutation.expect, make, codes), way, loaded)


CELLS: list[Cell] = [cell(mutation, *way) for way in WAYS for mutation in MUTATIONS]


def flipped(way: int) -> Cell:
    """A byte that is cut off in the middle of the data."""
    whole = cell(MUTATIONS[0], *WAYS[way])

    def make(folder: Path) -> Case:
        case = whole.row.make(folder)

        def damage() -> None:
            for file in sorted(Path(case.path).rglob("*")):
                if file.is_file() and file.parent.name == "d":
                    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

        case.damage = damage
        return case

    return replace(whole, row=replace(whole.row, mutation="half truncated", expect="refuse", make=make))


CELLS += [flipped(way) for way in (0, 2, 5, 7)]
