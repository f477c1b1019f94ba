"""What holds a lock and a thread is no value: it is neither pickled nor copied."""

from __future__ import annotations

from typing import Any, NoReturn

from .._core.errors import UsageError

__all__ = ["Uncopied"]


class NotCopied(UsageError, TypeError):
    """Also what ``pickle`` and ``copy`` raise of such objects, for whoever tries whether one can be copied."""


class Uncopied:
    """Refuses ``pickle``, ``copy.copy`` and ``copy.deepcopy``."""

    path: str

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise NotCopied(
            "a vault can be neither pickled nor copied: it is the one writer of its folder", file=self.path,
            remedy="Pass its path, and make the Vault where it is used; leave it out of what is copied or sent to workers.",
        )  # fmt: skip
