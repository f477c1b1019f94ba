"""What the kind of an error says of a save or a load where nothing is known of its message: the class of the exception and the
side on which it was raised.

Heard only where no entry speaks, and softly: the first of these is what such an error mostly is, the others are what else it is.
"""

from __future__ import annotations

import re

from .._facts.causes import cause_of
from .knowledge import Guess
from .reading import Raised, Reading
from .surroundings import FILES, LOADS, SAVES, around, files_of

__all__ = ["by_kind"]

_WRITES = re.compile(
    r"deepcopy|get_config|pickle|\bdumps?\b|json|seriali[sz]|yaml|__reduce|__getstate__|config", re.IGNORECASE
)

_SAVING = (
    (
        r"PicklingError|RecursionError|NotImplementedError",
        ("unserialisable", "custom-object", "version-mismatch"),
    ),
    (r"MemoryError|ResourceExhausted\w*|OutOfMemory\w*", ("memory", "size-limit", "storage")),
    (r"OverflowError|error|LargeZipFile|EncodeError", ("size-limit", "unserialisable", "memory")),
    (
        r"(?:Timeout|DeadlineExceeded|Connection\w*|BrokenPipe|Barrier\w*|DistBackend|Cancelled)\w*",
        ("concurrency", "storage", "async-save"),
    ),
    (
        r"OSError|IOError|PermissionError|FileExistsError|FileNotFoundError|NotADirectoryError|BlockingIOError|\w*StorageError"
        r"|\w*HTTPError|ClientError|\w*ServiceError|PermissionDeniedError",
        ("storage", "not-found", "concurrency"),
    ),
    (r"NotFoundError|FailedPreconditionError|AlreadyExistsError", ("storage", "concurrency", "topology")),
    (
        r"InternalError|UnknownError|AbortedError|UnavailableError|XlaRuntimeError|DataLossError",
        ("storage", "concurrency", "topology"),
    ),
    (r"InvalidArgumentError|UnimplementedError", ("graph-lifecycle", "storage", "topology")),
    (r"AssertionError", ("topology", "lazy-build", "concurrency")),
    (
        r"TypeError|AttributeError|NameError|KeyError|IndexError",
        ("unserialisable", "version-mismatch", "custom-object"),
    ),
    (r"ValueError", ("unserialisable", "format-mismatch", "lazy-build")),
    (r"RuntimeError", ("unserialisable", "storage", "graph-lifecycle")),
)
_LOADING = (
    (
        r"UnpicklingError|EOFError|BadZip[Ff]ile|DataLossError|JSONDecodeError|ReadError|DecodeError|SafetensorError|error",
        ("corrupt", "format-mismatch", "incomplete-save"),
    ),
    (r"UnicodeDecodeError", ("format-mismatch", "version-mismatch", "corrupt")),
    (r"MemoryError|ResourceExhausted\w*|OutOfMemory\w*", ("memory", "device-mismatch", "topology")),
    (
        r"(?:Timeout|DeadlineExceeded|Connection\w*|BrokenPipe|Barrier\w*|DistBackend|Cancelled)\w*",
        ("concurrency", "storage", "topology"),
    ),
    (r"ImportError|ModuleNotFoundError", ("version-mismatch", "custom-object", "unsafe-pickle")),
    (
        r"FileNotFoundError|NotADirectoryError|IsADirectoryError",
        ("not-found", "incomplete-save", "retention"),
    ),
    (r"OSError|IOError", ("not-found", "corrupt", "storage")),
    (
        r"PermissionError|PermissionDeniedError|\w*HTTPError|ClientError",
        ("storage", "not-found", "concurrency"),
    ),
    (r"NotFoundError", ("missing-tensor", "not-found", "renamed")),
    (r"InvalidArgumentError", ("shape-mismatch", "dtype-mismatch", "version-mismatch")),
    (r"FailedPreconditionError", ("missing-tensor", "lazy-build", "graph-lifecycle")),
    (r"NotImplementedError|UnimplementedError", ("version-mismatch", "lazy-build", "device-mismatch")),
    (r"NameError", ("custom-object", "version-mismatch", "unserialisable")),
    (r"AttributeError|TypeError", ("version-mismatch", "format-mismatch", "custom-object")),
    (r"KeyError|IndexError", ("format-mismatch", "version-mismatch", "missing-tensor")),
    (r"AssertionError", ("shape-mismatch", "format-mismatch", "topology")),
    (r"ValueError", ("version-mismatch", "shape-mismatch", "format-mismatch")),
    (r"RuntimeError", ("version-mismatch", "shape-mismatch", "missing-tensor")),
    (
        r"InternalError|UnknownError|AbortedError|UnavailableError|XlaRuntimeError",
        ("version-mismatch", "storage", "device-mismatch"),
    ),
)
_OF_OBJECTS = ("TypeError", "AttributeError", "ValueError", "RuntimeError", "KeyError")
_SURE = (0.47, 0.42, 0.36)


def by_kind(reading: Reading) -> list[Guess]:
    """Three guesses for an error of a known kind that a save or a load raised; none for any other text."""
    last = reading.last
    surroundings = around(reading)
    if last is None or not (surroundings.calls or _in_files(last)) or surroundings.computing:
        return []
    side = "saved" if _saves(reading, surroundings.saving, surroundings.loading) else "loaded"
    for pattern, labels in _SAVING if side == "saved" else _LOADING:
        if re.fullmatch(pattern, last.name):
            near = " ".join(f"{frame.name} {frame.code}" for frame in last.frames[-4:])
            if side == "saved" and last.name in _OF_OBJECTS and _WRITES.search(near):
                labels = ("unserialisable", "custom-object", "version-mismatch")
            return [_guess(label, sure, last.name, side) for label, sure in zip(labels, _SURE, strict=True)]
    return []


def _in_files(last: Raised) -> bool:
    """Whether a frame lies in code that saves and loads; HDF5 files are data as often."""
    files = files_of(last)
    return any(word in files for word in FILES if word != "h5py")


def _saves(reading: Reading, saving: bool, loading: bool) -> bool:
    """Of a program that does both, the frame nearest to the error tells."""
    for frame in reversed(reading.frames):
        name = frame.name.rpartition(".")[2]
        if name in SAVES or name in ("save", "_save", "dump"):
            return True
        if name in LOADS or name in ("load", "_load", "restore"):
            return False
    return saving and not loading


def _guess(label: str, sure: float, kind: str, side: str) -> Guess:
    cause = cause_of(label)
    title, remedy = (cause.title, cause.remedy) if cause is not None else (label, "")
    return Guess(
        label,
        sure,
        f"the message is not known; a {kind} while something is {side} is often this: {title[:1].lower()}{title[1:]}",
        remedy,
        kind,
        "the whole traceback, and the versions that wrote and read",
        entry="by-kind",
    )
