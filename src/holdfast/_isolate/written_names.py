"""Whether a class or function is written at the top of a module's file, where every process that imports it has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

__all__ = ["stands_in_file"]


def stands_in_file(name: str) -> bool:
    """``package.module.Class``: whether that module is found on ``sys.path`` under its name, and its file has the name at
    its top. ``False`` where it is not plain: the module is the script that was started, or the name is made while it runs.
    """
    words = name.split(".")
    for n in range(len(words) - 1, 0, -1):
        module = sys.modules.get(".".join(words[:n]))
        if module is None:
            continue
        file = getattr(module, "__file__", None)
        if words[0] == "__main__" or not file:
            return False
        if not file.endswith(".py"):
            return True  # compiled: what it has, it has always
        where = Path(*words[:n])
        beside = (where.with_suffix(".py"), where / "__init__.py")
        found = any(
            Path(entry or ".", path).resolve() == Path(file).resolve()
            for entry in sys.path
            for path in beside
        )
        return found and words[n] in _tops(file)
    return False


@lru_cache(maxsize=64)
def _tops(file: str) -> frozenset[str]:
    try:
        tree = ast.parse(Path(file).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(_named(tree.body))


def _named(body: Iterable[ast.stmt]) -> Iterator[str]:
    for one in body:
        if isinstance(one, (ast.ClassDef, ast.FunctionDef)):
            yield one.name
        elif isinstance(one, ast.Assign):
            yield from (target.id for target in one.targets if isinstance(target, ast.Name))
        elif isinstance(one, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in one.names)
        elif isinstance(one, (ast.If, ast.With)):
            yield from _named([*one.body, *getattr(one, "orelse", [])])
        elif isinstance(one, ast.Try):
            yield from _named(
                [*one.body, *one.orelse, *(s for handler in one.handlers for s in handler.body)]
            )
