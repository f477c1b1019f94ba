"""Source code in a form that only what it does decides, and where in a file a definition stands.

The form is made from the syntax tree (https://docs.python.org/3/library/ast.html, "Abstract grammar"): node names
with those fields that are neither ``None`` nor empty, so that fields which a newer Python added (``type_params``
in 3.12) change nothing.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

__all__ = ["Definition", "canonical_text", "definitions", "first_line", "lambda_of"]

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SAYS_NOTHING = frozenset({"__repr__", "__str__", "extra_repr"})
_REGISTERS = frozenset({"register_keras_serializable"})
"""Decorators that only enter a class in a list."""


def canonical_text(node: ast.AST) -> str:
    """The definition as text: equal for sources that differ in comments, formatting, docstrings, annotations, the
    definition's own name, or ``__repr__`` alone. Raises ``RecursionError`` for absurdly nested expressions."""
    parts: list[str] = []
    _write(node, parts.append, top=True)
    return "".join(parts)


def _write(node: object, write: Callable[[str], None], *, top: bool = False, function: bool = False) -> None:
    if isinstance(node, list):
        write("[")
        for item in _statements(node) if node and isinstance(node[0], ast.stmt) else node:
            _write(item, write, function=function)
            write(",")
        write("]")
    elif not isinstance(node, ast.AST):
        write(repr(node))
    elif isinstance(node, ast.AnnAssign) and function and node.value is not None:
        _write(ast.Assign(targets=[node.target], value=node.value), write, function=True)
    else:
        function = isinstance(node, _FUNCTIONS) or (function and not isinstance(node, ast.ClassDef))
        write(f"{type(node).__name__}(")
        for name in node._fields:
            if name in ("ctx", "kind", "type_comment", "annotation", "returns") or (name == "name" and top):
                continue
            value: Any = getattr(node, name, None)
            if name == "decorator_list":
                value = [d for d in value if _last_name(d) not in _REGISTERS]
            elif name == "bases" and top:  # `nn.Module` and `torch.nn.Module` are one
                value = [ast.Name(_last_name(base) or ast.dump(base)) for base in value]
            elif isinstance(node, ast.JoinedStr):
                value = _joined(node.values)
            if value is None or value == [] or _empty_format(value):
                continue
            write(f"{name}=")
            _write(value, write, function=function)
            write(";")
        write(")")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that do something: no docstring, no ``...``, no ``pass``, no ``__repr__``."""
    for statement in body:
        idle = isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        )
        if not idle and not (isinstance(statement, _FUNCTIONS) and statement.name in _SAYS_NOTHING):
            yield statement


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Parts of an f-string with neighbouring texts joined: where Python cuts them differs between versions."""
    joined: list[ast.expr] = []
    for value in values:
        text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
        last = joined[-1] if joined else None
        if text is not None and isinstance(last, ast.Constant) and isinstance(last.value, str):
            joined[-1] = ast.Constant(last.value + text)
        elif text != "":
            joined.append(value)
    return joined


def _empty_format(value: object) -> bool:
    return isinstance(value, ast.JoinedStr) and not _joined(value.values)


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


# -- finding -----------------------------------------------------------------------------------------------
def _tree(text: str) -> ast.Module:
    """Two threads that parse at once may make Python 3.11 and 3.12 count wrongly (``SystemError: AST constructor recursion depth
    mismatch``, cpython#106905): another try then. :raises SyntaxError: and the other errors of :func:`ast.parse`."""
    for _ in range(9):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[tuple[str, Definition], ...]:
    """Every definition of a source with its qualified name, in the order of the source."""
    found: list[tuple[str, Definition]] = []
    stack: list[tuple[ast.AST, str]] = [(_tree(text), "")]
    while stack:
        node, prefix = stack.pop()
        inner = prefix
        if isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
            found.append((prefix + node.name, node))
            inner = f"{prefix}{node.name}." + ("" if isinstance(node, ast.ClassDef) else "<locals>.")
        elif isinstance(node, ast.Lambda):
            found.append((f"{prefix}<lambda>", node))
            inner = f"{prefix}<lambda>.<locals>."
        stack.extend((child, inner) for child in reversed(list(ast.iter_child_nodes(node))))
    return tuple(found)


def definitions(file: str) -> tuple[tuple[str, Definition], ...]:
    """Every class, function and lambda in a source file (or a notebook's cell, by the name that its code bears),
    with its qualified name; empty where the source is gone or is no Python of this version."""
    linecache.checkcache(file)
    try:
        return _parsed("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):  # changed under our feet, null bytes, absurdly nested
        return ()


def first_line(node: Definition) -> int:
    """The line on which a definition begins, decorators included: what ``co_firstlineno`` counts from."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min((node.lineno, *(decorator.lineno for decorator in decorators)))


def lambda_of(code: CodeType, found: list[Definition]) -> Definition | None:
    """Which of several lambdas on one line has that code; ``None`` where that cannot be told."""
    takes = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    fits: dict[str, Definition] = {}
    for node in found:
        if not isinstance(node, ast.Lambda):
            continue
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        used = {n.id for n in ast.walk(node.body) if isinstance(n, ast.Name)}
        used |= {n.attr for n in ast.walk(node.body) if isinstance(n, ast.Attribute)}
        constants = [n.value for n in ast.walk(node.body) if isinstance(n, ast.Constant)]
        named = used - set(names) - set(code.co_freevars) - set(code.co_varnames)
        if (
            tuple(names) == takes
            and set(code.co_names) <= used
            and named <= {*code.co_names, *code.co_cellvars}
        ):
            # constants are folded (-1, 2 * 3): only those of the code that are written so can tell
            kept = [c for c in constants if c in code.co_consts]
            if len(kept) == len(constants) or len(found) == 1:
                fits[canonical_text(node)] = node
    return next(iter(fits.values())) if len(fits) == 1 else None
