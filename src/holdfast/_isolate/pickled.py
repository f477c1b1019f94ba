"""What pickle walks through, as a tree with paths; and a pickler that leaves parts of it out.

The walk asks each object what pickle asks it (``copyreg.dispatch_table``, ``__reduce_ex__``), so that what ``__getstate__`` and
``__reduce__`` hide is not looked at, and what they raise is seen at its place (CPython's Lib/pickle.py, ``Pickler.save``).
"""

from __future__ import annotations

import copyreg
import functools
import json
import pickle
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .failure import Failure, failure_of
from .node import Node

__all__ = ["Pickled", "pruning_pickler"]

Visit = Callable[[str], "Failure | None"]

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(NotImplemented), type(Ellipsis))
_CONTAINERS = (dict, list, tuple, set, frozenset)
_BY_NAME = (types.FunctionType, types.BuiltinFunctionType)
_MOST_NODES = 300_000
_OF_THE_PROCESS = (
    "threading",
    "queue",
    "asyncio",
    "multiprocessing",
    "concurrent",
    "socket",
    "ssl",
    "sqlite3",
    "logging",
)
_LIBRARIES = (
    "torch",
    "builtins",
    "collections",
    "numpy",
    "copyreg",
    "pathlib",
    "functools",
    "datetime",
    "enum",
)


class _Entry:
    """What the walk found out about a node: why asking it failed, whether it lies in plain containers all the way up, and the
    key under which its container has it."""

    __slots__ = ("error", "key", "plain")

    def __init__(self, plain: bool, key: Any = None) -> None:
        self.plain = plain
        self.key = key
        self.error: Failure | None = None


