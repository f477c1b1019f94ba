"""A small file that is there whole or not at all: written beside, forced to the disk, then renamed."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from .._core.errors import HoldfastError, SealError

__all__ = ["force_file", "force_folder", "write_whole"]


def write_whole(path: Path, data: bytes, *, replace: bool) -> None:
    """Write ``data`` as ``path``, atomically and durably.

    With ``replace=False`` a file that appeared there meanwhile is not touched, and :class:`SealError` is
    raised. Raises :class:`HoldfastError` naming the folder where it cannot be written (permission, space). A device or a
    pipe (``/dev/stderr``, ``/dev/fd/3``) is written to; it is never replaced by a file.
    """
    if replace and _is_stream(path):
        _write_through(path, data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(data)
            while len(rest):
                rest = rest[os.write(handle, rest) :]
            _force(handle)
        finally:
            os.close(handle)
        if replace:
            temporary.replace(path)
        else:
            _rename_new(temporary, path)
        force_folder(path.parent)
    except FileExistsError:
        raise SealError("a file of that name is there already", file=os.fspath(path)) from None
    except OSError as error:
        raise HoldfastError(
            f"the file cannot be written: {error.strerror}",
            file=os.fspath(path),
            remedy="Name a place that can be written with --seal-file.",
        ) from error
    finally:
        with suppress(OSError):  # a file system that has become read-only lets nothing be taken away either
            temporary.unlink()


def _is_stream(path: Path) -> bool:
    """Whether something lies there that is neither a file nor a folder."""
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except OSError:
        return False


def _write_through(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        raise HoldfastError(
            f"it cannot be written to: {error.strerror or error}", file=os.fspath(path)
        ) from error


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename unless the name is taken, in one step where the file system has hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network drives): a check and a rename must do
        if path.exists():
            raise FileExistsError(os.fspath(path)) from None
        temporary.replace(path)


def force_file(path: Path) -> None:
    """The contents of a file are on the medium when this returns (fsync(2)). Raises :class:`OSError`."""
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0) if os.name == "nt" else os.O_RDONLY)
    try:
        _force(handle)
    finally:
        os.close(handle)


def _force(handle: int) -> None:
    if sys.platform == "darwin":  # fsync leaves the drive's own cache alone there: man 2 fsync
        import fcntl

        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
        except OSError:  # file systems without it
            pass
    os.fsync(handle)


def force_folder(folder: Path) -> None:
    """The entries of a folder are on the medium when this returns, where its file system can promise that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse to sync a folder; the file itself is safe
        pass
    finally:
        os.close(handle)
