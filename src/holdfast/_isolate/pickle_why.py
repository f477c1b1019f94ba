"""What is wrong with an object that pickle does not take: what it is, why, what to do instead."""

from __future__ import annotations

import inspect
import types
from typing import Any

from .failure import Failure, passes_through
from .node import Node

__all__ = ["Told", "a", "in_pickle", "place_of"]

Told = tuple[str, str, str, str]
"""What it is, why it fails, what to do, the label of its cause."""

_BY_NAME = "pickle writes a function or class as module and name, and reading back looks it up there"
_STATE = "Save what it is made of (numbers, texts, tensors) and make it anew after loading"
_OURS = (
    "torch",
    "keras",
    "tensorflow",
    "numpy",
    "builtins",
    "_thread",
    "threading",
    "_io",
    "socket",
    "_socket",
    "queue",
)


def a(name: str) -> str:
    """A name with its article."""
    vowel = name[:1].lower() in "aeiou" and not name.lower().startswith(("uni", "use", "uti", "eu"))
    return f"{'an' if vowel else 'a'} {name}"


def place_of(thing: Any) -> str:
    """Where a function or class is written: ``train.py:12``; empty where that is not known."""
    code = getattr(thing, "__code__", None)
    if isinstance(code, types.CodeType):
        return f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"
    if isinstance(thing, type):
        try:
            return f"{(inspect.getsourcefile(thing) or '').rpartition('/')[2]}:{inspect.getsourcelines(thing)[1]}"
        except (OSError, TypeError):
            return ""
    return ""


def in_pickle(node: Node, failure: Failure) -> Told | None:
    """For what is known by its class; ``None`` else."""
    thing = node.thing
    told = (
        _named(thing)
        if isinstance(thing, (type, types.FunctionType, types.BuiltinFunctionType))
        else _object(thing)
    )
    if told is None and failure.type == "RecursionError":
        told = (
            f"a nest of {type(thing).__name__} that goes too deep",
            "pickle follows each reference by a call of its own, and Python allows about a thousand",
            "Write it flat: a list of its parts, without references from one to the next.",
            "unserialisable",
        )
    if told is None:
        told = _own_code(node, failure)
    if told is None:
        return None
    what, why, remedy, cause = told
    owner = "" if isinstance(thing, type) else _owner(node)
    if owner and "<locals>" not in owner and cause == "unserialisable":
        remedy += f" Or give {owner} a `__getstate__` that leaves it out."
    return what, why, remedy, cause


def _owner(node: Node) -> str:
    """The class of the user's that has it as an attribute."""
    for above in node.ancestors():
        kind = type(above.thing)
        if kind.__module__.partition(".")[0] not in _OURS:
            return str(kind.__qualname__)
        if kind not in (dict, list, tuple, set):
            return ""
    return ""


def _named(thing: Any) -> Told | None:
    name, module = getattr(thing, "__qualname__", ""), getattr(thing, "__module__", "")
    at = place_of(thing)
    where = f" ({at})" if at else ""
    kind = "class" if isinstance(thing, type) else "function"
    if getattr(thing, "__name__", "") == "<lambda>":
        return (
            f"a lambda{where}",
            f"{_BY_NAME}: a lambda has no name",
            "Write it as a `def` at the top of a module, or leave it out of what is saved.",
            "unserialisable",
        )
    if "<locals>" in name:
        outer = name.partition(".<locals>")[0]
        return (
            f"the {kind} {name.rpartition('.')[2]}, defined inside {outer}(){where}",
            f"{_BY_NAME}: what is defined inside a function is not there",
            f"Move the {kind} to the top of its module.",
            "unserialisable",
        )
    import sys

    here: Any = sys.modules.get(module)
    for word in name.split("."):
        here = getattr(here, word, None)
    if here is not None and here is not thing:
        return (
            f"the {kind} {module}.{name}{where}, which is not what has that name now",
            f"{_BY_NAME}, and `{module}.{name}` is another object: it was decorated, reloaded or defined again",
            "Make it again from the class that has the name now (in a notebook: run its cell "
            "and all below anew); a decorator returns "
            "what it was given, or uses functools.wraps on what replaces it under that name.",
            "unserialisable",
        )
    if here is None:
        return (
            f"the {kind} {module}.{name}{where}, which its module does not have under that name",
            f"{_BY_NAME}: there is no `{name}` in {module}",
            f"Give the {kind} the name under which its module has it (`__qualname__`), or "
            f"define it with `{kind[:3] if kind == 'function' else kind}`.",
            "unserialisable",
        )
    return None


