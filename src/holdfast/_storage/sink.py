"""Where a save is written: a folder whose operations are few, ordered and durable on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .placed import PlacedFile

__all__ = ["Sink", "SinkFile"]


class SinkFile(ABC):
    """A file that is being written, from its start to its end."""

    name: str

    @abstractmethod
    def write(self, data: memoryview) -> None:
        """Append all of ``data``. Raises :class:`SaveFailed`."""

    @abstractmethod
    def sync(self) -> None:
        """Everything written so far is on the medium when this returns."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; writes nothing more."""


class Sink(ABC):
    """A folder to write to. Names are relative to it, ``/`` between segments.

    Object stores come as another subclass; the order of operations in :mod:`holdfast._vault.saving.commit` is all they
    need to keep.
    """

    path: str
    threads: int = 1
    """How many threads may write one file at a time (:meth:`create_placed`)."""
    retries: int = 0
    """How often a transient error was tried again, in all."""

    @abstractmethod
    def make_root(self) -> None:
        """Make the sink's own folder where it is not there, durably, with all above it."""

    @abstractmethod
    def create(self, name: str) -> SinkFile:
        """A new file; raises :class:`SaveFailed` where the name is taken."""

    def create_placed(self, name: str, size: int) -> PlacedFile | None:
        """A new file of ``size`` bytes that several threads write; ``None`` where :meth:`create` is as good."""
        return None

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """A new folder."""

    def await_folder(self, name: str) -> None:  # noqa: B027 - most stores show at once what another process has made
        """Return once a folder that another process has made is seen from here; raises :class:`SaveFailed` where it never is."""

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Move within the sink, atomically; raises :class:`SaveFailed` where ``new`` is taken."""

    @abstractmethod
    def link(self, old: str, new: str) -> bool:
        """Make ``new`` the same file as ``old``; ``False`` where the file system has no hard links."""

    def clone(self, old: str, new: str) -> bool:
        """Make ``new`` a durable file of its own that shares ``old``'s blocks until one of them is changed (reflink);
        ``False`` where that is not to be had, and nothing is left then."""
        return False

    def append(self, name: str, data: bytes) -> bool:
        """Add bytes to the end of a file, which is made where it is not there; they are on the medium when this returns (a
        new file's name once :meth:`sync_folder` has). ``False`` where nothing can be appended: nothing is written then."""
        return False

    def protect(self, name: str) -> None:  # noqa: B027 - nothing is a way of doing it
        """Make a file read-only, where there is such a thing."""

    @abstractmethod
    def remove_tree(self, name: str) -> None:
        """Delete a folder and all in it, or a file. A link is deleted, not what it points to."""

    @abstractmethod
    def sync_folder(self, name: str = "") -> None:
        """The entries of a folder are on the medium when this returns."""

    @abstractmethod
    def free(self) -> int | None:
        """Bytes that can still be written; ``None`` where that cannot be known."""
