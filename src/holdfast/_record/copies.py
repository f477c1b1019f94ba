"""The record of a step lies there twice: ``holdfast.json``, and byte for byte the same in ``holdfast.json.copy``.

Each bears its own digest, so that a damaged one tells itself, and a flipped bit in a few kilobytes of text does not cost
the gigabytes beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._core.errors import HoldfastError
from .schema import Record, load_record

__all__ = ["COPY", "RECORD", "Found", "load_either"]

RECORD, COPY = "holdfast.json", "holdfast.json.copy"


class Found(NamedTuple):
    """A step's record: from which of its two files (``name``), and in words what is wrong with the other one, or
    ``None``."""

    record: Record
    name: str
    trouble: str | None = None

    @property
    def other(self) -> str:
        """The name of the other file."""
        return RECORD if self.name == COPY else COPY


def load_either(read: Callable[[str], bytes], shown: Callable[[str], str]) -> Found:
    """The record from the first of its two files that can be trusted.

    ``read`` gives a file of the step's folder by name and raises ``OSError`` or :class:`HoldfastError` where it cannot;
    ``shown`` gives its path for messages. A copy that is not there is no trouble (the first versions wrote none). Raises
    what the first file raised where neither can be used.
    """
    try:
        first = read(RECORD)
        record = load_record(first, shown(RECORD))
    except (OSError, HoldfastError) as error:
        try:
            second = load_record(read(COPY), shown(COPY))
        except (OSError, HoldfastError):
            raise error from None
        return Found(second, COPY, f"{RECORD} cannot be used ({_why(error)}); its copy is whole and was read")
    try:
        same = read(COPY) == first
    except FileNotFoundError:
        return Found(record, RECORD)
    except (OSError, HoldfastError) as error:
        return Found(record, RECORD, f"{COPY} cannot be read ({_why(error)}); {RECORD} itself is whole")
    return Found(
        record, RECORD, None if same else f"{COPY} is not what {RECORD} is; {RECORD} itself is whole"
    )


def _why(error: OSError | HoldfastError) -> str:
    return error.message if isinstance(error, HoldfastError) else error.strerror or str(error)
