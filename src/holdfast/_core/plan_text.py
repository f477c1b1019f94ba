"""Plan edits as one-line texts: parsing and writing, exact in both directions.

Names that hold a space, a colon, a comma, an equals sign, parentheses, ``>``, quotes, backslashes, globs that
are meant literally, or anything unprintable are put in double quotes with JSON's escapes; quoted and bare
parts may follow one another (``"my layer."*``), and only bare ones glob.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .dtypes import DTYPES
from .errors import PlanError
from .pattern import escape, units
from .plan import EDITS, Edit, Slice

__all__ = ["DTYPE_SHORT", "format_edit", "format_pattern", "long_dtype", "parse_edit", "short_dtype"]

_STOPS = frozenset(" \t:,=()>\"\\'")

DTYPE_SHORT = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint64": "u64",
    "uint32": "u32",
    "uint16": "u16",
    "uint8": "u8",
    "complex64": "c64",
    "complex128": "c128",
}
_DTYPE_LONG = {short: long for long, short in DTYPE_SHORT.items()}


def short_dtype(name: str) -> str:
    """``float32`` -> ``f32``; names without a short form stay."""
    return DTYPE_SHORT.get(name, name)


def long_dtype(text: str) -> str | None:
    """``f32`` or ``float32`` -> ``float32``; ``None`` for what the dtype table lacks."""
    name = _DTYPE_LONG.get(text, text)
    return name if name in DTYPES else None


_ORDINARY = re.compile(
    r"[A-Za-z0-9_./]+"
)  # nothing that a quote, a glob or an edit's own punctuation could be


# -- writing ---------------------------------------------------------------------------------------
def format_pattern(pattern: str) -> str:
    """A pattern as it stands in an edit."""
    if _ORDINARY.fullmatch(pattern):  # nearly all names, and there may be tens of thousands
        return pattern
    out: list[str] = []
    run: list[str] = []

    def flush() -> None:
        text = "".join(run)
        run.clear()
        if not text:
            return
        plain = not any(c in _STOPS or c in "*?#" or not c.isprintable() for c in text)
        out.append(text if plain else json.dumps(text))

    for character, glob in units(pattern):
        if glob:
            flush()
            out.append(character)
        else:
            run.append(character)
    flush()
    return "".join(out) or '""'


def format_edit(edit: Edit) -> str:
    """The one-line text of an edit."""
    left = ",".join(format_pattern(name) for name in edit.names)
    right = ",".join(format_pattern(name) for name in edit.to)
    form = EDITS[edit.kind]
    if form == "one":
        return f"{edit.kind}:{left}"
    if form == "arrow":
        return f"{edit.kind}:{left}->{right}"
    if form == "dtype":
        was = "" if edit.was is None else f"{short_dtype(edit.was)}->"
        return f"{edit.kind}:{left}:{was}{short_dtype(edit.to[0])}"
    if form in ("split", "merge"):
        return f"{edit.kind}:{left}:{edit.value}->{right}"
    if form == "slice":
        return f"{edit.kind}:{left}:[{','.join(_range(part) for part in edit.value)}]"
    if form in ("shape", "axes"):
        fill = "" if edit.fill is None else f"={_value(edit.fill)}"
        return f"{edit.kind}:{left}:({','.join(map(str, edit.value))}){fill}"
    return f"{edit.kind}:{left}={_value(edit.value)}"


def _range(part: Slice) -> str:
    start, stop = part
    return f"{'' if start is None else start}:{'' if stop is None else stop}"


def _value(value: Any) -> str:
    """A value as JSON, plain words bare (``live``, ``bilinear``)."""
    if (
        isinstance(value, str)
        and value.isidentifier()
        and value not in ("true", "false", "null", "NaN", "Infinity")
    ):
        return value
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise PlanError("a value that has no text form", found=repr(value)) from error


# -- parsing ---------------------------------------------------------------------------------------
class _Reader:
    """A cursor over the text; every complaint names the text and the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, expected: str, at: int | None = None) -> PlanError:
        at = self.at if at is None else at
        rest = self.text[at : at + 20]
        return PlanError(
            f"cannot read the edit {self.text!r} at position {at}",
            offset=at,
            expected=expected,
            found=repr(rest) if rest else "the end",
        )

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def demand(self, token: str) -> None:
        if not self.take(token):
            raise self.fail(repr(token))

    def end(self) -> None:
        if self.at != len(self.text):
            raise self.fail("the end of the edit")

    def pattern(self) -> str:
        start = self.at
        parts: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == '"':
                parts.append(escape(self.quoted()))
            elif self.text.startswith("->", self.at) or character in _STOPS:
                break
            elif not character.isprintable():
                raise self.fail("quotes around an unprintable character")
            else:
                parts.append(character)
                self.at += 1
        pattern = "".join(parts)
        if self.at == start:  # ("" in quotes is a name: a file that holds one bare tensor gives it none)
            raise self.fail("a name or pattern", start)
        return pattern

    def quoted(self) -> str:
        try:
            value, end = json.JSONDecoder().raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise self.fail("a quoted name with JSON's escapes", error.pos) from None
        self.at = end
        return value

    def patterns(self) -> tuple[str, ...]:
        found = [self.pattern()]
        while self.take(","):
            found.append(self.pattern())
        return tuple(found)

    def dtype(self) -> str:
        start = self.at
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] == "_"):
            self.at += 1
        name = long_dtype(self.text[start : self.at])
        if name is None:
            raise self.fail("a dtype such as f32 or bfloat16", start)
        return name

    def integer(self, what: str) -> int:
        start = self.at
        if self.text.startswith("-", self.at):
            self.at += 1
        while self.at < len(self.text) and self.text[self.at] in "0123456789":
            self.at += 1
        digits = self.text[start : self.at]
        if digits in ("", "-") or len(digits) > 20:
            raise self.fail(what, start)
        return int(digits)

    def integers(self) -> tuple[int, ...]:
        self.demand("(")
        found: list[int] = []
        while not self.take(")"):
            if found:
                self.demand(",")
                if self.take(")"):
                    break
            found.append(self.integer("a whole number"))
        return tuple(found)

    def ranges(self) -> tuple[Slice, ...]:
        self.demand("[")
        found: list[Slice] = []
        while True:
            start = None if self.text.startswith(":", self.at) else self.integer("a start or ':'")
            self.demand(":")
            ends = self.at >= len(self.text) or self.text[self.at] in ",]"
            stop = None if ends else self.integer("an end, ',' or ']'")
            found.append((start, stop))
            if self.take("]"):
                return tuple(found)
            self.demand(",")

    def value(self) -> Any:
        rest = self.text[self.at :]
        if not rest:
            raise self.fail("a value")
        try:
            value = json.loads(rest)
        except (json.JSONDecodeError, RecursionError):
            if not rest.isidentifier():
                raise self.fail("checkpoint, live or a JSON value") from None
            value = rest
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            if rest not in ("Infinity", "-Infinity"):
                raise self.fail("numbers that float64 holds; NaN is none") from None
        self.at = len(self.text)
        return value


