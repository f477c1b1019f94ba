"""Plain tensors as ``torch.save`` writes them, each read in one step instead of some thirty opcodes.

A state dict is one such record after another: a name, then a call of ``torch._utils._rebuild_tensor_v2`` with the
persistent id of the storage, offset, sizes, strides, ``requires_grad`` and empty hooks, each memoised under the
next number (the opcodes that CPython's pickler writes at protocol 2 for torch/_tensor.py ``__reduce_ex__`` and
torch/serialization.py ``persistent_id``). One expression takes a record apart. Nodes, memo, offsets and the meter
come out as they do opcode by opcode, and whatever deviates by a byte is left to the opcodes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .nodes import Made, PersistentId

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["REBUILD", "Records"]

REBUILD = ("torch._utils", "_rebuild_tensor_v2")
"""Module and name of the global that each record calls."""

# Every alternative is told by its first byte and has a fixed length, so that there is only one way to match.
_INT = rb"(?:K.|M..|J....)"
_GET = rb"(?:h.|j....)"
_PUT = rb"r(....)"
_SIZES = rb"(?:I\x85|II\x86|III\x87|\((?:I){4,8}t)".replace(b"I", _INT)
_RECORD = re.compile(
    # the word "storage" and its class; the key; the device and the elements; the memo's next numbers stand between
    rb"\(\((%b%b)X(.)\0\0\0([0-9]{1,20})%b(%b%b)t%bQ" % (_GET, _GET, _PUT, _GET, _INT, _PUT)
    # offset and sizes, strides; nothing of both for a scalar; whether it requires a gradient, the class of the hooks
    + rb"(?:(%b%b)%b(%b)%b|(%b)\)\))([\x88\x89]%b)\)R%bt%bR%b"
    % (_INT, _SIZES, _PUT, _SIZES, _PUT, _INT, _GET, _PUT, _PUT, _PUT),
    re.DOTALL,
)
# Groups: the key, what the persistent id's opcode stands behind, the hook's number, and all numbers of the memo.
_KEY_GROUP, _PID_END, _HOOK_GROUP, _NUMBER_GROUPS = 3, 6, 13, (4, 6, 8, 10, 13, 14, 15)
_FIXED = b"((XrtrQ)RrtrRr"  # the opcodes that all records have
_ITEMS = 5 + 6  # of the persistent id and of the arguments

_U2, _U4, _I4 = (struct.Struct(f).unpack_from for f in ("<H", "<I", "<i"))
_WIDTHS = {
    0x4B: 2,
    0x4D: 3,
    0x4A: 5,
    0x68: 2,
    0x6A: 5,
}  # bytes of BININT1, BININT2, BININT, BINGET, LONG_BINGET
_MOST_KEPT = 4096
_LONGEST_KEY = 20  # digits
_AT_ONCE = 1 << 16  # paid before the machine looks at its meter again


_Pieces = tuple[Any, Any, Any, int, int, "tuple[int, ...]", "tuple[int, ...]", bool, Any, int]
"""What many records have in common, decoded: the word ``storage``, its class, the device, elements, offset, sizes,
strides, ``requires_grad``, the class of the hooks; and what these opcodes cost."""


class _Form:
    """All that is constant in records of one kind: the bytes before the key, those after it but for the memo's numbers, and
    what they mean. ``after``: the form that came behind the last one of this. ``rest(n)``: the bytes behind the key where
    the memo has ``n`` entries when the record begins."""

    __slots__ = ("after", "front", "hook", "length", "parts", "pid", "pieces", "rest")

    def __init__(self, found: re.Match[bytes], pieces: _Pieces) -> None:
        data, key = found.string, found.end(_KEY_GROUP)
        self.front = data[found.start() : found.start(_KEY_GROUP) - 4]  # without the key's length
        self.pieces, self.after = pieces, self
        self.length = found.end() - key
        self.pid, self.hook = found.end(_PID_END) - key, found.start(_HOOK_GROUP) - 2 - key
        self.parts: list[bytes] = []
        at = key
        for number in _NUMBER_GROUPS:
            if found.start(number) >= 0:
                self.parts.append(data[at : found.start(number)])
                at = found.end(number)
        pack = struct.Struct("<" + "".join(f"{len(part)}sI" for part in self.parts)).pack
        if len(self.parts) == 7:
            a, b, c, d, e, f, g = self.parts
            self.rest: Callable[[int], bytes] = lambda n: pack(
                a, n, b, n + 1, c, n + 2, d, n + 3, e, n + 4, f, n + 5, g, n + 6
            )  # fmt: skip
        else:
            a, b, c, d, e = self.parts
            self.rest = lambda n: pack(a, n, b, n + 1, c, n + 2, d, n + 3, e, n + 4)


class Records:
    """The records of one machine's stream; ``cost`` is the price of each opcode, by its byte.

    Pieces that refer to the memo are decoded once: :meth:`forget` is to be called when an entry changes.
    """

    def __init__(self, cost: list[int]) -> None:
        self._cost = cost
        self._known: dict[tuple[bytes, ...], _Form] = {}
        self._last: _Form | None = None
        self._fixed = sum(cost[op] for op in _FIXED) + 8 * _ITEMS
        self._name, self._fetched = cost[0x58] + cost[0x72], cost[0x68]

    def forget(self) -> None:
        """Let go of what was decoded."""
        self._known.clear()
        self._last = None

    def read(self, machine: Machine, rebuild: Any, pos: int) -> tuple[int, int]:
        """Read records that follow one another; ``pos`` is behind the opcode that fetches ``rebuild``.

        Gives the position of the next opcode and what was paid for; ``pos`` itself, with nothing changed, where
        no record stands there. It may stop behind a record or behind the name of the next one.
        """
        data, memo, stack, base, last = machine.data, machine.memo, machine.stack, machine.base, self._last
        persistents, most, spent, fetched, done = machine.persistents, len(data) - 10, 0, 0, pos
        while True:
            n, form = len(memo), None
            if last is not None:  # most likely the form that came behind this one the last time
                form = last.after
                at = pos + len(form.front)
                end = at + 4 + data[at] if at < most and data.startswith(form.front, pos) else 0
                key = data[at + 4 : end]
                if not (
                    key.isdigit()
                    and len(key) <= _LONGEST_KEY
                    and data[at + 1 : at + 4] == b"\0\0\0"
                    and data.startswith(form.rest(n), end)
                ):
                    form = None
            if form is None:
                found = _RECORD.match(data, pos)
                form = None if found is None else self._form_of(found, memo)
                if found is None or form is None:
                    break
                key, end = found[_KEY_GROUP], found.end(_KEY_GROUP)
                if data[end - len(key) - 4] != len(key) or not data.startswith(form.rest(n), end):
                    break
                if last is not None:
                    last.after = form
            self._last = last = form
            word, kind, device, elements, offset, shape, strides, grad, function, cost = form.pieces
            done = end + form.length
            text = key.decode("ascii")
            pid = (word, kind, text, device, elements)
            storage = PersistentId(pid, base + end + form.pid)
            hook = Made(function, (), "REDUCE", base + end + form.hook)
            args = (storage, offset, shape, strides, grad, hook)
            made = Made(rebuild, args, "REDUCE", base + done - 6)
            memo += (
                (text, pid, hook, args, made)
                if len(form.parts) == 5
                else (text, pid, shape, strides, hook, args, made)
            )
            persistents.append(storage)
            stack.append(made)
            spent += fetched + cost + len(key)
            # The next name, and whether a record follows it.
            if (
                spent > _AT_ONCE
                or done > most
                or data[done] != 0x58
                or data[done + 2 : done + 5] != b"\0\0\0"
            ):
                break
            pos = done + 5 + data[done + 1]
            raw = data[done + 5 : pos]
            if pos > most or data[pos] != 0x72 or _U4(data, pos + 1)[0] != len(memo) or not raw.isascii():
                break
            name = raw.decode("ascii")
            stack.append(name)
            memo.append(name)
            done, spent = pos + 5, spent + self._name + len(raw)
            if data[done] == 0x68:  # :func:`_fetch` in line
                index, pos = data[done + 1], done + 2
            else:
                index, pos = _fetch(data, done)
            if not 0 <= index < len(memo) or memo[index] is not rebuild:
                break
            fetched = self._fetched
        return done, spent

    def _form_of(self, found: re.Match[bytes], memo: list[Any]) -> _Form | None:
        """The form of a record, or ``None`` where it refers to what is not in the memo."""
        front, _, _, _, place, _, sizes, _, steps, _, scalar, flag, *_ = found.groups()
        given = (front, place, sizes, steps, flag) if scalar is None else (front, place, scalar, flag)
        form = self._known.get(given)
        if form is None:
            pieces = self._decode(given, memo)
            if pieces is None:
                return None
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            form = self._known[given] = _Form(found, pieces)
        return form

    def _decode(self, given: tuple[bytes, ...], memo: list[Any]) -> _Pieces | None:
        """The pieces of a record, or ``None`` where one refers to what is not in the memo."""
        front, place, *inner, end = given
        word, kind = _cut(front)
        device, numel = _cut(place)
        at, sizes, steps = (*_cut(inner[0]), inner[1]) if len(inner) == 2 else (inner[0], None, None)
        flag, hooks = end[:1], end[1:]
        held = []
        for raw in (word, kind, device, hooks):
            index, _ = _fetch(raw, 0)
            if index >= len(memo):
                return None
            held.append(memo[index])
        numbers, costs = zip(*(_integers(raw, self._cost) for raw in (numel, at, sizes, steps)), strict=True)
        (elements,), (offset,), shape, strides = numbers
        cost = self._fixed + (0 if sizes is None else 2 * self._cost[0x72]) + sum(costs)
        cost += sum(self._cost[raw[0]] for raw in (word, kind, device, hooks, flag))
        return *held[:3], elements, offset, shape, strides, flag == b"\x88", held[3], cost


def _fetch(data: bytes, pos: int) -> tuple[int, int]:
    """Memo entry and end of the BINGET or LONG_BINGET at ``pos``; entry -1 where another opcode stands there."""
    if data[pos] == 0x68:
        return data[pos + 1], pos + 2
    return (_U4(data, pos + 1)[0], pos + 5) if data[pos] == 0x6A else (-1, pos)


def _cut(raw: bytes) -> tuple[bytes, bytes]:
    """The first opcode, which fetches from the memo or is an integer, and what follows it."""
    width = _WIDTHS[raw[0]]
    return raw[:width], raw[width:]


def _integers(raw: bytes | None, cost: list[int]) -> tuple[tuple[int, ...], int]:
    """The integers of these opcodes, with or without a tuple around them, and the price; nothing: EMPTY_TUPLE."""
    if raw is None:
        return (), cost[0x29]
    made: list[int] = []
    pos, paid = 0, 0
    while pos < len(raw):
        op = raw[pos]
        paid += cost[op]
        if op == 0x4B:
            made.append(raw[pos + 1])
        elif op == 0x4D:
            made.append(_U2(raw, pos + 1)[0])
        elif op == 0x4A:
            made.append(_I4(raw, pos + 1)[0])
        elif op == 0x74:
            paid += 8 * len(made)
        pos += _WIDTHS.get(op, 1)
    return tuple(made), paid
