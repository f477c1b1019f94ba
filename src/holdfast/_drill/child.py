"""The process of a drill: ``python -m holdfast._drill.child TARGET ARGS...``, with its orders in an environment variable.

The script runs as ``python SCRIPT ARGS`` would run it (``module:function`` is imported and called without arguments), with the
watchers in place. At its end the state is written beside the trace.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

__all__: list[str] = []


def main(arguments: list[str]) -> None:
    """Carry the orders out."""
    import numpy as np

    from .trace import VARIABLE, Kill, Trace, kill_this_process, to_file
    from .watching import watch

    orders: dict[str, Any] = json.loads(os.environ.pop(VARIABLE))
    trace_file = Path(orders["trace"])

    def end() -> None:
        arrays = trace.final_arrays()
        np.savez(trace_file.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
        trace.event("end")

    def stopped() -> None:
        end()
        sys.stdout.flush()
        os._exit(0)

    kill = orders.get("kill")
    trace = Trace(
        to_file(trace_file),
        kill=Kill(**kill) if kill else None,
        strike=kill_this_process,
        stop=orders.get("stop"),
        stopped=stopped,
    )
    target = arguments[0]
    sys.argv = [target, *arguments[1:]]
    patches = watch(trace)
    trace.event("begin", pid=os.getpid())
    try:
        module, colon, name = target.rpartition(":")
        if colon and not target.endswith(".py"):
            sys.path.insert(0, str(Path.cwd()))
            call: Any = importlib.import_module(module)
            for word in name.split("."):
                call = getattr(call, word)
            call()
        else:
            sys.path[0] = str(Path(target).resolve().parent)
            runpy.run_path(target, run_name="__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    end()
    patches.undo()


if __name__ == "__main__":
    main(sys.argv[1:])
