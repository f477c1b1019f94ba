"""What a file is that is no checkpoint: the page, the pointer, the empty or zeroed file, the copy made in
text mode.

Sources: git-lfs docs/spec.md (pointer files: at most 1024 bytes, ``version
https://git-lfs.github.com/spec/v1``); the magics are those of the formats themselves.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from dataclasses import replace

from .._core.errors import HoldfastError
from .._core.fault import Fault, fault_of
from .._storage import Source
from .._storage.zip_archive import ZipArchive

__all__ = [
    "UNFINISHED",
    "begun_members",
    "broken_zip",
    "classify",
    "copied_as_text",
    "crlf_copy",
    "unfinished",
]

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

# Beginnings of checkpoint files with a byte from 0x80 up, as they look after a text conversion, or that stay
# as they are.
_QUESTION = (
    (re.compile(rb"\?\x02[}\]()cX\x8a?l(]"), "a pickle (PyTorch)"),
    (re.compile(rb"\?[\x03\x04\x05][?}\]()c]"), "a pickle (PyTorch)"),
    (re.compile(rb"\?HDF\r?\n\x1a\r?\n"), "an HDF5 file (Keras)"),
    (re.compile(rb"\?NUMPY[\x01-\x03]"), "a numpy array"),
    (re.compile(rb"PK\x03\x04"), "a zip (PyTorch, Keras or numpy)"),
    (re.compile(rb"GGUF[\x01-\x04]\0\0\0"), "a GGUF file"),
)
_REPLACED = (
    (re.compile(rb"\xef\xbf\xbd\x02[}\]()cX\xefl(]"), "a pickle (PyTorch)"),
    (re.compile(rb"\xef\xbf\xbd[\x03\x04\x05]"), "a pickle (PyTorch)"),
    (re.compile(rb"\xef\xbf\xbdHDF\r?\n\x1a\r?\n"), "an HDF5 file (Keras)"),
    (re.compile(rb"\xef\xbf\xbdNUMPY[\x01-\x03]"), "a numpy array"),
    (re.compile(rb"PK\x03\x04"), "a zip (PyTorch, Keras or numpy)"),
    (re.compile(rb"GGUF[\x01-\x04]\0\0\0"), "a GGUF file"),
)
_CRLF = (
    (re.compile(rb"\x89HDF\r?\r\n\x1a\r\n"), "an HDF5 file (Keras)"),
    (re.compile(rb"\x89HDF\n\x1a\n"), "an HDF5 file (Keras)"),
)


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


def copied_as_text(source: Source) -> Fault | None:
    """Whether bytes from 0x80 up became ``?`` or U+FFFD, or line ends were converted: a copy made in text
    mode.

    Certain only with a magic that fits and the whole file to prove it: one byte that is no UTF-8 refutes it
    (and ends the reading at once).
    """
    head = source.head()
    for magic, what in _CRLF:
        if magic.match(head):
            return _text_copy(source, what, "its line ends were converted")
    for table, mark, how in (
        (_QUESTION, "?", "every byte from 0x80 up that was no UTF-8 became '?'"),
        (_REPLACED, "\ufffd", "every byte that was no UTF-8 became EF BF BD"),
    ):
        for magic, what in table:
            if magic.match(head):
                count = _marks(source, mark)
                # A question mark is also a byte of its own; of random bytes it would be 1 in 256, of damaged
                # ones 1 in 2.
                if count and (mark != "?" or (source.size >= 64 and count * 50 >= source.size)):
                    return _text_copy(source, what, how, count)
    return None


def broken_zip(source: Source) -> Fault | None:
    """A file that begins as a zip and of which no member is known: its directory does not read.

    Nothing tells any more which framework wrote it. The fault's ``members`` counts the local headers that
    are still there, ``last`` names the last of them.
    """
    try:
        ZipArchive(source)
    except HoldfastError as error:
        fault = fault_of(error)
        return replace(fault, attributes={**fault.attributes, **begun_members(source)})
    return None


def begun_members(source: Source, most: int = 1 << 30) -> dict[str, object]:
    """How many members of a zip without directory were begun, and the last one's name, by their local headers
    (PKWARE APPNOTE.TXT 4.3.7); the first ``most`` bytes are looked at.
    """
    count, last, kept, overlap = 0, "", b"", 600
    end = min(source.size, most)
    seen = 0
    for chunk in source.chunks(0, end, step=_STEP):
        block = kept + bytes(chunk)
        seen += len(chunk)
        whole = len(block) if seen == end else max(0, len(block) - overlap)
        at = block.find(b"PK\x03\x04", 0, whole)
        while at >= 0:
            name = _member_name(block[at : at + overlap])
            if name is not None:
                count, last = count + 1, name
            at = block.find(b"PK\x03\x04", at + 4, whole)
        kept = block[whole:]
    return {"members_begun": count, "last_member": last} if count else {}


def _member_name(header: bytes) -> str | None:
    """The name in a local header, if it is a plausible one."""
    length = int.from_bytes(header[26:28], "little")
    name = header[30 : 30 + length]
    if not 0 < length <= 512 or len(name) != length or not name.isascii():
        return None
    text = name.decode("ascii")
    return text if text.isprintable() else None


def crlf_copy(source: Source) -> Fault | None:
    """A binary file in which every line feed is preceded by a carriage return: a copy made in text mode.

    Among 32 line feeds of binary data this does not come about by chance (each has 1 in 256).
    """
    feeds, zeros, last = 0, False, b""
    for chunk in source.chunks(step=_STEP):
        block = last + bytes(chunk)
        pairs, alone = block.count(b"\r\n"), block.count(b"\n")
        if pairs != alone - block.startswith(b"\n") * bool(last == b"\n"):
            return None
        feeds += pairs
        zeros = zeros or b"\0" in block
        last = block[-1:]
    if feeds < 32 or not zeros:
        return None
    return _text_copy(source, "a binary checkpoint", "every line end became CR LF", feeds)


def _marks(source: Source, mark: str) -> int:
    """How often ``mark`` stands in a file that is UTF-8 from end to end and yet binary; 0 where it is not
    so."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    count, zeros = 0, False
    try:
        for chunk in source.chunks(step=_STEP):
            count += decoder.decode(chunk).count(mark)
            if count == 0:
                return 0  # a damaged copy shows it in its first MiB; nothing huge is read to the end
            zeros |= b"\0" in chunk
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return 0
    return count if zeros else 0


def _text_copy(source: Source, what: str, how: str, count: int | None = None) -> Fault:
    return _fault(
        "text-mode-copy",
        f"this was {what} once, but it was copied as text: {how}. The values are lost",
        source.name,
        "Copy it again in binary mode (FTP: `binary`; git: mark the type `binary` in .gitattributes); "
        "nothing can restore "
        "this copy.",
        0,
        seen=None if count is None else f"{count:,} replaced byte{'s' * (count != 1)}",
        was=what,
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
    words = r"\b(not found|access denied|forbidden|unauthori[sz]ed|invalid username|entry not found|repository not found|rate limit|quota exceeded|bad gateway|service unavailable|internal server error|no such (?:key|file))\b"  # noqa: E501
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
