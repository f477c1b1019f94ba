"""The process that tries the saves: what it is about to do, it writes down first, so that its parent knows what it died of."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._core.errors import HoldfastError
from .._render.document import error_document
from .failure import Failure
from .isolating import isolated
from .savers import fitting, saver_of

__all__ = ["VARIABLE", "serve"]

VARIABLE = "HOLDFAST_ISOLATE"


def serve(make: Callable[[dict[str, Any]], Any]) -> None:
    """Carry out the orders in the environment variable: ``make(orders)`` gives what is saved."""
    orders: dict[str, Any] = json.loads(os.environ.pop(VARIABLE))
    with (
        Path(orders["log"]).open("ab", buffering=0) as log,
        Path(orders["stacks"]).open("ab", buffering=0) as stacks,
    ):
        faulthandler.enable(stacks, all_threads=True)
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)

        def tell(**event: Any) -> None:
            log.write(json.dumps(event).encode() + b"\n")

        try:
            _serve(orders, make, tell)
        except HoldfastError as error:
            tell(event="refused", error=error_document(error))
        except BaseException as error:  # noqa: BLE001 - told to the parent, which fails with it
            tell(event="broken", message=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
        sys.stdout.flush()
        sys.stderr.flush()
        faulthandler.disable()
        os._exit(0)  # threads of the user's that never end do not hold it up


def _serve(orders: dict[str, Any], make: Callable[[dict[str, Any]], Any], tell: Callable[..., None]) -> None:
    deadly = {path: Failure.of_document(failure) for path, failure in orders["deadly"].items()}

    def visit(path: str) -> Failure | None:
        if path in deadly:
            return deadly[path]
        tell(event="visit", path=path)
        return None

    tell(event="making")
    with contextlib.redirect_stdout(sys.stderr):
        given = make(orders)
        tell(event="made")
        save = orders["save"] or fitting(given)
        saver = saver_of(save, given, Path(orders["folder"]), visit, limit=orders["limit"], live=False)
        report = isolated(
            saver, orders["target"], save, known=orders["known"], tell=tell, most=orders["most"]
        )
    tell(event="report", report=report.as_document())
