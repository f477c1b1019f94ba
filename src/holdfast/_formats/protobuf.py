"""The wire format of protocol buffers, as much of it as a reader of checkpoints needs.

A message is a run of ``tag, value`` pairs; the tag is a varint of ``field number << 3 | wire type``. Wire
types: 0 varint, 1 eight bytes, 2 a varint length and that many bytes, 5 four bytes; 3 and 4 (groups) are
long dead and refused. Source: protobuf.dev/programming-guides/encoding.

Nothing is copied and nothing is allocated that the message does not hold: every length is checked against
its end.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.errors import DamagedCheckpoint

__all__ = ["Value", "fields", "message", "signed", "text", "varint"]

Value = int | memoryview
_MASK64 = (1 << 64) - 1


def varint(data: memoryview | bytes, at: int, end: int | None = None) -> tuple[int, int]:
    """The varint at ``at`` and the position after it; at most ten bytes, 64 bits.

    Raises :class:`DamagedCheckpoint` when it does not end before ``end`` (default: the end of ``data``).
    """
    stop = len(data) if end is None else end
    if at < stop and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    start = at
    while at < stop:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            if value > _MASK64:
                break
            return value, at
        shift += 7
        if shift > 63:
            break
    raise DamagedCheckpoint(
        "a variable-length number does not end", offset=start, expected="at most 10 bytes, 64 bits"
    )


def fields(data: memoryview | bytes) -> Iterator[tuple[int, Value]]:
    """The fields of one message in stored order: ``(field number, value)``.

    Values are ``int`` for wire types 0 (unsigned 64 bits), 1 and 5 (little-endian, unsigned), and a
    ``memoryview`` for wire type 2. Raises :class:`DamagedCheckpoint` on anything that is no such message.
    """
    view = memoryview(data)
    at, end = 0, len(view)
    while at < end:
        tag = view[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = varint(view, at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise DamagedCheckpoint("a protobuf message has a field of number 0", offset=at)
        if wire == 0:
            byte = view[at] if at < end else 0x80
            if byte < 0x80:
                at += 1
                yield number, byte
            else:
                value, at = varint(view, at, end)
                yield number, value
            continue
        if wire == 2:
            length, at = varint(view, at, end)
        elif wire == 1:
            length = 8
        elif wire == 5:
            length = 4
        else:
            raise DamagedCheckpoint(
                f"a protobuf field of wire type {wire}", offset=at, expected="0, 1, 2 or 5"
            )
        if length > end - at:
            raise DamagedCheckpoint(
                "a protobuf field is longer than its message",
                offset=at,
                expected=f"{length} bytes",
                found=f"{end - at}",
            )
        piece = view[at : at + length]
        at += length
        yield number, piece if wire == 2 else int.from_bytes(piece, "little")


def signed(value: Value) -> int:
    """An ``int64`` or ``int32`` field: negative numbers are stored as 64-bit two's complement."""
    if not isinstance(value, int):
        raise DamagedCheckpoint("a protobuf field has bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def message(value: Value) -> memoryview:
    """An embedded message, string or bytes field, as bytes."""
    if isinstance(value, int):
        raise DamagedCheckpoint("a protobuf field has a number where a message belongs")
    return value


def text(value: Value) -> str:
    """A ``string`` field; bytes that are no UTF-8 are shown escaped, so that every such name stays
    printable.
    """
    return str(message(value), "utf-8", "backslashreplace")
