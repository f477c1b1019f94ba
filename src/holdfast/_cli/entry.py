"""From ``sys.argv`` to an exit code.

0: nothing at or above ``--fail-on`` · 1: findings (``diff``: differences) · 2: the command itself failed ·
130: interrupted. Nothing that a file holds leads to a traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the command line on ``arguments`` (without the program's name) and return its exit code."""
    _with_streams()
    if not sys.warnoptions and "run" not in arguments[:1]:  # a program that is run has its own
        warnings.simplefilter("ignore")  # those of libraries are no answer to what was asked
    try:
        code = _run(list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return 0
    except KeyboardInterrupt:
        return _interrupted()
    return code


def _run(arguments: list[str]) -> int:
    import click

    from .errors import complain, complain_usage, internal
    from .group import main

    try:
        return int(main.main(args=arguments, prog_name="holdfast", standalone_mode=False) or 0)
    except click.exceptions.Abort as abort:
        raise KeyboardInterrupt from abort
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        complain_usage(error)
        return 2
    except click.ClickException as error:
        if error.__cause__ is not None:
            complain(error.__cause__)
        else:
            error.show()
        return error.exit_code
    except BrokenPipeError:
        raise
    except (
        OSError
    ) as error:  # what the file system says of our output; of checkpoints it is caught where they are read
        complain(error)
        return 2
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG"):
            raise
        internal(error)
        return 2


def _with_streams() -> None:
    """Where a daemon or a shell's ``>&-`` has closed a standard stream, Python has none; what is written goes nowhere then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process


def _interrupted() -> int:
    """Leave at once: threads that still read are not waited for."""
    sys.stderr.write("\nholdfast: interrupted\n")
    sys.stderr.flush()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
    os._exit(130)


def _silence() -> None:
    """The reader of our output has gone (``| head``): nothing more is written, and Python's own exit stays
    quiet.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
