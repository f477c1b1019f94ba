"""Digests of code that a user wrote: a layer whose ``forward`` changed is another layer, though no shape tells.

What counts is the syntax tree of the source (:mod:`holdfast._frameworks.code_text`): comments, blank lines,
formatting, docstrings, type annotations, ``pass``, ``__repr__`` and the name of the class itself do not. What a
class's code calls by name counts with it: the user's own functions (``def swish(x)`` beside the class, or in
another module of the user's), its user-written base classes, and numbers kept in capital-letter globals
(``EPS = 1e-3``). Helper classes that are no modules are not followed. Code of installed libraries has no
digest: its version stands for it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sys
import sysconfig
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from blake3 import blake3

from .code_text import Definition, canonical_text, definitions, first_line, lambda_of

__all__ = ["callable_digest", "code_digest", "is_user_code"]

_SCHEME = "ast1"
"""Stands before every digest: digests of another scheme say nothing about these."""

_LIBRARIES = frozenset(
    {
        "torch",
        "torchvision",
        "keras",
        "tensorflow",
        "tf_keras",
        "keras_hub",
        "keras_cv",
        "jax",
        "jaxlib",
        "flax",
    }
    | {
        "optax",
        "orbax",
        "equinox",
        "haiku",
        "chex",
        "numpy",
        "lightning",
        "pytorch_lightning",
        "transformers",
    }
    | {"peft", "timm", "accelerate", "diffusers", "holdfast"}
)
"""Packages that are nobody's own code even where they are installed for development."""

_MOST_FUNCTIONS = 64


@functools.cache
def _installed_roots() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {os.path.realpath(path) for name in names if (path := sysconfig.get_path(name))}
    return tuple(path + os.sep for path in sorted(paths))


@functools.lru_cache(maxsize=4096)
def _user_file(file: str) -> bool:
    parts = Path(file).parts
    if file.startswith("<frozen") or "site-packages" in parts or "dist-packages" in parts:
        return False
    return not os.path.realpath(file).startswith(_installed_roots())


def is_user_code(thing: Any) -> bool:
    """Whether a class or function was written by the user: neither Python's own nor an installed library's.

    Judged by the file of its module; a module without a file (a notebook, an interactive session) is the user's.
    """
    name = getattr(thing, "__module__", None)
    if not isinstance(name, str):
        return False
    top = name.partition(".")[0]
    if top in _LIBRARIES or top in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return _user_file(file) if isinstance(file, str) else True


_CLASSES: weakref.WeakKeyDictionary[type, str | None] = weakref.WeakKeyDictionary()


def code_digest(cls: type) -> str | None:
    """The digest of a user-written class's code (``"ast1-"`` and 64 hex digits), or ``None``.

    ``None`` for classes of installed libraries without a user's class among their bases, and where the source
    cannot be had (made by ``exec``, typed into a prompt, its file gone). Equal for sources that differ only in
    what does not decide the function (see the module), also under other versions of Python. Cached per class;
    each file is parsed once. The source is that of the file as it is now: one that was edited after its import
    gives the digest of the edit.
    """
    try:
        return _CLASSES[cls]
    except KeyError:
        found = _CLASSES[cls] = _digest_of_class(cls)
        return found


def callable_digest(function: Any) -> str | None:
    """The digest of a user-written function, lambda, bound method, ``functools.partial``, or of the class of any
    other callable object: what a layer may be given as its activation.

    Same form as :func:`code_digest`, and ``None`` on the same grounds (also for two lambdas on one line that
    cannot be told apart). Numbers that a closure or a partial brings along count.
    """
    gathered = _Gathered()
    while isinstance(function, functools.partial):
        given = [*enumerate(function.args), *sorted(function.keywords.items())]
        gathered.texts += [f"{name}={value!r}" for name, value in given if _plain(value)]
        function = function.func
    if isinstance(function, type):
        return code_digest(function)
    plain = _unwrapped(getattr(function, "__func__", function))
    if plain is None:
        return code_digest(type(function))
    if not is_user_code(plain):
        return None
    return gathered.digest() if gathered.function(plain) else None


def _digest_of_class(cls: type) -> str | None:
    gathered = _Gathered()
    for base in cls.__mro__:
        if not is_user_code(base):
            continue
        functions = list(_own_functions(base))
        node = _class_node(base, functions)
        if node is not None:
            module = sys.modules.get(base.__module__)
            space = functions[0].__globals__ if functions else vars(module) if module is not None else {}
            if not gathered.add(node, space, [pair for f in functions for pair in _closure(f)]):
                return None
        elif functions:
            return None
        # a class without functions and source was made by type(...): its bases say it all
    return gathered.digest()