def parse_edit(text: str) -> Edit:
    """The edit of a one-line text; raises :class:`PlanError` (``offset`` is the position in the text)."""
    reader = _Reader(text.strip())
    kind, colon, _ = reader.text.partition(":")
    if not colon or kind not in EDITS:
        raise PlanError(
            f"cannot read the edit {reader.text!r} at position 0",
            offset=0,
            expected="one of " + ", ".join(f"{name}:" for name in EDITS),
            found=repr(kind[:40]),
        )
    reader.at = len(kind) + 1
    form = EDITS[kind]
    names = reader.patterns() if form == "merge" else (reader.pattern(),)
    given: dict[str, Any] = {}
    if form == "arrow":
        reader.demand("->")
        given["to"] = (reader.pattern(),)
    elif form == "dtype":
        reader.demand(":")
        first = reader.dtype()
        if reader.take("->"):
            given.update(was=first, to=(reader.dtype(),))
        else:
            given["to"] = (first,)
    elif form == "slice":
        reader.demand(":")
        given["value"] = reader.ranges()
    elif form in ("shape", "axes"):
        reader.demand(":")
        given["value"] = reader.integers()
        if form == "shape" and reader.take("="):
            given["fill"] = reader.value()
    elif form in ("split", "merge"):
        reader.demand(":")
        given["value"] = reader.integer("an axis")
        reader.demand("->")
        given["to"] = reader.patterns()
    elif form == "hyper":
        reader.demand("=")
        given["value"] = reader.value()
    reader.end()
    try:
        return Edit(kind, names, **given)
    except PlanError as error:
        raise PlanError(
            f"cannot read the edit {reader.text!r}: {error.message}", offset=0, found=error.found
        ) from None