class Pickled:
    """The tree below an object. ``suspects``: nodes that fail when they are asked for their state, and functions and classes
    that cannot be found by their name. ``whole``: whether all was walked through."""

    def __init__(
        self, root: Any, name: str, *, opaque: Callable[[Any], bool], visit: Visit, protocol: int = 2
    ) -> None:
        """``opaque``: whether an object is not walked into. ``visit``: told of each object of code that is not known before it is
        asked; gives how that ended the process before, if it did."""
        self.root = Node(name, root, removable=False, data=_Entry(plain=True))
        self.suspects: list[Node] = []
        self.whole = True
        self._opaque = opaque
        self._visit = visit
        self._protocol = protocol
        self._at: dict[int, Node] = {}
        self._held: list[Any] = []  # what __reduce_ex__ made: an id must not be given out again
        self._walk()

    def node_of(self, thing: Any) -> Node | None:
        """The node of an object."""
        return self._at.get(id(thing))

    def _walk(self) -> None:
        self._at[id(self.root.thing)] = self.root
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            if len(self._at) > _MOST_NODES:
                self.whole = False
                return
            children = list(self._children(node))
            made = [child for child in children if child is not None]
            waiting.extend(reversed(made))

    def _add(
        self, parent: Node, path: str, thing: Any, *, plain: bool = False, key: Any = None
    ) -> Node | None:
        """A child, unless it is an atom or stands elsewhere already."""
        if type(thing) in _ATOMS:
            return None
        known = self._at.get(id(thing))
        if known is not None:
            if len(known.also) < 5 and known is not self.root and path != known.path:
                known.also.append(path)
            return None
        exact = type(thing) in _CONTAINERS
        node = Node(path, thing, parent, removable=True, data=_Entry(plain=plain and exact, key=key))
        self._at[id(thing)] = node
        return node

    def _children(self, node: Node) -> Iterator[Node | None]:
        thing = node.thing
        kind = type(thing)
        plain = node.data.plain
        if kind is dict:
            yield from self._of_dict(node, thing, node.path, plain)
            return
        if kind in (list, tuple):
            for n, one in enumerate(thing):
                yield self._add(node, f"{node.path}[{n}]", one, plain=plain, key=n)
            return
        if kind in (set, frozenset):
            for n, one in enumerate(thing):
                yield self._add(node, f"element {n} of {node.path}", one)
            return
        if isinstance(thing, type) or kind in _BY_NAME:
            self._by_name(node)
            return
        if self._opaque(thing):
            return
        if kind.__module__.partition(".")[0] in _OF_THE_PROCESS:  # what they are made of is not to be mended
            node.data.error = self._not_found(thing)
            if node.data.error is not None:
                self.suspects.append(node)
            return
        yield from self._of_object(node)

    def _of_dict(self, node: Node, thing: dict[Any, Any], path: str, plain: bool) -> Iterator[Node | None]:
        for n, (key, value) in enumerate(list(thing.items())):
            if type(key) not in _ATOMS:
                yield self._add(node, f"key {n} of {path}", key)
            yield self._add(node, f"{path}[{_shown(key)}]", value, plain=plain, key=key)

    def _by_name(self, node: Node) -> None:
        node.data.error = self._not_found(node.thing)
        if node.data.error is not None:
            self.suspects.append(node)

    def _of_object(self, node: Node) -> Iterator[Node | None]:
        thing = node.thing
        try:
            if type(thing).__module__.partition(".")[0] not in _LIBRARIES:
                ended = self._visit(node.path)
                if ended is not None:
                    node.data.error = ended
                    self.suspects.append(node)
                    return
            given = _reduced(thing, self._protocol)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - this is the question; SystemExit is one too
            node.data.error = failure_of(error, "save")
            self.suspects.append(node)
            return
        if not isinstance(given, tuple) or len(given) < 2:
            return  # found by its name
        self._held.append(given)
        parts: list[Any] = [*given[:5], None, None, None]
        function, arguments, state, items, pairs = parts[:5]
        if (isinstance(function, type) or type(function) in _BY_NAME) and function is not type(thing):
            failed = self._not_found(function)
            if failed is not None:  # the object itself is what cannot be written
                node.data.error = failed
                self.suspects.append(node)
                return
        if isinstance(arguments, tuple):
            made_of: list[tuple[str, Any]] = list(_arguments(node.path, thing, function, arguments))
            for path, one in [*made_of, (f"type({node.path})", function)]:
                if _attributes(thing, one):
                    for name, value in one.items():
                        yield self._add(node, f"{node.path}.{name}", value)
                elif isinstance(one, type):
                    if self._at.get(id(one)) is not None or self._not_found(one) is not None:
                        yield self._add(node, path, one)
                elif one is not function:
                    yield self._add(node, path, one)
        if state is not None:
            yield from self._of_state(node, state)
        if items is not None:
            for n, one in enumerate(self._kept(items)):
                yield self._add(node, f"{node.path}[{n}]", one)
        if pairs is not None:
            for key, one in self._kept(pairs):
                if type(key) not in _ATOMS:
                    yield self._add(node, f"a key of {node.path}", key)
                yield self._add(node, f"{node.path}[{_shown(key)}]", one)

    def _kept(self, items: Any) -> list[Any]:
        made = list(items)
        self._held.append(made)
        return made

    def _not_found(self, thing: Any) -> Failure | None:
        """Why a class or function that pickle names cannot be found by its name."""
        try:
            pickle.dumps(thing, self._protocol)
        except Exception as error:  # noqa: BLE001 - this is the question
            return failure_of(error, "save")
        return None

    def _of_state(self, node: Node, state: Any) -> Iterator[Node | None]:
        thing, path = node.thing, node.path
        parts = (
            state
            if type(state) is tuple and len(state) == 2 and all(type(s) in (dict, type(None)) for s in state)
            else (state,)
        )
        if isinstance(thing, functools.partial) and type(state) is tuple and len(state) == 4:
            for name, one in zip(("func", "args", "keywords"), state, strict=False):
                yield self._add(node, f"{path}.{name}", one)
            return
        for part in parts:
            if type(part) is not dict:
                yield self._add(node, f"the state of {path}", part)
                continue
            own = getattr(thing, "__dict__", None)
            for name, value in list(part.items()):
                if (
                    name in ("_modules", "_parameters", "_buffers")
                    and type(value) is dict
                    and "_modules" in part
                ):
                    for inner, one in list(value.items()):
                        yield self._add(node, _member(thing, path, inner, module=name == "_modules"), one)
                    continue
                if (
                    isinstance(name, str)
                    and name.isidentifier()
                    and (own is None or own.get(name) is value or hasattr(type(thing), name))
                ):
                    yield self._add(node, f"{path}.{name}", value)
                else:
                    yield self._add(node, f"{path}.__getstate__()[{_shown(name)}]", value)


