"""``python -m holdfast`` and the ``holdfast`` command.

Nothing is imported before it is needed: the version is told before the argument parser exists.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line on ``sys.argv`` and return its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from ._version import __version__

        if sys.stdout is not None:  # closed by a daemon, or by `>&-`
            sys.stdout.write(f"holdfast {__version__}\n")
        return 0
    from ._cli.entry import run

    code = run(arguments)
    if arguments[:1] != [
        "run"
    ]:  # a program's own objects are let go at its end, as in Python: files are flushed by it
        import gc

        gc.freeze()  # the process ends: looking for cycles in what it held would only take time
    return code


if __name__ == "__main__":
    sys.exit(main())
