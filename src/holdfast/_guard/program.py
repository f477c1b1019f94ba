"""A program, run as ``python SCRIPT`` or ``python -m MODULE`` would run it, under a guard.

Nothing is imported that the program does not import before it begins: an environment variable that it sets first (threads,
devices) still counts.
"""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType

from .._core.errors import UsageError
from .._frameworks.patches import without_ours

__all__ = ["run_program"]


def run_program(
    target: str,
    arguments: Sequence[str],
    *,
    module: bool = False,
    ended: Callable[[BaseException], None] = lambda _: None,
) -> int:
    """Run it to its end and give its exit code, as Python would: 0, what ``SystemExit`` says, 1 after an error that nobody
    caught (printed as Python prints it). ``KeyboardInterrupt`` passes.

    ``ended`` is told what ended it, ``SystemExit`` too. Raises :class:`UsageError` where there is no such script or module.
    """
    path = Path(target)
    if module:
        _known_module(target)
    elif not path.is_file():
        raise UsageError(
            "there is no such script",
            file=target,
            remedy="Give the script's path, or `-m MODULE` for a module.",
        )
    try:
        if module:
            _as_module(target, arguments)
        else:
            _as_script(target, path, arguments)
    except SystemExit as end:
        ended(end)
        return _code(end.code)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - printed as the interpreter would print it, and told by the exit code
        ended(error)
        _printed(error)
        return 1
    return 0


def _as_script(target: str, path: Path, arguments: Sequence[str]) -> None:
    """The module ``__main__`` is the program's own, for pickles and for processes that it starts."""
    whole = str(path.absolute())
    main = ModuleType("__main__")
    loader = SourceFileLoader("__main__", whole)
    main.__dict__.update(__file__=whole, __builtins__=builtins, __spec__=None)
    main.__dict__.update(__loader__=loader, __cached__=None)
    if sys.version_info < (3, 14):  # where a module has it from its beginning
        vars(main)["__annotations__"] = {}
    sys.argv = [target, *arguments]
    sys.path[0] = str(path.resolve().parent)
    sys.modules["__main__"] = main
    code = compile(path.read_bytes(), whole, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def _as_module(target: str, arguments: Sequence[str]) -> None:
    import runpy

    sys.argv = [target, *arguments]
    runpy.run_module(target, run_name="__main__", alter_sys=True)


def _known_module(target: str) -> None:
    from importlib.util import find_spec

    sys.path[0] = str(Path.cwd())
    try:
        found = find_spec(target)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise UsageError(
            "there is no such module", found=target, remedy="It is looked for as `python -m` does."
        )


def _code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _printed(error: BaseException) -> None:
    """The traceback, without this library's frames, through the program's own hook where it has one."""
    trace: TracebackType | None = without_ours(error.__traceback__)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<frozen runpy"):
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except Exception:  # noqa: BLE001 - a hook of the program's that fails: Python prints both, and so do we
        traceback.print_exc()
        traceback.print_exception(type(error), error, trace)