def _member(thing: Any, path: str, name: Any, *, module: bool) -> str:
    kinds = {c.__name__ for c in type(thing).__mro__}
    if module and kinds & {"Sequential", "ModuleList"} and str(name).isdigit():
        return f"{path}[{name}]"
    if (module and "ModuleDict" in kinds) or not str(name).isidentifier():
        return f"{path}[{_shown(name)}]"
    return f"{path}.{name}"


def _arguments(path: str, thing: Any, function: Any, arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """What an object is rebuilt from, each with a path."""
    name = getattr(function, "__name__", "")
    for n, one in enumerate(arguments):
        if one is type(thing) or (name == "__newobj__" and n == 0):
            yield f"type({path})", one
        elif isinstance(thing, functools.partial) and n == 0:
            yield f"{path}.func", one
        elif function is getattr and n == 0:
            yield f"{path}.__self__", one
        elif type(thing).__name__ == "defaultdict":
            yield f"{path}.default_factory", one
        elif isinstance(thing, BaseException):
            yield f"{path}.args[{n}]", one
        else:
            yield f"argument {n} of {name or 'the call'} that rebuilds {path}", one


def _attributes(thing: Any, one: Any) -> bool:
    """Whether an argument of rebuilding is the object's attributes (a parameter's, ``_rebuild_parameter_with_state``)."""
    own = getattr(thing, "__dict__", None)
    return type(one) is dict and bool(one) and bool(own) and one.keys() <= own.keys()  # type: ignore[union-attr]


def _reduced(thing: Any, protocol: int) -> Any:
    by_table = copyreg.dispatch_table.get(type(thing))
    return by_table(thing) if by_table is not None else thing.__reduce_ex__(protocol)


def _shown(key: Any) -> str:
    try:
        text = json.dumps(key, ensure_ascii=False) if type(key) is str else repr(key)
    except Exception:  # noqa: BLE001 - the user's class
        text = f"<{type(key).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def without(root: Node, removed: frozenset[Node]) -> Any:
    """The root's object, with plain containers that hold removed nodes copied without them (the rest is the pickler's)."""
    if not any(node.parent is not None and node.parent.data.plain for node in removed):
        return root.thing
    way = {above for node in removed for above in node.ancestors()}

    def copied(node: Node) -> Any:
        if not node.data.plain or node not in way:
            return node.thing
        gone = {child.data.key for child in node.children if child in removed}
        new = {
            child.data.key: copied(child) for child in node.children if child not in removed and child in way
        }
        if type(node.thing) is dict:
            return {key: new.get(key, value) for key, value in node.thing.items() if key not in gone}
        return type(node.thing)(new.get(n, one) for n, one in enumerate(node.thing) if n not in gone)

    return copied(root) if root.data.plain and type(root.thing) in (dict, list, tuple) else root.thing


def pruning_pickler(removed: Iterable[Node], stand_in: Callable[[], Any]) -> Any:
    """A module with a ``Pickler`` that writes ``stand_in()`` in the place of removed objects; for ``torch.save(pickle_module=)``.

    Plain dicts, lists and tuples do not pass ``reducer_override``: what is below them is left out instead.
    """
    gone: set[int] = set()
    classes: set[type] = set()
    for node in removed:
        gone.update(id(one.thing) for one in node.walk() if type(one.thing) not in _CONTAINERS)
        if isinstance(node.thing, type):
            classes.add(node.thing)  # a class is left out with all its objects

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if id(obj) in gone or type(obj) in classes:
                return (
                    (functools.partial, (int,)) if callable(obj) else (stand_in, ())
                )  # one that is called stays so
            return NotImplemented

    module = types.ModuleType("pickle")
    for name in ("Unpickler", "dump", "dumps", "load", "loads", "PicklingError", "HIGHEST_PROTOCOL"):
        setattr(module, name, getattr(pickle, name))
    setattr(module, "Pickler", Pickler)  # noqa: B010 - of a module made here
    return module
