"""``module:factory``: the user's own code that builds the model.

The working folder is put on ``sys.path``, as ``python -m`` does; nothing else of the interpreter changes.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any

import click

from .._core.errors import UsageError
from .._frameworks.kinds import is_optimizer

__all__ = ["PARTS", "aside", "is_factory", "keywords", "load_factory", "load_thing", "parts_of"]

PARTS = ("model", "optimizer", "scheduler", "scaler")
"""What a tuple that a factory returns is taken for, in this order."""

_CALLED = (type, FunctionType, BuiltinFunctionType, MethodType, functools.partial)
_EXPECTED = "package.module:callable (or file.py:callable) that returns the model"


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """What the user's code prints is not our output: it goes to standard error, also what programs that it starts print."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # a stream that is closed
        kept = -1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


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
    with aside():
        return _made(where, path, text, args, kwargs or {})


def load_thing(text: str) -> Any:
    """Like :func:`load_factory`, but nothing is called: the function itself."""
    where, colon, path = text.rpartition(":")
    if not colon or not where or not path:
        raise UsageError(
            "not the name of a function", found=text, expected="package.module:function, or file.py:function"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with aside():
        return _thing(where, path, text)


def _thing(where: str, path: str, text: str) -> Any:
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
    return thing


def _made(where: str, path: str, text: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    thing = _thing(where, path, text)
    if not isinstance(thing, _CALLED):
        return thing
    try:
        made = thing(*args, **kwargs)
    except (Exception, SystemExit) as error:
        if isinstance(error, TypeError) and not _inside(error):
            raise _not_called_so(text, error, thing) from error
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


def _not_called_so(text: str, error: TypeError, thing: Any) -> UsageError:
    """The factory was never entered: its arguments do not fit."""
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = "(...)"
    return UsageError(
        f"{text} cannot be called so: {error}",
        expected=f"{text.rpartition(':')[2]}{signature}",
        remedy="Arguments are given as --arg NAME=VALUE, or write a function that takes none.",
    )


def _inside(error: BaseException) -> bool:
    """Whether it was raised within the user's code and not by the call itself."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is not None


def is_factory(text: str) -> bool:
    """Whether a text has the form ``module:callable`` and is not a file of that name."""
    module, _, name = text.rpartition(":")
    if not module or (":" in module and not module.endswith(".py")):
        return False
    return all(word.isidentifier() for word in name.split(".")) and not Path(text).exists()


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
    key ``model``, or of nothing but these words, as it is; an optimizer alone as that; anything else is the model.
    Raises :class:`UsageError` for other tuples, and for a dict that has an optimizer and no ``model``."""
    if type(made) in (tuple, list) and made:
        if len(made) > len(PARTS):
            raise UsageError(
                "the factory returned a tuple of too many parts",
                found=f"{len(made)} of them",
                expected=", ".join(PARTS) + ", in this order; or a dict with these words",
            )
        return _given(dict(zip(PARTS, made, strict=False)), made)
    if isinstance(made, dict) and all(isinstance(key, str) for key in made):
        if made.get("model") is not None or (made and made.keys() <= set(PARTS)):
            return _given(made, made)
        inside = [word for word, thing in made.items() if is_optimizer(thing)]
        if inside:
            raise UsageError(
                f"the factory returned a dict with an optimizer (`{inside[0]}`) and no `model`",
                found=", ".join(made)[:200],
                expected="the words model, optimizer, scheduler, scaler; and others for what else is restored",
            )
    return {"optimizer" if is_optimizer(made) else "model": made}


def _given(parts: Mapping[str, Any], made: Any) -> dict[str, Any]:
    """The parts that are there."""
    given = {part: thing for part, thing in parts.items() if thing is not None}
    if not given:
        raise UsageError("the factory returned nothing but None", found=repr(made)[:200])
    return given


def _module(where: str, text: str, file: Path | None = None) -> ModuleType:
    """Import a module by its name, or from a file; every error in the words of the command line."""
    here = str(Path.cwd())
    _on_path(here)
    if file is None and where.endswith(".py"):
        return _from_file(Path(where), text)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(where) if file is None else _loaded(where, file)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if file is None and (where == missing or where.startswith(f"{missing}.")):
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
    """The module in a file. Within a package it is imported as what it is there; else its folder is on ``sys.path``, as
    for a script, and a file that imports what lies beside it by ``from .`` is taken as of a package without
    ``__init__.py``."""
    if not file.is_file():
        near = difflib.get_close_matches(file.name, [f.name for f in _siblings(file)], n=3)
        raise UsageError(
            f"no such file: {file}",
            found=text,
            expected=_EXPECTED,
            remedy=f"Did you mean {' or '.join(str(file.parent / name) for name in near)}?" if near else None,
        )
    folder, name = file.resolve().parent, file.stem
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        folder, name = folder.parent, f"{folder.name}.{name}"
    if "." not in name and _RELATIVE.search(file.read_text("utf-8", errors="replace")):
        folder, name = folder.parent, f"{folder.name}.{name}"
    _on_path(str(folder))
    if "." in name:
        module = _module(name, text)
        if Path(module.__file__ or file).resolve() != file.resolve():
            raise UsageError(
                f"another package of the name {name.partition('.')[0]} comes first on sys.path",
                expected=str(file),
                found=module.__file__,
            )
        return module
    known = getattr(sys.modules.get(name), "__file__", None)
    if name in sys.modules and (known is None or Path(known).resolve() != file.resolve()):
        name = f"{name}_at_{zlib.crc32(str(file.resolve()).encode()):08x}"  # json.py; a train.py of a library
    return _module(name, text, file)


_RELATIVE = re.compile(r"^[ \t]*from[ \t]+\.", re.MULTILINE)


def _siblings(file: Path) -> list[Path]:
    return list(file.parent.glob("*.py")) if file.parent.is_dir() else []


def _loaded(name: str, file: Path) -> ModuleType:
    """The module in a file, under a name, whatever else on ``sys.path`` has that name."""
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _named(error: BaseException) -> str:
    return type(error).__name__


def _show(error: BaseException) -> None:
    """Print the traceback from the first frame that is neither ours nor the import system's; for a file that
    Python cannot parse that is none, and the message tells the line."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _skipped(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace, chain=False)
    click.echo("".join(lines), nl=False, err=True)


def _skipped(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")
