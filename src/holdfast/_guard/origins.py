"""Which file a value in memory came from."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Origins", "leaves"]

_MOST = 2_000_000


class Origins:
    """Remembers, for the tensors and arrays that a call has read, their file; keeps none of them alive. ``last``: the file that
    was read last.

    Of a module that was read whole, ``state_dict()`` gives tensors that are none of those that were read, and ``float()``
    gives it other memory: what lies in its memory came from the file for as long as no parameter of it was written to.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        self._whole: list[_Whole] = []
        self._places: dict[Any, str] = {}
        self.last: str | None = None

    def note(self, result: Any, path: str) -> None:
        """Everything in ``result`` that has a shape came from ``path``."""
        self.last = path
        for value in leaves(result):
            try:
                self._known[id(value)] = (weakref.ref(value), path)
            except TypeError:
                continue
        self._whole = [*filter(_Whole.unchanged, self._whole), *(_Whole(m, path) for m in modules_in(result))]
        if len(self._known) > _MOST:
            self._known = {key: row for key, row in self._known.items() if row[0]() is not None}

    def of(self, value: Any) -> str | None:
        """The one file that all tensors in ``value`` came from; ``None`` where there are several, or it is not known."""
        self._whole = [whole for whole in self._whole if whole.unchanged()]
        self._places = {place: whole.path for whole in self._whole for place in whole.places()}
        found = {path for leaf in leaves(value) if (path := self.file_of(leaf)) is not None}
        return found.pop() if len(found) == 1 else None

    def file_of(self, leaf: Any) -> str | None:
        """The file that one tensor, or the whole that it is a view of, came from."""
        for tensor in (leaf, getattr(leaf, "_base", None)):  # of a view of PyTorch's
            known = self._known.get(id(tensor))
            if known is not None and known[0]() is tensor:
                return known[1]
        return self._places.get(_place(leaf)) if self._places else None


class _Whole:
    """A module that was read whole, with how often each of its parameters had been written to by then."""

    def __init__(self, module: Any, path: str) -> None:
        self.module, self.path = weakref.ref(module), path
        self.writes = self._writes(module)

    @staticmethod
    def _writes(module: Any) -> list[int]:
        return [getattr(parameter, "_version", 0) for parameter in module.parameters()]

    def unchanged(self) -> bool:
        module = self.module()
        return module is not None and self._writes(module) == self.writes

    def places(self) -> set[Any]:
        return {_place(leaf) for leaf in leaves(self.module())} - {None}


def _place(tensor: Any) -> Any:
    """The memory that a tensor of PyTorch's lies in."""
    from .._frameworks.torch.tensors import is_lazy, storage_of

    return None if not hasattr(tensor, "untyped_storage") or is_lazy(tensor) else storage_of(tensor)


def modules_in(tree: Any) -> Iterator[Any]:
    """The modules of PyTorch's in nested mappings, lists and tuples, the outermost of each."""
    stack, seen = [tree], set()
    while stack:
        thing = stack.pop()
        if isinstance(thing, (Mapping, list, tuple)):
            if id(thing) not in seen:
                seen.add(id(thing))
                stack += thing.values() if isinstance(thing, Mapping) else thing
        elif isinstance(getattr(thing, "__dict__", {}).get("_modules"), Mapping) and not isinstance(
            thing, type
        ):
            yield thing


def _is_array(thing: Any) -> bool:
    try:
        return hasattr(thing, "shape") and hasattr(thing, "dtype")
    except RuntimeError:  # a lazy parameter of PyTorch's, which has no shape yet
        return False


def leaves(tree: Any) -> Iterator[Any]:
    """Everything in nested mappings, lists and tuples that has a shape and a dtype."""
    stack, seen = [tree], set()
    while stack:
        thing = stack.pop()
        if _is_array(thing):
            yield thing
        elif isinstance(thing, (Mapping, list, tuple)):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            stack += thing.values() if isinstance(thing, Mapping) else thing
        elif isinstance(thing, object) and hasattr(thing, "state_dict") and not isinstance(thing, type):
            state = getattr(thing, "_parameters", None), getattr(thing, "_buffers", None)
            stack += [part for part in state if isinstance(part, Mapping)]
            modules = getattr(thing, "_modules", None)
            if isinstance(modules, Mapping):
                stack += modules.values()
