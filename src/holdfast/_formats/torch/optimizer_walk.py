"""One optimizer in the walk: its groups, which parameters are in them, and every tensor of its state under its own name.

Facts: torch/optim/optimizer.py (``state_dict``: the state by the parameters' numbers, in the order of the groups).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..pickles.arrays import NumpyArray
from ..pickles.nodes import Made, PersistentId, as_text, items_of, mapping_of, pairs_of
from .leaves import Leaf, Optimizer, key_text, plain
from .views import Tensor

if TYPE_CHECKING:
    from .walk import Walk

__all__ = ["OptimizerWalk", "under"]

_MOST_SLOTS = 64
_MOST_VALUES = 100_000


def under(base: str, local: str) -> str:
    """The path of ``local`` below ``base``, which may be the root."""
    return f"{base}/{local}" if base else local


class OptimizerWalk:
    """``state``: the optimizer's state dict, or the attributes of the object itself, whose class is ``class_name``; ``name`` and
    ``key``: its path, as it is told and as it is stored."""

    def __init__(
        self, walk: Walk, state: dict[str, Any], name: str, key: str, class_name: str | None
    ) -> None:
        self.walk, self.state, self.name, self.key = walk, state, name, key
        self.made = Optimizer(name, class_name)
        self.made.defaults = {k: plain(v) for k, v in (mapping_of(state.get("defaults")) or {}).items()}
        self.index = len(walk.optimizers)
        walk.optimizers.append(self.made)

    def run(self, depth: int) -> None:
        """Walk the groups, the state, and what stands beside them."""
        place: dict[Any, int] = {}
        for number, group in enumerate(items_of(self.state.get("param_groups")) or ()):
            self._group(number, mapping_of(group) or {}, place, depth)
        for raw, slots in pairs_of(self.state.get("state")) or ():
            known = place.get(self._member_key(raw))
            text = str(known) if isinstance(raw, Made) and known is not None else key_text(raw)
            self._state(known, text, slots, depth)
        for word, value in self.state.items():
            if word not in ("state", "param_groups", "defaults") and not word.startswith("_"):
                self.walk.child(value, word, self.name, self.key, depth)

    # -- groups ----------------------------------------------------------------------------------------------
    def _group(self, number: int, words: dict[str, Any], place: dict[Any, int], depth: int) -> None:
        made, reader = self.made, self.walk.reader
        members = list(items_of(words.get("params")) or ())
        made.members.append(members)
        for member in members:
            position = len(place)
            place.setdefault(self._member_key(member), position)
            tensor = reader.tensor(member) if isinstance(member, Made) else None
            if tensor is not None:
                made.parameters[position] = tensor
        made.groups.append({k: plain(v) for k, v in words.items() if k not in ("params", "param_names")})
        made.names.append([as_text(n) or "" for n in items_of(words.get("param_names")) or ()])
        for word, value in words.items():
            if word != "params" and isinstance(value, (Made, PersistentId)):
                local = f"param_groups/{number}/{word}"
                for suffix, part in reader.parts(value) or ():
                    self.walk.add_tensor(
                        part,
                        under(self.name, local),
                        under(self.key, local),
                        suffix,
                        under(self.name, "param_groups"),
                        word,
                        depth,
                        optimizer=self.index,
                        hyper=True,
                    )

    def _member_key(self, member: Any) -> Any:
        """What the state's key and the group's member have in common: the number, the text, or the very tensor."""
        if isinstance(member, Made):
            tensor = self.walk.reader.tensor(member)
            return (
                ("tensor", tensor.identity)
                if tensor is not None and tensor.storage is not None
                else ("node", id(member))
            )
        if isinstance(member, (int, str)):
            return member
        return ("node", id(member))

    # -- state -----------------------------------------------------------------------------------------------
    def _state(self, position: int | None, text: str, slots: Any, depth: int) -> None:
        """The state of one parameter: ``position`` among all of them, ``text`` what the state has for its key."""
        made, walk = self.made, self.walk
        base = f"state/{text}"
        if position is not None:
            made.keys[position] = text
        parts = walk.reader.parts(slots) if isinstance(slots, (Made, PersistentId)) else None
        if parts is not None:  # a state that is one tensor, without a name for the slot
            for suffix, part in parts:
                self._slot(part, position, base, "", suffix, depth)
            return
        ordinary, most, leaves = walk.reader.ordinary, walk.most_tensors, walk.leaves
        home, front, raw_front = under(self.name, "state"), under(self.name, base), under(self.key, base)
        for raw, value in pairs_of(slots) or ():
            word = raw if type(raw) is str else key_text(raw)
            if word not in made.slots and len(made.slots) < _MOST_SLOTS:
                made.slots.append(word)
            tensor = ordinary(value) if type(value) is Made and word else None
            if tensor is not None and len(leaves) < most:  # a plain tensor, as nearly all are
                leaf = Leaf(
                    f"{front}/{word}", f"{raw_front}/{word}", tensor, home, f"{base}/{word}", None, self.index, position, word
                )  # fmt: skip
                leaves.append(leaf)
                walk.order.setdefault(home, []).append(leaf)
                continue
            self._slot_value(value, position, base, word, depth)

    def _slot_value(self, value: Any, position: int | None, base: str, word: str, depth: int) -> None:
        """A slot that is no plain tensor: one of another kind, a container of them, or a plain value."""
        walk = self.walk
        if isinstance(value, (Made, PersistentId)):
            parts = walk.reader.parts(value)
            if parts is not None:
                for suffix, part in parts:
                    self._slot(part, position, base, word, suffix, depth)
                return
        items = items_of(value)
        if items is None and pairs_of(value) is not None:
            inner: Iterable[tuple[str, Any]] = ((key_text(k), v) for k, v in pairs_of(value) or ())
        else:
            inner = ((str(i), v) for i, v in enumerate(items or ()))
        if items is None and pairs_of(value) is None:
            if position is not None and len(self.made.values) < _MOST_VALUES:
                self.made.values.setdefault(position, {})[word] = plain(value)
            return
        if not walk.enter(value, depth):
            return
        walk.active.add(id(value))
        for segment, item in inner:
            self._slot_value(item, position, base, f"{word}/{segment}", depth + 1)
        walk.active.discard(id(value))

    def _slot(
        self, part: Tensor | NumpyArray, position: int | None, base: str, word: str, suffix: str, depth: int
    ) -> None:
        local = f"{base}/{word}" if word else base
        self.walk.add_tensor(
            part,
            under(self.name, local),
            under(self.key, local),
            suffix,
            under(self.name, "state"),
            local,
            depth,
            optimizer=self.index,
            position=position,
            slot=word or "state",
        )
