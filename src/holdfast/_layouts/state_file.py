"""TensorFlow's ``checkpoint`` state file: which checkpoint of a folder is the newest, and which are kept.

Sources: tensorflow/python/training/checkpoint_state.proto and checkpoint_management.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from .._core.errors import DamagedCheckpoint, HoldfastError
from .._core.fault import Fault
from .._storage import Source, Store

__all__ = [
    "STATE_FILE",
    "CheckpointState",
    "by_age",
    "is_empty",
    "read_state_file",
    "state_faults",
    "state_of",
]

STATE_FILE = "checkpoint"
_STATE_LIMIT = 16 << 20


class CheckpointState(NamedTuple):
    """A state file: the newest checkpoint, all that are kept (oldest first), and when they were saved
    (seconds).
    """

    model_checkpoint_path: str
    all_paths: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()


_TOKEN = re.compile(
    rb"""\s*(?:\#[^\n]*(?:\n\s*|\Z))*(?P<name>[A-Za-z_]\w*)\s*:\s*
    (?:(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<number>[-+.\w]+))\s*[,;]?""",
    re.VERBOSE,
)
_BLANK = re.compile(rb"[ \t\r\n]*")
_COMMENTS = re.compile(rb"\s*(?:\#[^\n]*(?:\n\s*|\Z))*")
_LOOKED_UP = 2000  # newest paths of a state file that are looked for on disk
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _unquoted(raw: bytes) -> str:
    """A quoted text-format string: C escapes, octal for what is not ASCII."""

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 8) & 0xFF])
        if match[2]:
            return bytes([int(match[2], 16)])
        return _LETTERS.get(match[3], match[3])

    return _ESCAPE.sub(plain, raw[1:-1]).decode("utf-8", "backslashreplace")


def read_state_file(source: Source) -> CheckpointState:
    """A ``checkpoint`` file: ``CheckpointState`` in protobuf's text format.

    Raises :class:`DamagedCheckpoint` for anything else (other things are called ``checkpoint`` too: a
    msgpack file of flax, a folder of an Orbax run).
    """
    if source.size > _STATE_LIMIT:
        raise DamagedCheckpoint("too long for a state file", file=source.name, found=f"{source.size} bytes")
    data = source.read(0, source.size)
    latest: str | None = None
    paths: list[str] = []
    stamps: list[float] = []
    at = _BLANK.match(data, 0).end()  # type: ignore[union-attr]
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            if _COMMENTS.fullmatch(data, at):
                break
            raise DamagedCheckpoint(
                "not a TensorFlow state file", file=source.name, offset=at, found=repr(data[at : at + 40])
            )
        name, value = match["name"], match["text"]
        if name == b"model_checkpoint_path" and value:
            latest = _unquoted(value)
        elif name == b"all_model_checkpoint_paths" and value:
            paths.append(_unquoted(value))
        elif name == b"all_model_checkpoint_timestamps" and match["number"]:
            try:
                stamps.append(float(match["number"]))
            except ValueError:
                raise DamagedCheckpoint(
                    "a timestamp that is no number", file=source.name, offset=at
                ) from None
        at = _BLANK.match(data, match.end()).end()  # type: ignore[union-attr]
    if latest is None:
        raise DamagedCheckpoint("a state file that names no checkpoint", file=source.name)
    return CheckpointState(latest, tuple(paths), tuple(stamps))


def _here(store: Store, path: str) -> str | None:
    """The prefix in ``store`` that a state file's path means, if it is that of a bundle there (relative
    paths too).
    """
    plain = path.replace("\\", "/")
    for name in ([] if _absolute(plain) else [plain]) + [plain.rsplit("/", 1)[-1]]:
        if name and ".." not in name.split("/") and (store.exists(f"{name}.index") or store.exists(name)):
            return name
    return None


def _absolute(path: str) -> bool:
    return path.startswith("/") or bool(re.match(r"[A-Za-z]:|\w+://", path))


def state_faults(store: Store, state: CheckpointState, name: str = STATE_FILE) -> list[Fault]:
    """What a state file says that is not so: names a checkpoint that is not there, or paths of another place.

    Slugs ``state-file-dangling`` (``attributes["latest"]`` tells whether it is the newest) and
    ``state-file-moved``.
    """
    faults = []
    file = store.shown(name)
    home = Path(store.path or ".").absolute().as_posix()
    moved: list[str] = []
    for path in dict.fromkeys((state.model_checkpoint_path, *state.all_paths[-_LOOKED_UP:])):
        latest = path == state.model_checkpoint_path
        if _here(store, path) is None:
            faults.append(
                Fault(
                    "state-file-dangling",
                    "the state file names a checkpoint that is not there",
                    file,
                    seen=path,
                    expected="a checkpoint in this folder",
                    attributes={"latest": latest},
                )
            )
        elif _absolute(path) and path.replace("\\", "/").rpartition("/")[0] != home:
            moved.append(path)
    if moved:
        faults.append(
            Fault(
                "state-file-moved",
                "the state file holds paths of another place; the files themselves are here",
                file,
                seen=moved[0],
                expected=f"{home}/{moved[0].rpartition('/')[2]}",
                attributes={"paths": tuple(moved), "latest": state.model_checkpoint_path in moved},
            )
        )
    return faults


def state_of(store: Store) -> CheckpointState | None:
    """The folder's state file; ``None`` where there is none, or another thing of that name."""
    if not store.exists(STATE_FILE) or store.is_folder(STATE_FILE):
        return None
    try:
        source = store.open(STATE_FILE)
        try:
            return read_state_file(source)
        finally:
            source.close()
    except HoldfastError:
        return None


def is_empty(store: Store) -> bool:
    """Whether the state file is there and has no bytes."""
    return any(e.name == STATE_FILE and not e.is_folder and e.size == 0 for e in store.entries())


def by_age(store: Store, state: CheckpointState) -> list[str]:
    """The prefixes of the bundles in ``store`` that the state file names, the newest first."""
    told = [state.model_checkpoint_path, *reversed(state.all_paths[-_LOOKED_UP:])]
    return [here for path in told if (here := _here(store, path)) is not None]
