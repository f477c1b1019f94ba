"""A pickle machine that executes nothing: protocols 0 to 5, inert nodes out.

Written from the opcode semantics in CPython's ``Lib/pickle.py`` and ``Lib/pickletools.py``. The stack is ours
and so are the limits: nothing is imported, nothing called, no recursion, and memory is metered before it is
spent. Where the real unpickler would refuse a stream (stack underflow below a mark, an unknown memo key,
BUILD on a plain value), this one does too, so that no stream means one thing here and another thing there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from ..._core.errors import DamagedCheckpoint, LimitExceeded, Truncated
from ..._core.fault import Fault
from ..._storage import Source
from .globals import global_faults
from .nodes import ByteString, Dict, Global, Made, PersistentId
from .opcodes import LONGEST_INT, TABLE, Short
from .records import REBUILD, Records

__all__ = ["Pickle", "load", "read_pickle"]

_LONGEST_LINE = 1 << 16  # bytes of a text opcode's argument up to its newline
_WINDOW = 4 << 20
_ALLOWANCE = 56 << 20  # bytes of nodes that any file may ask for; above it, twice the file's size

_I2, _I4, _U4 = (struct.Struct(f) for f in ("<H", "<i", "<I"))


@dataclass(slots=True)
class Pickle:
    """One pickle, read.

    Attributes
    ----------
    value: the object's node. end: offset right behind STOP. protocol: as PROTO says, 0 without it.
    globals: every distinct global, by (module, name). persistents: every persistent id, in order.
    oddities: faults about opcodes that honest picklers do not write. python2: byte-string opcodes were met.
    """

    value: Any
    end: int
    protocol: int
    globals: dict[tuple[str, str], Global]
    persistents: list[PersistentId]
    oddities: list[Fault] = field(default_factory=list)
    python2: bool = False

    def faults(self, file: str, base: int = 0) -> list[Fault]:
        """What is not inert in it: globals outside the allow-list, odd opcodes."""
        return global_faults(self.globals.values(), file, base) + self.oddities


# What an opcode leaves behind, roughly, in bytes of memory (stack and memo are counted by their length).
_COST = [1] * 256
for _codes, _cost in (
    (b"]", 72),
    (b"}", 112),
    (b"\x8f", 112),
    (b"(", 9),
    (b"tl\x85\x86\x87", 72),
    (b"d", 112),
    (b"R\x81obi\x92", 104),
    (b"PQ", 56),
    (b"G", 24),
    (b"JM", 28),
    (b"\x8a\x8bLIFSV", 64),
    (b"XTU\x8c\x8dBC\x8e\x96", 60),
    (b"a", 16),
    (b"s", 80),
    (b"\x91\x90", 72),
):
    for _code in _codes:
        _COST[_code] = _cost
_NONE = object()  # that nothing on the stack is
_METER = 1 << 20  # how much may be spent between two looks at the meter


def read_pickle(
    source: Source, offset: int = 0, *, whole: int | None = None, window: int = _WINDOW
) -> Pickle:
    """The pickle that begins at ``offset`` of ``source``.

    ``whole`` is the size of the file that the source is part of (default: the source's): the measure for the
    memory that nodes may take. ``window`` is how many bytes are read at first; a longer pickle is read again
    with eight times that. Raises :class:`DamagedCheckpoint` (unknown opcode, broken structure),
    :class:`Truncated`, :class:`LimitExceeded`; offsets in them are offsets in ``source``.
    """
    budget = _ALLOWANCE + 2 * (source.size if whole is None else whole)
    most = budget // 2  # of bytes at once: a stored pickle is never longer; an inflated one may pretend to be
    window = min(window, most)
    while True:
        length = min(window, source.size - offset)
        data = source.read(offset, max(0, length))
        machine = Machine(data, offset, source.name, budget)
        try:
            return machine.run()
        except Short:
            if offset + length >= source.size:
                raise Truncated(
                    "the pickle ends before it is complete",
                    file=source.name,
                    offset=source.size,
                    expected="the opcode STOP",
                    found="the end of the file",
                    remedy="The file was cut off; copy it again, or use another checkpoint.",
                ) from None
            if window >= most:
                raise machine.too_much(source.size, len(data)) from None
            window = min(8 * window, most)
        except DamagedCheckpoint:
            machine.forget()
            raise


def load(data: bytes, name: str = "<bytes>", *, budget: int | None = None) -> Pickle:
    """The pickle in ``data``; raises like :func:`read_pickle`."""
    machine = Machine(data, 0, name, _ALLOWANCE + 2 * len(data) if budget is None else budget)
    try:
        return machine.run()
    except Short:
        raise Truncated("the pickle ends before it is complete", file=name, offset=len(data)) from None


class Machine:
    """The state of one pickle: stack, marks, memo, what it cost so far and what was odd about it.

    ``base`` is the offset of ``data`` in ``file``; ``budget`` bounds the bytes of all nodes together.
    """

    def __init__(self, data: bytes, base: int, file: str, budget: int) -> None:
        self.data, self.base, self.file, self.budget = data, base, file, budget
        self.spent = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []  # picklers number densely; what is out of turn goes to `odd_memo`
        self.odd_memo: dict[int, Any] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.persistents: list[PersistentId] = []
        self.oddities: list[Fault] = []
        self.protocol = 0
        self.python2 = False
        self.records = Records(_COST)
        self.rebuild: Any = _NONE  # the global that records call, once it was met

    # -- errors ------------------------------------------------------------------------------------------
    def damaged(self, text: str, position: int, **more: Any) -> DamagedCheckpoint:
        return DamagedCheckpoint(text, file=self.file, offset=self.base + position, **more)

    def pay(self, amount: int, position: int) -> None:
        """Meter memory; raises :class:`LimitExceeded` where a stream asks for more than an honest one may."""
        self.spent += amount
        if self.spent > self.budget:
            raise self.too_much(self.spent, position)

    def too_much(self, spent: int, position: int) -> LimitExceeded:
        return LimitExceeded(
            "the pickle asks for more memory than a file of this size may",
            file=self.file,
            offset=self.base + position,
            expected=f"objects of at most {self.budget} bytes",
            found=f"{spent} and counting",
            remedy="Do not load this file in a framework; ask where it comes from.",
        )

    def forget(self) -> None:
        """Let go of all nodes: an error that somebody keeps would keep them through its traceback."""
        for held in (self.stack, self.memo, self.odd_memo, self.persistents):
            held.clear()

    # -- the loop ----------------------------------------------------------------------------------------
    def run(self) -> Pickle:
        """Run to STOP. The frequent opcodes stand in line here, the rest in the table below."""
        data, stack, marks, memo, cost = self.data, self.stack, self.marks, self.memo, _COST
        size, pos, floor, spent, look = len(data), 0, 0, 0, _METER
        table = TABLE
        while True:
            if pos >= size:
                raise Short
            op = data[pos]
            pos += 1
            spent += cost[op]
            if spent > look:
                total = spent + self.spent + 8 * (len(stack) + len(memo) + len(marks))
                if total > self.budget:
                    raise self.too_much(total, pos - 1)
                look = spent + _METER
            if op == 0x71:  # BINPUT
                if pos >= size:
                    raise Short
                index = data[pos]
                pos += 1
                if len(stack) <= floor:
                    raise self.damaged("BINPUT with nothing on the stack", pos - 2)
                if index == len(memo):
                    memo.append(stack[-1])
                else:
                    self.put(index, stack[-1], pos)
            elif op == 0x72:  # LONG_BINPUT
                if pos + 4 > size:
                    raise Short
                index = _U4.unpack_from(data, pos)[0]
                pos += 4
                if len(stack) <= floor:
                    raise self.damaged("LONG_BINPUT with nothing on the stack", pos - 5)
                if index == len(memo):
                    memo.append(stack[-1])
                else:
                    self.put(index, stack[-1], pos)
            elif op == 0x94:  # MEMOIZE
                if len(stack) <= floor:
                    raise self.damaged("MEMOIZE with nothing on the stack", pos - 1)
                memo.append(stack[-1])
            elif op == 0x68:  # BINGET
                if pos >= size:
                    raise Short
                index = data[pos]
                pos += 1
                known = memo[index] if index < len(memo) else self.get(index, pos - 2)
                if known is self.rebuild and data[pos : pos + 2] == b"((":
                    after, paid = self.records.read(self, known, pos)
                    if after != pos:
                        pos, spent = after, spent + paid
                        continue
                stack.append(known)
            elif op == 0x6A:  # LONG_BINGET
                if pos + 4 > size:
                    raise Short
                index = _U4.unpack_from(data, pos)[0]
                pos += 4
                known = memo[index] if index < len(memo) else self.get(index, pos - 5)
                if known is self.rebuild and data[pos : pos + 2] == b"((":
                    after, paid = self.records.read(self, known, pos)
                    if after != pos:
                        pos, spent = after, spent + paid
                        continue
                stack.append(known)
            elif op == 0x28:  # MARK
                floor = len(stack)
                marks.append(floor)
            elif op == 0x4B:  # BININT1
                if pos >= size:
                    raise Short
                stack.append(data[pos])
                pos += 1
            elif op == 0x4A:  # BININT
                if pos + 4 > size:
                    raise Short
                stack.append(_I4.unpack_from(data, pos)[0])
                pos += 4
            elif op == 0x4D:  # BININT2
                if pos + 2 > size:
                    raise Short
                stack.append(_I2.unpack_from(data, pos)[0])
                pos += 2
            elif op == 0x58:  # BINUNICODE
                if pos + 4 > size:
                    raise Short
                length = _U4.unpack_from(data, pos)[0]
                stack.append(self.text(pos + 4, length))
                pos += 4 + length
            elif op == 0x8C:  # SHORT_BINUNICODE
                if pos >= size:
                    raise Short
                length = data[pos]
                stack.append(self.text(pos + 1, length))
                pos += 1 + length
            elif op == 0x74:  # TUPLE
                if not marks:
                    raise self.damaged("TUPLE without a mark", pos - 1)
                start = marks.pop()
                made = tuple(stack[start:])
                spent += 8 * len(made)
                del stack[start:]
                stack.append(made)
                floor = marks[-1] if marks else 0
            elif op == 0x29:  # EMPTY_TUPLE
                stack.append(())
            elif 0x85 <= op <= 0x87:  # TUPLE1, TUPLE2, TUPLE3
                count = op - 0x84
                if len(stack) - floor < count:
                    raise self.damaged(f"TUPLE{count} with too little on the stack", pos - 1)
                made = tuple(stack[-count:])
                del stack[-count:]
                stack.append(made)
            elif op == 0x51:  # BINPERSID
                if len(stack) <= floor:
                    raise self.damaged("BINPERSID with nothing on the stack", pos - 1)
                found = PersistentId(stack[-1], self.base + pos - 1)
                stack[-1] = found
                self.persistents.append(found)
            elif op == 0x52:  # REDUCE
                if len(stack) - floor < 2:
                    raise self.damaged("REDUCE with too little on the stack", pos - 1)
                args = stack.pop()
                stack[-1] = Made(stack[-1], args, "REDUCE", self.base + pos - 1)
            elif op == 0x89:  # NEWFALSE
                stack.append(False)
            elif op == 0x88:  # NEWTRUE
                stack.append(True)
            elif op == 0x4E:  # NONE
                stack.append(None)
            elif op == 0x7D:  # EMPTY_DICT
                stack.append(Dict())
            elif (
                op == 0x73 and len(stack) - floor > 2 and type(stack[-3]) is Dict
            ):  # SETITEM, else by the table
                stack[-3].pairs.append((stack[-2], stack[-1]))
                del stack[-2:]
            elif op == 0x75:  # SETITEMS
                if not marks:
                    raise self.damaged("SETITEMS without a mark", pos - 1)
                start = marks.pop()
                floor = marks[-1] if marks else 0
                count = len(stack) - start
                if count % 2 or start <= floor:
                    raise self.damaged(
                        "SETITEMS with a key that has no value, or nothing to set it in", pos - 1
                    )
                spent += 36 * count
                self.pairs_into(
                    stack[start - 1], list(zip(stack[start::2], stack[start + 1 :: 2], strict=True)), pos
                )
                del stack[start:]
            elif op == 0x2E:  # STOP
                if len(stack) <= floor:
                    raise self.damaged("STOP with nothing on the stack", pos - 1)
                self.spent += spent
                return Pickle(
                    stack[-1],
                    self.base + pos,
                    self.protocol,
                    self.globals,
                    self.persistents,
                    self.oddities,
                    self.python2,
                )
            else:
                handler = table[op]
                if handler is None:
                    raise self.damaged(
                        "an opcode that no pickle protocol has",
                        pos - 1,
                        expected="an opcode of pickle protocols 0 to 5",
                        found=f"byte 0x{op:02x}",
                    )
                pos = handler(self, pos)
                floor = marks[-1] if marks else 0

    # -- help for the handlers ---------------------------------------------------------------------------
    def put(self, index: int, value: Any, position: int) -> None:
        if index < len(self.memo):
            self.memo[index] = value
            self.records.forget()
        else:
            self.pay(120, position)
            self.odd_memo[index] = value

    def get(self, index: int, position: int) -> Any:
        if index < len(self.memo):
            return self.memo[index]
        if index in self.odd_memo:
            return self.odd_memo[index]
        raise self.damaged(
            "the pickle refers to an object that it did not memorise", position, found=f"memo entry {index}"
        )

    def pop(self, position: int, what: str) -> Any:
        """The top of the stack, above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.damaged(f"{what} with too little on the stack", position)
        return self.stack.pop()

    def top(self, position: int, what: str) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.damaged(f"{what} with too little on the stack", position)
        return self.stack[-1]

    def pop_mark(self, position: int, what: str) -> list[Any]:
        """All above the last mark."""
        if not self.marks:
            raise self.damaged(f"{what} without a mark", position)
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        self.pay(8 * len(items), position)
        return items

    def take(self, position: int, length: int) -> bytes:
        """``length`` bytes at ``position``; what is not there yet asks for a longer window."""
        if position + length > len(self.data):
            raise Short
        return self.data[position : position + length]

    def text(self, position: int, length: int) -> str:
        raw = self.take(position, length)
        if raw.isascii():
            if length < 1 << 12:
                self.spent += length  # the loop looks at the meter often enough for these
            else:
                self.pay(length, position)
            return raw.decode("ascii")
        self.pay(4 * length, position)  # one astral character makes the whole text four bytes wide
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.damaged("a text that is not UTF-8", position + error.start) from None

    def raw(self, position: int, length: int) -> bytes:
        data = self.take(position, length)
        self.pay(length, position)
        return data

    def line(self, position: int) -> tuple[bytes, int]:
        """A text opcode's argument up to its newline, and where the next opcode stands."""
        end = self.data.find(b"\n", position, position + _LONGEST_LINE)
        if end < 0:
            if len(self.data) - position < _LONGEST_LINE:
                raise Short
            raise LimitExceeded(
                "a line without end in the pickle", file=self.file, offset=self.base + position
            )
        return self.data[position:end], end + 1

    def string(self, raw: bytes) -> str | ByteString:
        """A Python 2 byte string: text where it is ASCII."""
        self.python2 = True
        return raw.decode("ascii") if raw.isascii() else ByteString(raw)

    def find_global(self, module: str, name: str, position: int) -> Global:
        found = self.globals.get((module, name))
        if found is None:
            self.pay(250 + len(module) + len(name), position)
            found = self.globals[module, name] = Global(module, name, self.base + position)
            if (module, name) == REBUILD:
                self.rebuild = found
        return found

    def pairs_into(self, target: Any, pairs: list[tuple[Any, Any]], position: int) -> None:
        if isinstance(target, (Dict, Made)):
            if target.pairs:
                target.pairs.extend(pairs)
            else:
                target.pairs = pairs
        else:
            raise self.damaged(
                "an item is set in something that is no mapping", position - 1, found=type(target).__name__
            )

    def items_into(self, target: Any, items: list[Any], position: int) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Made):
            if target.items is None:
                target.items = []
            target.items.extend(items)
        else:
            raise self.damaged(
                "an item is put into something that is no list", position, found=type(target).__name__
            )

    def odd(self, text: str, position: int, seen: str) -> None:
        if len(self.oddities) < 64:
            self.oddities.append(
                Fault("pickle-opcode", text, file=self.file, offset=self.base + position, seen=seen)
            )

    def number(self, raw: bytes, pos: int) -> int:
        """An integer in text; longer ones than any honest one are refused before they cost time."""
        if len(raw) > 2 * LONGEST_INT:
            raise LimitExceeded(
                "an integer longer than any honest one", file=self.file, offset=self.base + pos
            )
        try:
            return int(raw)
        except ValueError:
            raise self.damaged("a number that is none", pos, found=raw[:40]) from None

    def word(self, raw: bytes, pos: int) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged("the name of a global is not text", pos, found=raw[:40]) from None
