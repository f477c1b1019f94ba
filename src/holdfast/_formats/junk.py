"""What a file is that is no checkpoint: the page, the pointer, the empty or zeroed file, the copy made in
text mode.

Sources: git-lfs docs/spec.md (pointer files: at most 1024 bytes, ``version
https://git-lfs.github.com/spec/v1``); the magics are those of the formats themselves.
"""

from __future__ import annotations

import posixpath
import re

from .._core.fault import Fault
from .._storage import Source
from .text_copies import copied_as_text

__all__ = ["UNFINISHED", "classify", "unfinished"]

UNFINISHED = (
    ".part",
    ".partial",
    ".incomplete",
    ".crdownload",
    ".aria2",
    ".download",
    ".opdownload",
    ".!qb",
    ".filepart",
)
"""Endings that browsers, aria2, curl wrappers and the Hugging Face hub give to downloads in progress."""

_STEP = 1 << 20
_LFS = b"version https://git-lfs.github.com/spec/"
_AGAIN = "Download it again, and compare its size and hash with the ones published."


def classify(source: Source) -> Fault:
    """Say what a file is that no format recognised. Never raises on content; reads all of it only where it
    must.

    The fault's slug is one of ``empty-file``, ``zero-file``, ``html-page``, ``lfs-pointer``,
    ``error-document``, ``text-mode-copy``, ``half-download``, ``not-recognised``; its ``remedy`` is in
    ``attributes``.
    """
    name = source.name
    if source.size == 0:
        return _fault(
            "empty-file",
            "the file is empty",
            name,
            "Its writer was killed or the disk was full: use the checkpoint before it.",
            0,
        )
    for test in (_zeros, _pointer, _page, copied_as_text, _message, unfinished, _link):
        fault = test(source)
        if fault is not None:
            return fault
    return _unknown(source)


def _fault(
    slug: str, message: str, name: str, remedy: str, offset: int | None = None, **more: object
) -> Fault:
    seen, expected = more.pop("seen", None), more.pop("expected", None)
    return Fault(
        slug, message, name, offset, seen=seen, expected=expected, attributes={"remedy": remedy, **more}
    )


def _zeros(source: Source) -> Fault | None:
    """All bytes zero: samples of head, middle and tail first, then all of it."""
    middle = source.size // 2
    samples = (source.head(), source.read(middle, min(4096, source.size - middle)), source.tail(4096))
    if any(part.strip(b"\0") for part in samples):
        return None
    for chunk in source.chunks(step=_STEP):
        if chunk.strip(b"\0"):
            return None
    return _fault(
        "zero-file",
        f"all {source.size} bytes of the file are zero: space was reserved, and nothing was written or "
        "synced",
        source.name,
        "The content is lost (a crash or a full disk while writing): use the checkpoint before it, or "
        "download it again.",
        0,
    )


def _pointer(source: Source) -> Fault | None:
    head = source.head(1024)
    if source.size > 1024 or not head.startswith(_LFS):
        return None
    oid = re.search(rb"^oid sha256:([0-9a-f]{64})\s*$", head, re.M)
    size = re.search(rb"^size (\d{1,18})\s*$", head, re.M)
    told = f" for {int(size.group(1))} bytes" if size else ""
    return _fault(
        "lfs-pointer",
        f"this is a Git-LFS pointer{told}, not the file itself",
        source.name,
        "Fetch the content: `git lfs pull` in the repository (after `git lfs install`), or download the "
        "file by its link.",
        0,
        oid=oid.group(1).decode() if oid else None,
        size=int(size.group(1)) if size else None,
    )


def _page(source: Source) -> Fault | None:
    text = source.head().lstrip(b"\xef\xbb\xbf \t\r\n")
    low = text[:512].lower()
    if not (
        low.startswith((b"<!doctype html", b"<html", b"<head"))
        or (low.startswith(b"<!--") and b"<html" in text.lower())
    ):
        return None
    title = re.search(rb"<title[^>]*>([^<]{0,200})", text, re.I)
    said = " ".join(title.group(1).decode("utf-8", "replace").split()) if title else ""
    return _fault(
        "html-page",
        "this is an HTML page, not a checkpoint" + (f" (its title: {said!r})" if said else ""),
        source.name,
        "The link led to a web page (a login, a viewer, a quota notice). Download by the direct link, "
        "with credentials where "
        "it needs them.",
        0,
        seen=said or None,
    )


