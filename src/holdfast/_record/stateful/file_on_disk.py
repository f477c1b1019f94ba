"""A file on disk, given as a ``pathlib.Path``: its bytes go along (a vocabulary, a label map)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from ..._core.errors import UsageError
from .nest import LARGEST_FILE, Captured, Draft, File

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "file"


def recognises(thing: Any) -> bool:
    """Whether it is a path; texts are values."""
    return isinstance(thing, Path)


def take(thing: Path, draft: Draft, path: str) -> Any:
    """Its bytes and its name. Raises :class:`UsageError` for what is no file, or too large."""
    if not thing.is_file():
        word = "this is a folder" if thing.is_dir() else "there is no such file"
        raise UsageError(word, expected="the path of one file", found=str(thing))
    size = thing.stat().st_size
    if size > LARGEST_FILE:
        raise UsageError(
            "this file is too large to be saved beside the state", found=f"{thing}: {size:,} bytes",
            expected=f"at most {LARGEST_FILE:,} bytes",
        )  # fmt: skip
    return {"name": thing.name, "file": draft.add(File(thing.name, thing.read_bytes()), path)}


def against(thing: Path, captured: Captured) -> list[str]:
    """A file that says something else is never written over."""
    if thing.exists() and thing.read_bytes() != _data(captured):
        return [f"{thing} is there and holds something else: move it away, or pass a path where nothing is"]
    return []


def put(thing: Path, captured: Captured) -> Path:
    """The file, where it is not there; whole or not at all."""
    if not thing.exists():
        thing.parent.mkdir(parents=True, exist_ok=True)
        beside = thing.with_name(f".{thing.name}-{secrets.token_hex(4)}")
        beside.write_bytes(_data(captured))
        beside.replace(thing)
    return thing


def _data(captured: Captured) -> bytes:
    return bytes(captured.value(captured.about["file"]))
