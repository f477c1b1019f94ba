"""What is seen, told at once: lines on a stream, whole or not at all, whatever the program prints meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .lines import Told
from .seen import Seen

if TYPE_CHECKING:
    from .guard import Guard

__all__ = ["summing_up", "teller"]

_NOTABLE = 1.0
"""Seconds of processor time that a program takes which imports a framework; tools that are asked for a version take less."""
_NOT_HERE = """· holdfast  watched no load and no save in this process
    The processes that it started took {:.0f} s of processor time, and are not watched. Start them under it:
    `torchrun ... -m holdfast run train.py`, or `python -m holdfast run train.py` in place of `python train.py`."""


def teller(
    stream: Any,
    *,
    color: bool | None = None,
    verbose: bool = False,
    quiet: bool = False,
    wanted: Callable[[Any], bool] = lambda _: True,
) -> Callable[[Seen], None]:
    """A function that writes a watched call to ``stream``. ``quiet``: only calls with something wrong. ``wanted``: which
    findings.

    Of a line of the program that runs many times, the first right calls are told, and all with something wrong; in processes that
    the program forks, only what is wrong. ``verbose``: everything."""
    lock, told = threading.Lock(), Told()

    def tell(seen: Seen) -> None:
        from .._render.run_text import draw_call
        from .._render.terminal import Terminal
        from .report import call_document

        seen.findings = [f for f in seen.findings if wanted(f)]
        if quiet and seen.worst not in ("error", "warning") and not seen.error:
            return
        still = verbose or told.still(seen)
        if still is False:
            return
        try:
            page = Terminal.of(stream, color).page()
            draw_call(call_document(seen), page, verbose=verbose)
            if still is None:
                page.line("    ", ("from here on, this line is told of only where something is wrong", "dim"))
            text = "\n".join(page.lines)
        except Exception as bug:  # noqa: BLE001 - the program's call must not fail by our fault
            text = (
                f"! holdfast  {seen.site}  {seen.api}: this could not be told ({type(bug).__name__}: {bug})"
            )
        with lock:
            _write(stream, text)

    return tell


def summing_up(
    guard: Guard,
    stream: Any,
    command: list[str],
    code: int | None,
    document: str | None,
    settings: Any,
    ended: BaseException | None = None,
) -> None:
    """The summary on ``stream``, and the document in a file where one is wanted. ``ended``: what ended the program."""
    if not guard.seen and not settings.quiet and (seconds := _of_others()) >= _NOTABLE:
        _write(stream, _NOT_HERE.format(seconds))
    if not guard.seen and document is None:
        return
    from .._render.run_text import draw
    from .._render.terminal import Terminal
    from .closing import closing
    from .report import run_document

    found = run_document(guard.seen, command, code, closing(guard.seen, ended))
    found["summary"]["passed_over"] = guard.lines.passed.total()
    page = Terminal.of(stream, settings.color).page()
    page.blank()
    draw(found, page, verbose=settings.verbose, quiet=settings.quiet)
    _write(stream, "\n".join(page.lines))
    if document is not None:
        import json

        from .._core.errors import HoldfastError
        from .._integrity.atomic import write_whole

        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        try:
            write_whole(Path(document), text.encode("utf-8", "backslashreplace"), replace=True)
        except HoldfastError as error:  # the program has ended, and its exit code counts
            _write(stream, f"! holdfast  {document} could not be written: {error.message}")


def _of_others() -> float:
    """Seconds of processor time that processes took which the program had started, and that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _write(stream: Any, text: str) -> None:
    """A few lines at once. A terminal or pipe that is gone takes them no longer, and the program goes on all the same."""
    if stream is None:  # a program that has none
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return
