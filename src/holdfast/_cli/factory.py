"""``module:factory``: the user's own code that builds the model.

The working folder is put on ``sys.path``, as ``python -m`` does; nothing else of the interpreter changes.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any

import click

from .._core.errors import UsageError

__all__ = ["PARTS", "is_factory", "keywords", "load_factory", "parts_of"]

PARTS = ("model", "optimizer", "scheduler", "scaler")
"""What a tuple that a factory returns is taken for, in this order."""

_CALLED = (type, FunctionType, BuiltinFunctionType, MethodType, functools.partial)
_EXPECTED = "package.module:callable (or file.py:callable) that returns the model"


def load_factory(text: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
    """Import ``package.module:callable`` (or ``path/file.py:callable``) and return what the call gives.

    Attributes of attributes work (``train:Config.build``). An object that is no function or class is returned
    as it is (``train:model``). Raises :class:`UsageError` where the text, the module or the attribute is wrong, where
    importing or calling it raises (its traceback is printed on standard error, from the user's first frame on), and
    where it gives ``None``.
    """
    where, colon, path = text.rpartition(":")
    if not colon or not where or not path:
        raise UsageError("not the name of a factory", found=text, expected=_EXPECTED)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its banner is no answer to what was asked
    with contextlib.redirect_stdout(sys.stderr):  # what the user's code prints is not our output
        return _made(where, path, text, args, kwargs or {})


def _made(where: str, path: str, text: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    thing: Any = _module(where, text)
    for word in path.split("."):
        try:
            thing = getattr(thing, word)
        except AttributeError as error:
            near = difflib.get_close_matches(word, [name for name in dir(thing) if name[:1] != "_"], n=3)
            raise UsageError(
                f"{where} has no {path}",
                found=text,
                expected=_EXPECTED,
                remedy=f"Did you mean {' or '.join(f'{where}:{name}' for name in near)}?" if near else None,
            ) from error
    if isinstance(thing, ModuleType):
        raise UsageError(f"{text} is a module, no factory", expected=_EXPECTED)
    if not isinstance(thing, _CALLED):
        return thing
    try:
        made = thing(*args, **kwargs)
    except (Exception, SystemExit) as error:
        _show(error)
        raise UsageError(
            f"{text} raised {_named(error)}",
            found=str(error)[:500] or None,
            remedy="The traceback is above; a factory is called "
            + ("with the arguments given." if args or kwargs else "without arguments."),
        ) from error
    if made is None:
        raise UsageError(
            f"{text} returned None",
            expected="the model, (model, optimizer), or a dict of them",
            remedy="Does it end in `return model`?",
        )
    return made


def is_factory(text: str) -> bool:
    """Whether a text has the form ``module:callable`` and is not a file of that name."""
    module, _, name = text.rpartition(":")
    return bool(module) and name.replace(".", "").isidentifier() and not Path(text).exists()


def keywords(texts: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as keyword arguments: Python literals where they are such, else texts.

    Raises :class:`UsageError` for another form.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError("an argument of the factory has the form NAME=VALUE", found=text)
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def parts_of(made: Any) -> dict[str, Any]:
    """What a factory returned, by part: a plain tuple or list as model, optimizer, scheduler, scaler; a dict with a
    key ``model`` as it is; anything else is the model. Raises :class:`UsageError` for other tuples."""
    if type(made) in (tuple, list) and made:
        if len(made) > len(PARTS):
            raise UsageError(
                "the factory returned a tuple of too many parts",
                found=f"{len(made)} of them",
                expected=", ".join(PARTS) + ", in this order; or a dict with these words",
            )
        return {part: thing for part, thing in zip(PARTS, made, strict=False) if thing is not None}
    if isinstance(made, dict) and made.get("model") is not None and all(isinstance(key, str) for key in made):
        return {part: thing for part, thing in made.items() if thing is not None}
    return {"model": made}


def _module(where: str, text: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if where.endswith(".py"):
        return _from_file(Path(where), text)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if where == missing or where.startswith(f"{missing}."):
            file = Path(*where.split(".")).with_suffix(".py")
            raise UsageError(
                f"no module named {missing}",
                found=text,
                expected=_EXPECTED,
                remedy=f"Looked for {file} in {here} and in the installed packages.",
            ) from error
        _show(error)
        raise UsageError(
            f"{where} needs the module {missing}, which is not installed",
            remedy=f"Install it in the environment of holdfast ({sys.prefix}), or run holdfast from yours: "
            f"`pip install {_package(missing)}`",
        ) from error
    except (Exception, SystemExit) as error:
        _show(error)
        raise UsageError(
            f"importing {where} raised {_named(error)}",
            found=str(error)[:500] or None,
            remedy="The traceback is above. What must not run on import belongs under `if __name__ == "
            '"__main__":`.',
        ) from error


_EXTRAS = {
    **dict.fromkeys(("jax", "flax", "optax"), "jax"),
    **dict.fromkeys(("tensorflow", "keras"), "tensorflow"),
    **{name: name for name in ("torch", "lightning")},
}
"""Packages of frameworks, and our extra that brings them."""


def _package(module: str) -> str:
    """What to give to pip for a module that is missing."""
    root = module.partition(".")[0]
    return f"'holdfast[{_EXTRAS[root]}]'" if root in _EXTRAS else root


def _from_file(file: Path, text: str) -> ModuleType:
    """The module in a file that is no part of a package; its folder is on ``sys.path``, as for a script."""
    if not file.is_file():
        raise UsageError(f"no such file: {file}", found=text, expected=_EXPECTED)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _module(file.stem, text)


def _named(error: BaseException) -> str:
    return type(error).__name__


def _show(error: BaseException) -> None:
    """Print the traceback from the first frame that is neither ours nor the import system's."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _skipped(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    shown = error.with_traceback(trace if trace is not None else error.__traceback__)
    lines = traceback.format_exception(type(shown), shown, shown.__traceback__, chain=False)
    click.echo("".join(lines), nl=False, err=True)


def _skipped(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")
