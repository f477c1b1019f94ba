"""The header of a numpy array file, parsed without ``eval``.

Format facts: numpy/lib/format.py (module docstring, ``_read_array_header``) and NEP 1: magic ``\\x93NUMPY``,
two version bytes, header length (u16 for version 1, u32 for 2 and 3), then a Python dict literal with
``descr``, ``fortran_order`` and ``shape``, in latin-1 (1, 2) or UTF-8 (3), padded with spaces and ended by a
newline.
"""

from __future__ import annotations

import re
import struct
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import DamagedCheckpoint, LimitExceeded, Truncated
from ..._storage import Source

__all__ = ["MAGIC", "NpyHeader", "plain_dtype", "read_npy_header"]

MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 20  # numpy itself refuses more than 10,000 unless told otherwise
_MAX_DEPTH = 20
_SIMPLE = re.compile(r"[<>|=]?(?:[?bBhHiuIlLqQpPefdgFDGOSUVac]\d{0,9}|[mM]8(?:\[[0-9A-Za-z/]{1,12}\])?)")


class NpyHeader(NamedTuple):
    """``dtype`` as stored (with byte order), ``fortran`` order, ``shape``, and where the data begin."""

    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    start: int
    version: tuple[int, int]

    @property
    def is_object(self) -> bool:
        """Whether the data are a pickle instead of plain elements."""
        return self.dtype.hasobject

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_npy_header(source: Source) -> NpyHeader:
    """Parse the header.

    Raises :class:`DamagedCheckpoint` where it breaks the format, :class:`Truncated` where it is cut off, and
    :class:`LimitExceeded` for a header no writer makes.
    """
    head = source.read(0, 12) if source.size >= 12 else source.read(0, source.size)
    if not head.startswith(MAGIC) or len(head) < 8:
        raise DamagedCheckpoint(
            "no numpy array file", file=source.name, offset=0, expected=repr(MAGIC), found=repr(head[:6])
        )
    version = (head[6], head[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DamagedCheckpoint(
            "a version of the numpy array format that does not exist",
            file=source.name,
            offset=6,
            expected="1.0, 2.0 or 3.0",
            found=f"{version[0]}.{version[1]}",
        )
    wide = version[0] > 1
    if len(head) < (12 if wide else 10):
        raise Truncated("the file ends inside its header", file=source.name, offset=len(head))
    length: int = struct.unpack_from("<I" if wide else "<H", head, 8)[0]
    begin = 12 if wide else 10
    if length > _MAX_HEADER:
        raise LimitExceeded(
            "the header is longer than any writer makes it",
            file=source.name,
            offset=8,
            expected=_MAX_HEADER,
            found=length,
        )
    raw = source.read(begin, length)
    try:
        text = raw.decode("utf-8" if version[0] == 3 else "latin-1")
        given = _Literal(text).parse()
        if not isinstance(given, dict) or set(given) != {"descr", "fortran_order", "shape"}:
            raise ValueError("the header is no dict of descr, fortran_order and shape")
        shape = given["shape"]
        if not isinstance(shape, tuple) or len(shape) > 64 or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"no usable shape: {shape!r}"[:80])
        if not isinstance(given["fortran_order"], bool):
            raise ValueError("fortran_order is no bool")
        dtype = _dtype(given["descr"], 0)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedCheckpoint(
            f"the header cannot be read: {error}", file=source.name, offset=begin, found=repr(raw[:60])
        ) from error
    return NpyHeader(dtype, given["fortran_order"], shape, begin + length, version)


def plain_dtype(text: str) -> np.dtype:
    """The dtype of a type text such as ``<f4``. Raises ``ValueError`` for anything but one plain type."""
    if not _SIMPLE.fullmatch(text):
        raise ValueError(f"no dtype of a plain array: {text!r}"[:80])
    return np.dtype(text)


def _dtype(descr: Any, depth: int) -> np.dtype:
    """A dtype from ``descr``: a type text, or a list of fields ``(name, descr[, shape])``; a name may be
    (title, name).
    """
    if depth > _MAX_DEPTH:
        raise ValueError("fields nested too deeply")
    if isinstance(descr, str):
        return plain_dtype(descr)
    if isinstance(descr, tuple) and len(descr) == 2:  # a sub-array: (descr, shape)
        return np.dtype((_dtype(descr[0], depth + 1), _sizes(descr[1])))
    if not isinstance(descr, list) or not descr:
        raise ValueError(f"no dtype: {descr!r}"[:80])
    fields: list[Any] = []
    for index, field in enumerate(descr):
        if not isinstance(field, tuple) or len(field) not in (2, 3):
            raise ValueError(f"no field: {field!r}"[:80])
        name = field[0]
        if isinstance(name, tuple) and len(name) == 2:
            name = name[1]
        if not isinstance(name, str):
            raise ValueError(f"no name of a field: {name!r}"[:80])
        kind = _dtype(field[1], depth + 1)
        name = name or f"f{index}"  # numpy writes padding as ('', '|V4')
        fields.append((name, kind, _sizes(field[2])) if len(field) == 3 else (name, kind))
    return np.dtype(fields)


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if type(shape) is int else shape
    if not isinstance(sizes, tuple) or len(sizes) > 32 or any(type(n) is not int or n < 0 for n in sizes):
        raise ValueError(f"no shape of a field: {shape!r}"[:80])
    return sizes


class _Literal:
    """Python literals as numpy writes them: dicts, lists, tuples, strings, ints,
    ``True``/``False``/``None``."""

    _SPACE = re.compile(r"[ \t\r\n\f]*")
    _INT = re.compile(r"-?\d{1,30}L?")
    _STRING = re.compile(r"[uUbB]?(?:'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\")")
    _ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
    _WORDS = {"True": True, "False": False, "None": None}  # noqa: RUF012 - read only

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def parse(self) -> Any:
        value = self._value(0)
        self._skip()
        if self.at != len(self.text):
            raise ValueError(f"text after the header's dict: {self.text[self.at : self.at + 20]!r}")
        return value

    def _skip(self) -> None:
        self.at = self._SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _take(self, char: str) -> bool:
        self._skip()
        if self.text.startswith(char, self.at):
            self.at += len(char)
            return True
        return False

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if self._take("{"):
            return self._dict(depth)
        if self._take("["):
            return self._items("]", depth)[0]
        if self._take("("):
            items, comma = self._items(")", depth)
            return tuple(items) if comma or len(items) != 1 else items[0]
        for word, value in self._WORDS.items():
            if self._take(word):
                return value
        found = self._INT.match(self.text, self.at)
        if found:
            self.at = found.end()
            return int(found.group().rstrip("L"))
        found = self._STRING.match(self.text, self.at)
        if found:
            self.at = found.end()
            return self._ESCAPE.sub(
                self._unescape, found.group(1) if found.group(1) is not None else found.group(2)
            )
        raise ValueError(f"not a literal: {self.text[self.at : self.at + 20]!r}")

    @staticmethod
    def _unescape(found: re.Match[str]) -> str:
        text = found.group(1)
        if text[0] in "xuU" and len(text) > 1:
            return chr(int(text[1:], 16))
        return {"n": "\n", "t": "\t", "r": "\r"}.get(text, text)

    def _items(self, end: str, depth: int) -> tuple[list[Any], bool]:
        items: list[Any] = []
        comma = False
        while not self._take(end):
            if items and not comma:
                raise ValueError("a comma is missing")
            items.append(self._value(depth + 1))
            comma = self._take(",")
        return items, comma

    def _dict(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        comma = True
        while not self._take("}"):
            if not comma:
                raise ValueError("a comma is missing")
            key = self._value(depth + 1)
            if not isinstance(key, str) or key in found:
                raise ValueError(f"no key: {key!r}"[:60])
            if not self._take(":"):
                raise ValueError("a colon is missing")
            found[key] = self._value(depth + 1)
            comma = self._take(",")
        return found
