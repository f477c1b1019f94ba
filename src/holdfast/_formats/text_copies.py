"""Copies that were made in text mode: binary files whose bytes from 0x80 up were replaced, or whose line ends were converted."""

from __future__ import annotations

import codecs
import re

from .._core.fault import Fault
from .._storage import Source

__all__ = ["copied_as_text", "crlf_copy"]

_STEP = 1 << 20

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
    return Fault(
        "text-mode-copy",
        f"this was {what} once, but it was copied as text: {how}. The values are lost",
        source.name,
        0,
        seen=None if count is None else f"{count:,} replaced byte{'s' * (count != 1)}",
        attributes={
            "remedy": "Copy it again in binary mode (FTP: `binary`; git: mark the type `binary` in .gitattributes); nothing can "
            "restore this copy.",
            "was": what,
        },
    )
