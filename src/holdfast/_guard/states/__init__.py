"""Values in memory, as a framework's own call is given them, as catalogs: one module a framework.

A module has ``state(call, origins, models) -> State | None``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..._core.catalog import Catalog
from ..._core.finding import Finding
from ..._core.spec import TensorSpec
from ..._frameworks import LiveCatalog, live_catalog
from ..._frameworks.events import Call

if TYPE_CHECKING:
    from ..loaded import Loaded
    from ..origins import Origins

__all__ = ["STATES", "State", "also_told", "state_of", "stored_after"]

STATES: dict[str, str] = {"torch": "torch_state", "jax": "jax_state"}
"""Framework -> our room for its values in memory."""


@dataclass(slots=True)
class State:
    """``open``: makes the catalog of what is loaded. ``parts``: the live objects that it is held against. ``only``: the part that
    the call sets, where the others are there for their names alone. ``path``: the file that the values came from, if known.
    ``made``: the live objects that the call gave, by part, where it makes new ones. ``given``: all trees that it gave, ``now``
    makes a catalog of them. ``described``: describes live objects, where the framework is not to be guessed.

    ``by_position``: the framework goes by the positions in the file, whatever they were. ``owned``: hyperparameters that a
    scheduler sets, whatever a load puts there. ``earlier``: live names that keep what they have by right: an earlier load set
    them. ``after``: given what became of the load, to add what the framework alone knows. ``within(file)``: what stands in the
    file before the names of ``open()``; ``None`` where they are a part of a model only. ``loose``: a model that lives and was
    not loaded: copies of its tensors were. ``own``: live names for which what is loaded holds the live values themselves.
    ``left_out``: live names for which the file has a tensor that the program does not load -> that tensor.
    """

    open: Callable[[], Catalog]
    parts: Mapping[str, Any]
    only: str | None = None
    path: str | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    now: Callable[[], Catalog] | None = None
    given: Sequence[Any] = ()
    described: Callable[..., LiveCatalog] = live_catalog
    by_position: bool = False
    owned: Collection[str] = ()
    earlier: Collection[str] = ()
    after: Callable[[Loaded], None] | None = None
    within: Callable[[Catalog], str | None] | None = None
    loose: str = ""
    own: Collection[str] = ()
    left_out: Mapping[str, TensorSpec] = field(default_factory=dict)


def state_of(call: Call, origins: Origins, models: Sequence[Any]) -> State | None:
    """What an ``assign`` call puts into which objects; ``None`` where it cannot be told. ``models``: objects that were loaded
    before."""
    room = STATES.get(call.framework)
    if room is None:
        return None
    found = import_module(f"{__name__}.{room}").state(call, origins, models)
    assert found is None or isinstance(found, State)
    return found


def stored_after(call: Call) -> State | None:
    """What lies in a checkpoint that only the framework itself reads, asked of it after a ``restore`` call; ``None`` where it
    cannot be told."""
    found = import_module(f"{__name__}.{STATES[call.framework]}").afterwards(call)
    assert found is None or isinstance(found, State)
    return found


def also_told(call: Call, parts: Mapping[str, Any], made: Mapping[str, Any]) -> list[Finding]:
    """What a framework's room says of a call that makes new objects (``made``) by the pattern of others (``parts``)."""
    room = STATES.get(call.framework)
    if room is None or not made:
        return []
    told = getattr(import_module(f"{__name__}.{room}"), "told_by", None)
    return (
        [f for part, thing in parts.items() if part in made for f in told(thing, made[part])] if told else []
    )