def _message(source: Source) -> Fault | None:
    """A JSON, XML or plain text answer of a server instead of the file."""
    if source.size > 1 << 16:
        return None
    raw = source.head(source.size)
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    low = text.lower()
    remedy = (
        "A server answered with an error and the answer was saved under the file's name. Download it again."
    )
    if text.startswith("<?xml") or low.startswith("<error"):
        code = re.search(r"<(?:Code|Message)>([^<]{1,120})", text)
        return _fault(
            "error-document",
            f"this is an XML answer of a server, not a checkpoint: {_short(code.group(1) if code else text)}",
            source.name,
            remedy,
            0,
        )
    if text.startswith("{") and re.search(r'"(?:error|message|detail|errors|code|status)"\s*:', low[:500]):
        return _fault(
            "error-document",
            f"this is a JSON answer of a server, not a checkpoint: {_short(text)}",
            source.name,
            remedy,
            0,
        )
    words = r"\b(not found|access denied|forbidden|unauthori[sz]ed|invalid username|entry not found|repository not found|is restricted|is gated|must be authenticated|log ?in to|rate limit|quota exceeded|permission denied|(?:has|have|link|token) expired|bad gateway|service unavailable|internal server error|no such (?:key|file))\b"  # noqa: E501
    if len(text) < 2000 and re.search(words, low):
        return _fault(
            "error-document",
            f"this is a text message, not a checkpoint: {_short(text)}",
            source.name,
            remedy,
            0,
        )
    return None


def unfinished(source: Source) -> Fault | None:
    """Whether the name is that of a download in progress."""
    base = posixpath.basename(source.name.replace("\\", "/")).lower()
    ending = next((e for e in UNFINISHED if base.endswith(e)), None)
    if ending is None:
        return None
    return _fault(
        "half-download",
        f"the name ends in {ending}: a download that was not finished",
        source.name,
        "Let the download finish or start it again; the program that writes such files renames them when "
        "they are whole.",
        seen=ending,
    )


def _link(source: Source) -> Fault | None:
    """A symbolic link that was checked out as a short text holding its target."""
    if not 0 < source.size <= 1024:
        return None
    try:
        text = source.head(1024).decode("utf-8")
    except UnicodeDecodeError:
        return None
    path = text.strip("\n")
    if re.search(r"[.!?:;,] |(?: \S+){6}", path):  # a sentence, whatever address or name stands in it
        return None
    looks = re.fullmatch(
        r"[\w.@+~ -]*(?:/[\w.@+~ -]+)+"
        r"|[\w@+~-][\w.@+~ -]*\.(?:h5|hdf5|pt|pth|bin|ckpt|safetensors|keras|index)",
        path,
    )
    if not looks or "\n" in path:
        return None
    return _fault(
        "not-recognised",
        f"this is a {source.size}-byte text that holds a path: a symbolic link that was checked out as a "
        "file",
        source.name,
        f"The file it means is {path!r}; fetch that, or check out again with symbolic links (git config "
        "core.symlinks true).",
        0,
        seen=path,
        link=path,
    )


def _unknown(source: Source) -> Fault:
    head = source.head(32)
    hexed = head.hex(" ")
    plain = "".join(chr(b) if 32 <= b < 127 else "." for b in head)
    kind = _guess(source)
    return _fault(
        "not-recognised",
        f"no checkpoint format that we know{kind}; it begins {hexed[:47]}  |{plain[:16]}|",
        source.name,
        "If a program saved it as a checkpoint, read it with that program. Holdfast reads TensorFlow bundles "
        "and SavedModels, Keras .keras and HDF5, PyTorch, safetensors and numpy files.",
        0,
        seen=hexed,
        size=source.size,
    )


_KNOWN = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "an ELF program"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ", "xz-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"SQLite format 3", "an SQLite database"),
    (b"TFL3", "a TFLite model"),
    (b"PAR1", "a Parquet table"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x00\x05\x16\x07", "macOS's AppleDouble: attributes of the file that is named without ._"),
)


def _guess(source: Source) -> str:
    head = source.head()
    for magic, what in _KNOWN:
        if head.startswith(magic):
            return f" (it looks like {what})"
    if head[4:8] == b"TFL3":
        return " (it looks like a TFLite model)"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return ""
    return " (plain text)" if b"\0" not in head else ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 120 else flat[:117] + "...")
