"""The less frequent opcodes of the pickle machine, one function each, and the table of them.

Semantics from CPython's ``Lib/pickletools.py`` and ``Lib/pickle.py``. Each takes the machine and the position
behind its opcode byte, and gives the position of the next opcode.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..._core.errors import LimitExceeded
from .nodes import Dict, Global, Made, PersistentId, SetNode

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["TABLE", "LONGEST_INT", "Short"]

LONGEST_INT = 1024  # bytes; the widest honest one is a hash or a generator's state

_I4, _U4, _U8, _F8 = (struct.Struct(f) for f in ("<i", "<I", "<Q", ">d"))


class Short(Exception):
    """The bytes at hand end before the pickle does."""


def op_proto(self: Machine, pos: int) -> int:
    version = self.take(pos, 1)[0]
    if version > 5:
        raise self.damaged("a pickle protocol that does not exist", pos - 1, expected="0 to 5", found=version)
    self.protocol = max(self.protocol, version)
    return pos + 1


def op_frame(self: Machine, pos: int) -> int:
    (length,) = _U8.unpack(self.take(pos, 8))
    if length > len(self.data) - pos - 8:
        raise Short
    return pos + 8


def op_pop(self: Machine, pos: int) -> int:
    if self.marks and len(self.stack) == self.marks[-1]:
        self.marks.pop()  # POP right behind a mark takes the mark (Lib/pickle.py load_pop)
    else:
        self.pop(pos - 1, "POP")
    return pos


def op_pop_mark(self: Machine, pos: int) -> int:
    self.pop_mark(pos - 1, "POP_MARK")
    return pos


def op_dup(self: Machine, pos: int) -> int:
    self.stack.append(self.top(pos - 1, "DUP"))
    return pos


def op_put(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    index = self.number(raw, pos)
    if not 0 <= index < 1 << 62:
        raise self.damaged("a memo key out of range", pos - 1, found=raw[:40])
    value = self.top(pos - 1, "PUT")
    if index == len(self.memo):
        self.memo.append(value)
    else:
        self.put(index, value, pos)
    return after


def op_get(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    self.stack.append(self.get(self.number(raw, pos), pos - 1))
    return after


def op_int(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    self.stack.append(False if raw == b"00" else True if raw == b"01" else self.number(raw, pos))
    return after


def op_long(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    self.stack.append(self.number(raw.removesuffix(b"L"), pos))
    return after


def op_float(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    try:
        self.stack.append(float(raw))
    except ValueError:
        raise self.damaged("a number that is none", pos, found=raw[:40]) from None
    return after


def op_binfloat(self: Machine, pos: int) -> int:
    self.stack.append(_F8.unpack(self.take(pos, 8))[0])
    return pos + 8


def op_long1(self: Machine, pos: int) -> int:
    length = self.take(pos, 1)[0]
    self.stack.append(int.from_bytes(self.take(pos + 1, length), "little", signed=True))
    return pos + 1 + length


def op_long4(self: Machine, pos: int) -> int:
    (length,) = _I4.unpack(self.take(pos, 4))
    if length < 0:
        raise self.damaged("an integer of negative length", pos - 1, found=length)
    if length > LONGEST_INT:
        raise LimitExceeded(
            "an integer longer than any honest one",
            file=self.file,
            offset=self.base + pos - 1,
            expected=f"at most {LONGEST_INT} bytes",
            found=length,
        )
    self.stack.append(int.from_bytes(self.take(pos + 4, length), "little", signed=True))
    return pos + 4 + length


def op_string(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    if len(raw) < 2 or raw[0] != raw[-1] or raw[:1] not in b"\"'":
        raise self.damaged("a string without its quotes", pos, found=raw[:40])
    try:
        self.stack.append(self.string(codecs.escape_decode(raw[1:-1])[0]))
    except ValueError as error:
        raise self.damaged(f"a string with a broken escape: {error}", pos) from None
    return after


def op_unicode(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    self.pay(4 * len(raw), pos)
    try:
        self.stack.append(raw.decode("raw-unicode-escape"))
    except UnicodeDecodeError as error:
        raise self.damaged(f"a text with a broken escape: {error.reason}", pos) from None
    return after


def op_binstring(self: Machine, pos: int) -> int:
    (length,) = _I4.unpack(self.take(pos, 4))
    if length < 0:
        raise self.damaged("a string of negative length", pos - 1, found=length)
    self.stack.append(self.string(self.raw(pos + 4, length)))
    return pos + 4 + length


def op_short_binstring(self: Machine, pos: int) -> int:
    length = self.take(pos, 1)[0]
    self.stack.append(self.string(self.raw(pos + 1, length)))
    return pos + 1 + length


def op_binbytes(self: Machine, pos: int) -> int:
    (length,) = _U4.unpack(self.take(pos, 4))
    self.stack.append(self.raw(pos + 4, length))
    return pos + 4 + length


def op_short_binbytes(self: Machine, pos: int) -> int:
    length = self.take(pos, 1)[0]
    self.stack.append(self.raw(pos + 1, length))
    return pos + 1 + length


def op_binbytes8(self: Machine, pos: int) -> int:
    (length,) = _U8.unpack(self.take(pos, 8))
    self.stack.append(self.raw(pos + 8, length))
    return pos + 8 + length


def op_binunicode8(self: Machine, pos: int) -> int:
    (length,) = _U8.unpack(self.take(pos, 8))
    self.stack.append(self.text(pos + 8, length))
    return pos + 8 + length


def op_next_buffer(self: Machine, pos: int) -> int:
    self.odd("an out-of-band buffer, which this file cannot hold", pos - 1, "NEXT_BUFFER")
    self.stack.append(PersistentId("out-of-band buffer", self.base + pos - 1))
    return pos


def op_readonly_buffer(self: Machine, pos: int) -> int:
    self.top(pos - 1, "READONLY_BUFFER")
    return pos


def op_empty_list(self: Machine, pos: int) -> int:
    self.stack.append([])
    return pos


def op_empty_dict(self: Machine, pos: int) -> int:
    self.stack.append(Dict())
    return pos


def op_empty_set(self: Machine, pos: int) -> int:
    self.stack.append(SetNode([]))
    return pos


def op_list(self: Machine, pos: int) -> int:
    self.stack.append(self.pop_mark(pos - 1, "LIST"))
    return pos


def op_dict(self: Machine, pos: int) -> int:
    items = self.pop_mark(pos - 1, "DICT")
    if len(items) % 2:
        raise self.damaged("DICT with a key that has no value", pos - 1)
    self.pay(64 * len(items), pos)
    made = Dict()
    made.pairs = list(zip(items[::2], items[1::2], strict=True))
    self.stack.append(made)
    return pos


def op_frozenset(self: Machine, pos: int) -> int:
    self.stack.append(SetNode(self.pop_mark(pos - 1, "FROZENSET")))
    return pos


def op_append(self: Machine, pos: int) -> int:
    value = self.pop(pos - 1, "APPEND")
    self.items_into(self.top(pos - 1, "APPEND"), [value], pos - 1)
    return pos


def op_appends(self: Machine, pos: int) -> int:
    items = self.pop_mark(pos - 1, "APPENDS")
    self.items_into(self.top(pos - 1, "APPENDS"), items, pos - 1)
    return pos


def op_additems(self: Machine, pos: int) -> int:
    items = self.pop_mark(pos - 1, "ADDITEMS")
    target = self.top(pos - 1, "ADDITEMS")
    if isinstance(target, SetNode):
        target.items.extend(items)
    else:
        self.items_into(target, items, pos - 1)
    return pos


def op_setitem(self: Machine, pos: int) -> int:
    value = self.pop(pos - 1, "SETITEM")
    key = self.pop(pos - 1, "SETITEM")
    self.pairs_into(self.top(pos - 1, "SETITEM"), [(key, value)], pos)
    return pos


def op_global(self: Machine, pos: int) -> int:
    module, after = self.line(pos)
    name, after = self.line(after)
    self.stack.append(self.find_global(self.word(module, pos), self.word(name, pos), pos - 1))
    return after


def op_stack_global(self: Machine, pos: int) -> int:
    name, module = self.pop(pos - 1, "STACK_GLOBAL"), self.pop(pos - 1, "STACK_GLOBAL")
    if not isinstance(name, str) or not isinstance(module, str):
        raise self.damaged("STACK_GLOBAL with names that are not text", pos - 1)
    self.stack.append(self.find_global(module, name, pos - 1))
    return pos


def op_ext(self: Machine, pos: int) -> int:
    width = {0x82: 1, 0x83: 2, 0x84: 4}[self.data[pos - 1]]
    code = int.from_bytes(self.take(pos, width), "little", signed=width == 4)
    if code <= 0:
        raise self.damaged("an extension code that cannot be", pos - 1, found=code)
    # What the code stands for is decided by the registry of the process that loads it (Lib/copyreg.py).
    self.stack.append(self.find_global("copyreg extension registry", f"code {code}", pos - 1))
    return pos + width


def op_inst(self: Machine, pos: int) -> int:
    module, after = self.line(pos)
    name, after = self.line(after)
    args = tuple(self.pop_mark(pos - 1, "INST"))
    found = self.find_global(self.word(module, pos), self.word(name, pos), pos - 1)
    self.stack.append(Made(found, args, "INST", self.base + pos - 1))
    return after


def op_obj(self: Machine, pos: int) -> int:
    items = self.pop_mark(pos - 1, "OBJ")
    if not items:
        raise self.damaged("OBJ without a class", pos - 1)
    self.stack.append(Made(items[0], tuple(items[1:]), "OBJ", self.base + pos - 1))
    return pos


def op_newobj(self: Machine, pos: int) -> int:
    args = self.pop(pos - 1, "NEWOBJ")
    cls = self.pop(pos - 1, "NEWOBJ")
    self.stack.append(Made(cls, args, "NEWOBJ", self.base + pos - 1))
    return pos


def op_newobj_ex(self: Machine, pos: int) -> int:
    kwargs = self.pop(pos - 1, "NEWOBJ_EX")
    args = self.pop(pos - 1, "NEWOBJ_EX")
    cls = self.pop(pos - 1, "NEWOBJ_EX")
    self.stack.append(Made(cls, args, "NEWOBJ_EX", self.base + pos - 1, kwargs))
    return pos


def op_build(self: Machine, pos: int) -> int:
    state = self.pop(pos - 1, "BUILD")
    target = self.top(pos - 1, "BUILD")
    if isinstance(target, Made):
        if target.state is not None:
            self.odd("BUILD a second time on one object", pos - 1, "BUILD")
        target.state = state
    elif isinstance(target, Global):
        self.odd(
            f"BUILD on the global {target.text}: loading would change that class or module",
            pos - 1,
            "BUILD",
        )
    elif isinstance(target, PersistentId):
        self.odd("BUILD on an object that lies outside the pickle", pos - 1, "BUILD")
    else:
        raise self.damaged("BUILD on a plain value", pos - 1, found=type(target).__name__)
    return pos


def op_persid(self: Machine, pos: int) -> int:
    raw, after = self.line(pos)
    found = PersistentId(self.word(raw, pos), self.base + pos - 1)
    self.persistents.append(found)
    self.stack.append(found)
    return after


Handler = Callable[["Machine", int], int]
TABLE: list[Handler | None] = [None] * 256
for _code, _handler in {
    0x80: op_proto,
    0x95: op_frame,
    0x30: op_pop,
    0x31: op_pop_mark,
    0x32: op_dup,
    0x70: op_put,
    0x67: op_get,
    0x49: op_int,
    0x4C: op_long,
    0x46: op_float,
    0x47: op_binfloat,
    0x8A: op_long1,
    0x8B: op_long4,
    0x53: op_string,
    0x56: op_unicode,
    0x54: op_binstring,
    0x55: op_short_binstring,
    0x42: op_binbytes,
    0x43: op_short_binbytes,
    0x8E: op_binbytes8,
    0x8D: op_binunicode8,
    0x96: op_binbytes8,  # BYTEARRAY8: the same bytes; that they may change later means nothing here
    0x97: op_next_buffer,
    0x98: op_readonly_buffer,
    0x5D: op_empty_list,
    0x7D: op_empty_dict,
    0x8F: op_empty_set,
    0x6C: op_list,
    0x64: op_dict,
    0x91: op_frozenset,
    0x61: op_append,
    0x65: op_appends,
    0x90: op_additems,
    0x73: op_setitem,
    0x63: op_global,
    0x93: op_stack_global,
    0x82: op_ext,
    0x83: op_ext,
    0x84: op_ext,
    0x69: op_inst,
    0x6F: op_obj,
    0x81: op_newobj,
    0x92: op_newobj_ex,
    0x62: op_build,
    0x50: op_persid,
}.items():
    TABLE[_code] = _handler
