"""What a pickle is made of when nothing in it is executed: inert nodes.

Plain values stay themselves (``int``, ``float``, ``str``, ``bytes``, ``bool``, ``None``, ``list``,
``tuple``); whatever a real unpickler would import, call or look up becomes one of the classes here. No node
has behaviour beyond holding what the stream said.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Global",
    "Made",
    "PersistentId",
    "Dict",
    "SetNode",
    "ByteString",
    "as_text",
    "class_name",
    "class_of",
    "fields_of",
    "function_of",
    "pairs_of",
    "items_of",
    "mapping_of",
    "state_of",
]


class ByteString(bytes):
    """A Python 2 ``str`` with bytes beyond ASCII: text or raw data, the stream does not tell which."""

    __slots__ = ()


class Global:
    """A name that an unpickler would import: ``module`` and ``name``; ``offset`` of the opcode that first
    asks for it.
    """

    __slots__ = ("module", "name", "offset")

    def __init__(self, module: str, name: str, offset: int) -> None:
        self.module, self.name, self.offset = module, name, offset

    @property
    def text(self) -> str:
        return f"{self.module}.{self.name}"

    def __repr__(self) -> str:
        return f"<global {self.text}>"


class Made:
    """Something that an unpickler would build by a call: ``func(*args)`` (REDUCE) or ``cls.__new__`` (NEWOBJ,
    OBJ, INST).

    ``how`` is the opcode's name; ``state`` what BUILD gave (``None`` without); ``items`` what APPEND put in,
    ``pairs`` what SETITEM put in, ``None`` where there was no such opcode.
    """

    __slots__ = ("args", "func", "how", "items", "kwargs", "offset", "pairs", "state")

    def __init__(self, func: Any, args: Any, how: str, offset: int, kwargs: Any = None) -> None:
        self.func, self.args, self.how, self.offset, self.kwargs = func, args, how, offset, kwargs
        self.state: Any = None
        self.items: list[Any] | None = None
        self.pairs: list[tuple[Any, Any]] | None = None

    def __repr__(self) -> str:
        return f"<{self.how} {class_name(self)}>"


class PersistentId:
    """An object that lies outside the pickle; ``pid`` is the stream's word for it (torch: a tuple naming a
    storage).
    """

    __slots__ = ("offset", "pid")

    def __init__(self, pid: Any, offset: int) -> None:
        self.pid, self.offset = pid, offset


class Dict:
    """A dict as the stream gave it: pairs in order, keys of any kind, duplicates kept (the last counts)."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []


class SetNode:
    """A set or frozenset: its items in the stream's order."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


def as_text(value: Any) -> str | None:
    """``value`` as text where it is one (Python 2 byte strings are decoded, odd bytes kept as surrogates)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return None


_MAPPINGS = frozenset({"OrderedDict", "defaultdict", "Counter", "dict"})
_RECONSTRUCT = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})


def function_of(node: Any) -> str | None:
    """``"module.name"`` of the global that a :class:`Made` calls, or ``None``."""
    if isinstance(node, Made) and isinstance(node.func, Global):
        return f"{node.func.module}.{node.func.name}"
    return None


def class_of(node: Any) -> Global | None:
    """The class an object is of, where the stream tells.

    Looks through ``copyreg._reconstructor(cls, base, state)`` (pickle protocols 0 and 1, Lib/copyreg.py) and
    through torch's persistent ids ``('module', cls, file, source)`` (torch/serialization.py
    ``_legacy_save``).
    """
    func = node.func if isinstance(node, Made) else node
    if isinstance(func, PersistentId):
        pid = func.pid
        if isinstance(pid, tuple) and len(pid) >= 2 and as_text(pid[0]) == "module":
            func = pid[1]
    if not isinstance(func, Global):
        return None
    if isinstance(node, Made) and func.text in _RECONSTRUCT and isinstance(node.args, tuple) and node.args:
        inner = node.args[0]
        return (
            class_of(inner)
            if isinstance(inner, PersistentId)
            else inner
            if isinstance(inner, Global)
            else None
        )
    return func


def class_name(node: Any) -> str:
    """A short text for what a node is."""
    found = class_of(node)
    return found.text if found is not None else type(node).__name__


def pairs_of(node: Any) -> list[tuple[Any, Any]] | None:
    """Key-value pairs of anything that is a mapping: dicts, ordered dicts, defaultdicts, counters, their
    subclasses.
    """
    if isinstance(node, Dict):
        return node.pairs
    if not isinstance(node, Made):
        return None
    found = class_of(node)
    if (
        found is not None
        and found.name in _MAPPINGS
        and found.module in ("collections", "builtins", "__builtin__")
    ):
        return _constructor_pairs(node) + (node.pairs or [])
    if function_of(node) in _RECONSTRUCT and isinstance(node.args, tuple) and len(node.args) == 3:
        base = node.args[1]
        if isinstance(base, Global) and base.name == "dict":
            return (pairs_of(node.args[2]) or []) + (node.pairs or [])
    return node.pairs


def _constructor_pairs(node: Made) -> list[tuple[Any, Any]]:
    """Pairs handed to the constructor: Python 2 pickles ``OrderedDict([[k, v], ...])``, counters
    ``Counter({...})``.
    """
    found: list[tuple[Any, Any]] = []
    for argument in node.args if isinstance(node.args, tuple) else ():
        if isinstance(argument, Dict):
            found.extend(argument.pairs)
        elif isinstance(argument, list):
            found.extend((p[0], p[1]) for p in argument if isinstance(p, (list, tuple)) and len(p) == 2)
    return found


def items_of(node: Any) -> list[Any] | tuple[Any, ...] | None:
    """Items of anything that is a sequence or set: lists, tuples, sets, deques, ``torch.Size``, list
    subclasses.
    """
    if isinstance(node, (list, tuple)):
        return node
    if isinstance(node, SetNode):
        return node.items
    if isinstance(node, Made):
        found = class_of(node)
        if found is not None and (
            found.name in ("set", "frozenset", "list", "tuple", "deque") or found.text == "torch.Size"
        ):
            given: list[Any] = []
            if isinstance(node.args, tuple) and node.args:
                given.extend(items_of(node.args[0]) or ())
            return given + (node.items or [])
        return node.items
    return None


def fields_of(node: Any) -> tuple[Global, tuple[Any, ...]] | None:
    """The class and the values of a named tuple, in the order of its fields, whose names no pickle holds; ``None`` for
    what is made in any other way, and for what has attributes beside."""
    found = class_of(node)
    if not isinstance(node, Made) or found is None or node.state is not None or node.pairs or node.items:
        return None
    values = node.args
    if function_of(node) in _RECONSTRUCT:  # protocols 0 and 1
        values = values[2] if isinstance(values, tuple) and len(values) == 3 else None
    return (found, values) if isinstance(values, tuple) else None


def mapping_of(node: Any) -> dict[str, Any] | None:
    """A mapping as a dict of its text keys (others left out, the last of equal keys counts), or ``None``."""
    pairs = pairs_of(node)
    if pairs is None:
        return None
    return {text: value for key, value in pairs if (text := as_text(key)) is not None}


def state_of(node: Any) -> dict[str, Any] | None:
    """The attributes of an object: what BUILD gave as a dict, or as ``(dict, slots)``; ``None`` where it is
    neither.
    """
    if not isinstance(node, Made) or node.state is None:
        return None
    state = node.state
    if isinstance(state, tuple) and len(state) == 2 and (state[0] is None or pairs_of(state[0]) is not None):
        merged = dict(mapping_of(state[0]) or {})
        merged.update(mapping_of(state[1]) or {})
        return merged
    return mapping_of(state)