_KNOWN: tuple[tuple[str, tuple[str, ...], str, str, str], ...] = (
    (
        "_thread",
        ("lock", "RLock"),
        "a lock",
        "it belongs to this process and has no value",
        "Make it anew in `__setstate__`.",
    ),
    (
        "threading",
        (),
        "{a_name} of threading",
        "it holds locks and threads of this process",
        "Make it anew after loading.",
    ),
    ("queue", (), "a queue", "it holds locks of this process", "Save its items as a list."),
    ("_queue", (), "a queue", "it belongs to this process", "Save its items as a list."),
    (
        "asyncio",
        (),
        "{a_name} of asyncio",
        "it belongs to the event loop of this process",
        "Make it anew after loading.",
    ),
    (
        "multiprocessing",
        (),
        "{a_name} of multiprocessing",
        "it belongs to this process and its children",
        "Make it anew after loading.",
    ),
    ("concurrent", (), "{a_name}", "it holds threads or processes", "Make it anew after loading."),
    (
        "_io",
        (),
        "an open file{file}",
        "a file that is open belongs to this process",
        "Save its path, and open it again after loading.",
    ),
    (
        "socket",
        (),
        "a socket",
        "a connection belongs to this process",
        "Save its address, and connect again after loading.",
    ),
    (
        "_socket",
        (),
        "a socket",
        "a connection belongs to this process",
        "Save its address, and connect again after loading.",
    ),
    ("ssl", (), "{a_name} of ssl", "a connection belongs to this process", "Connect again after loading."),
    (
        "sqlite3",
        (),
        "a database {name}",
        "a connection belongs to this process",
        "Save the path, and connect again after loading.",
    ),
    (
        "weakref",
        (),
        "a weak reference",
        "it keeps nothing: what it means need not be saved with it",
        "Save the object, or its name.",
    ),
    ("ctypes", (), "{a_name} of ctypes", "it is an address in this process", _STATE + "."),
    ("_ctypes", (), "{a_name} of ctypes", "it is an address in this process", _STATE + "."),
    (
        "h5py",
        (),
        "an open HDF5 object",
        "it belongs to a file that is open here",
        "Save its path, and open it again after loading.",
    ),
)


def _object(thing: Any) -> Told | None:
    kind = type(thing)
    module, name = kind.__module__, kind.__name__
    if isinstance(thing, types.ModuleType):
        return (
            f"the module {thing.__name__}",
            "pickle does not write modules",
            f"Leave it out: use `import {thing.__name__}` where it is used, and do not keep "
            "it as an attribute.",
            "unserialisable",
        )
    if isinstance(thing, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
        where = f"{thing.__qualname__}() " if hasattr(thing, "__qualname__") else ""
        return (
            f"a generator ({where.strip()})",
            "it is code stopped in its middle: it cannot be written down",
            "Save how far it is (a count), and make it anew and go on from there after "
            "loading; or save a list of its items.",
            "unserialisable",
        )
    if isinstance(thing, weakref_types()):
        module = "weakref"
    if kind is types.MappingProxyType:
        return (
            "a mappingproxy",
            "it is a view of a class's or another's dict",
            "Save `dict(...)` of it.",
            "unserialisable",
        )
    if isinstance(thing, (types.FrameType, types.TracebackType)):
        return (
            a(name),
            "it is a stack of this process (an exception with its traceback holds one)",
            "Save the text of it: traceback.format_exc().",
            "unserialisable",
        )
    if name.endswith("DataLoaderIter"):
        return (
            "an iterator of a DataLoader",
            "it holds workers and a place in the middle of an epoch",
            "Save how many batches were drawn; or use torchdata's StatefulDataLoader and "
            "save its state_dict().",
            "unserialisable",
        )
    root = module.partition(".")[0]
    for where, names, what, why, remedy in _KNOWN:
        if root == where and (not names or name in names):
            file = getattr(thing, "name", None)
            shown = f" ({file})" if root == "_io" and isinstance(file, (str, int)) else ""
            return what.format(name=name, a_name=a(name), file=shown), why, remedy, "unserialisable"
    return None


def weakref_types() -> tuple[type, ...]:
    """The classes of weak references."""
    import weakref

    return (weakref.ReferenceType, weakref.ProxyType, weakref.CallableProxyType)


_HOOKS = (
    "__reduce_ex__",
    "__reduce__",
    "__getstate__",
    "__setstate__",
    "__getnewargs_ex__",
    "__getnewargs__",
    "__new__",
    "__init__",
)


def _own_code(node: Node, failure: Failure) -> Told | None:
    """A class whose own methods for pickling raise."""
    kind = type(node.thing)
    for name in _HOOKS:
        method = getattr(kind, name, None)
        if passes_through(failure.trace, method, name):
            verb = {"hang": "does not come back", "crash": "ends the process"}.get(
                failure.kind, f"raises {failure.type}"
            )
            return (
                f"{a(kind.__qualname__)} whose `{name}` ({place_of(method)}) {verb}",
                f"{'saving' if failure.phase == 'save' else 'loading'} it calls that method"
                + (
                    f": {failure.message.splitlines()[0]}"
                    if failure.message and failure.kind == "error"
                    else ""
                ),
                f"Mend `{kind.__qualname__}.{name}`, or save its state by itself.",
                "unserialisable" if failure.phase == "save" else "custom-object",
            )
    if failure.phase == "load" and isinstance(node.thing, BaseException):
        return (
            f"the exception {kind.__qualname__}",
            f"pickle rebuilds an exception by {kind.__qualname__}(*self.args), which its "
            "`__init__` does not take",
            "Pass all arguments to super().__init__(), or save the text of the exception.",
            "custom-object",
        )
    return None
