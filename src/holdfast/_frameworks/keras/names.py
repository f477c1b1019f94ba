"""What the variables of a live Keras model are called, and by which other names files know them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..._facts.keras_layers import counted_name
from .objects import Holder

__all__ = ["Named", "automatic_name", "named"]


@dataclass(slots=True)
class Named:
    """One variable of a model with its names.

    ``name`` is ``variable.path`` (with the enclosing layers' names where several variables have one path);
    ``key`` the dataset of ``model.weights.h5``, empty where Keras does not save the variable there.
    ``automatic``: the segments of the name that Keras numbered itself.
    """

    variable: Any
    name: str
    key: str
    aliases: tuple[str, ...]
    holder: Holder
    automatic: tuple[str, ...]

    @property
    def explicit(self) -> bool:
        """Whether the layer bears a name that somebody gave it."""
        return not automatic_name(self.holder.layer)


def automatic_name(thing: Any) -> bool:
    """Whether an object's name is the one that Keras would have counted out for its class
    (``keras/src/utils/naming.py``)."""
    return counted_name(str(getattr(thing, "name", "")), type(thing).__name__)


def named(known: Iterable[Holder], prefix: str = "") -> list[Named]:
    """The variables of layers (seed generators' too) with their names, in the order of ``model.variables``.

    ``prefix`` stands before all names (one of several models).
    """
    found: list[Named] = []
    seen: set[int] = set()
    for holder in known:
        around = (*holder.above, holder.layer)
        whole = [str(layer.name) for layer in around]
        counted = {str(layer.name) for layer in around if automatic_name(layer)}
        for index, variable in enumerate(holder.variables):
            if id(variable) not in seen:
                seen.add(id(variable))
                key = f"{holder.path}/vars/{index}" if holder.path else f"vars/{index}"
                found.append(_one(variable, key, whole, counted, holder))
        for generator in getattr(holder.layer, "_seed_generators", ()):
            state = generator.state
            if id(state) not in seen:
                seen.add(id(state))
                more = counted | ({generator.name} if automatic_name(generator) else set())
                found.append(_one(state, "", [*whole, generator.name], more, holder))
    _part_namesakes(found)
    if prefix:
        for one in found:
            own = one.name  # as in a file of that model alone, and of several under other names
            one.name, one.key = f"{prefix}/{one.name}", ""
            one.aliases = (*(f"{prefix}/{alias}" for alias in one.aliases), own)
    return found


def _one(variable: Any, key: str, whole: list[str], counted: set[str], holder: Holder) -> Named:
    path = str(variable.path)
    last = path.rsplit("/", 1)[-1]
    others = ["/".join([*whole[at:], last]) for at in range(len(whole))]
    aliases = tuple(dict.fromkeys(other for other in others if other != path))
    segments = path.split("/")[:-1]
    return Named(
        variable, path, key, aliases, holder, tuple(segment for segment in segments if segment in counted)
    )


def _part_namesakes(found: list[Named]) -> None:
    """Variables of one path (nested models repeat layer names) are told apart by the names around them, as
    far as those tell them apart."""
    count = Counter(one.name for one in found)
    taken = set(count)
    for one in found:
        if count[one.name] > 1:
            several = one.name
            longer = max(one.aliases, key=lambda alias: alias.count("/"), default=one.name)
            if longer.count("/") <= several.count("/"):
                # one layer's name twice in one place: none of the names tells them apart, only the place does
                one.aliases = ()
                if one.key:
                    one.name = one.key
                continue
            one.aliases = (*one.aliases, one.name)
            if longer not in taken:
                taken.add(longer)
            elif one.key:
                longer = one.key
            one.aliases = tuple(alias for alias in one.aliases if alias != longer)
            one.name = longer