class _Gathered:
    """Canonical texts of a piece of code and of what it calls by name, in the order in which it does."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._seen: set[int] = set()

    def digest(self) -> str | None:
        if not self.texts:
            return None
        return f"{_SCHEME}-{blake3(chr(0).join(self.texts).encode('utf-8', 'surrogatepass')).hexdigest()}"

    def function(self, function: FunctionType) -> bool:
        """Take a function in; false where its source cannot be had."""
        if id(function) in self._seen or len(self._seen) >= _MOST_FUNCTIONS:
            return True
        self._seen.add(id(function))
        node = _function_node(function)
        return node is not None and self.add(node, function.__globals__, list(_closure(function)))

    def add(self, node: Definition, space: Mapping[str, Any], closure: list[tuple[str, Any]]) -> bool:
        """Take a definition in, with the user's functions and constants that it refers to."""
        try:
            self.texts.append(canonical_text(node))
        except RecursionError:
            return False
        # of globals only what is written as a constant: a counter that the program moves is no code
        named = [(name, value) for name, value in _referred(node, space) if name.isupper() or callable(value)]
        for name, value in (*closure, *named):
            if _plain(value):
                self.texts.append(f"{name}={value!r}")
                continue
            function = _unwrapped(value)
            if function is not None and is_user_code(function) and not self.function(function):
                return False
        return True


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_plain(item) for item in value)
    return value is None or type(value) in (bool, int, float, complex)


def _unwrapped(value: Any) -> FunctionType | None:
    """The plain function within decorators (``functools.wraps``, ``jax.jit``), or ``None``."""
    for _ in range(16):
        if isinstance(value, functools.partial):
            value = value.func
        elif isinstance(value, type) or inspect.getattr_static(value, "__wrapped__", None) is None:
            break
        else:
            value = getattr(value, "__wrapped__", None)
    return value if isinstance(value, FunctionType) else None


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if name != "__class__":
            yield name, value


def _referred(node: ast.AST, space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Globals that a definition reads, and what it reads of modules (``helpers.swish``), each once."""
    bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    seen: set[str] = set()
    for part in ast.walk(node):
        words = _dotted(part)
        if not words or words[0] in bound or ".".join(words) in seen or words[0] not in space:
            continue
        seen.add(".".join(words))
        value = space[words[0]]
        for word in words[1:]:
            value = vars(value).get(word) if isinstance(value, ModuleType) else None
        if value is not None:
            yield words[-1], value


def _dotted(node: ast.AST) -> list[str]:
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
    return [node.id, *reversed(words)] if isinstance(node, ast.Name) else []


# -- where the source stands -------------------------------------------------------------------------------
def _own_functions(cls: type) -> Iterator[FunctionType]:
    """The functions written in a class's body, out of their decorators."""
    for value in vars(cls).values():
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        function = _unwrapped(value)
        if function is not None and function.__qualname__.startswith(f"{cls.__qualname__}."):
            file = function.__code__.co_filename
            if file != "<string>":  # what dataclasses make has no source
                yield function


def _class_node(cls: type, functions: list[FunctionType]) -> Definition | None:
    """The class's definition: in the file its functions come from (notebook cells too), else its module's."""
    files = [function.__code__.co_filename for function in functions]
    module_file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    files += [module_file] if isinstance(module_file, str) else []
    for file in dict.fromkeys(files):
        found = [
            node
            for name, node in definitions(file)
            if name == cls.__qualname__ and isinstance(node, ast.ClassDef)
        ]
        lines = {f.__code__.co_firstlineno for f in functions if f.__code__.co_filename == file}
        own = getattr(cls, "__firstlineno__", None)  # Python 3.13
        lines |= {own} if isinstance(own, int) and not lines else set()
        within = [n for n in found if any(first_line(n) <= line <= (n.end_lineno or line) for line in lines)]
        if within or (found and not lines):
            return (within or found)[-1]
    return None


def _function_node(function: FunctionType) -> Definition | None:
    code = function.__code__
    at = [
        node
        for name, node in definitions(code.co_filename)
        if first_line(node) == code.co_firstlineno and name.rpartition(".")[2] == code.co_name
    ]
    if code.co_name == "<lambda>":
        return lambda_of(code, at)
    return at[0] if len(at) == 1 else None
