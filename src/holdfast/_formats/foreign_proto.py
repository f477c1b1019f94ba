"""Protocol buffers that lie beside checkpoints, told apart by their first fields.

Field numbers: onnx/onnx.proto (ModelProto: 1 ir_version, 2-6 texts and numbers, 7 graph, 8 opset_import);
tensorflow/core/framework/graph.proto (GraphDef: 1 node, 4 versions, 2 library; NodeDef: 1 name, 2 op);
tensorflow/core/protobuf/saved_model.proto (1 schema version, 2 meta_graphs); meta_graph.proto (1
meta_info_def, 2 graph).
"""

from __future__ import annotations

from collections.abc import Iterator

from .._storage import Source

__all__ = ["looks_like_graph_def", "looks_like_meta_graph", "looks_like_onnx", "looks_like_saved_model"]


def _varint(source: Source, at: int) -> tuple[int, int]:
    raw = source.read(at, min(10, source.size - at))
    value = 0
    for index, byte in enumerate(raw):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("no varint")


def _fields(source: Source, start: int, end: int, most: int = 64) -> Iterator[tuple[int, int, int, int]]:
    """``(number, wire type, place of the value, its length)`` of the first fields; a varint's value stands as
    length.

    Raises ``ValueError`` where the bytes are no fields that fit.
    """
    at = start
    for _ in range(most):
        if at >= end:
            return
        tag, at = _varint(source, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field 0")
        if wire == 0:
            value, after = _varint(source, at)
            yield number, wire, at, value
        elif wire == 2:
            value, at = _varint(source, at)
            after = at + value
            if after > end:
                raise ValueError("a field runs past the end")
            yield number, wire, at, value
        elif wire in (1, 5):
            after = at + (8 if wire == 1 else 4)
            if after > end:
                raise ValueError("a field runs past the end")
            yield number, wire, at, after - at
        else:
            raise ValueError("a group")
        at = after


def _text(source: Source, at: int, length: int) -> str | None:
    if not 0 < length <= 512:
        return None
    try:
        text = source.read(at, length).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def looks_like_onnx(source: Source) -> bool:
    """A ModelProto: a small ir_version first, texts where texts belong, and a graph."""
    if source.head(1) != b"\x08":
        return False
    graph = False
    for index, (number, wire, at, value) in enumerate(_fields(source, 0, source.size)):
        if index == 0 and not (number == 1 and wire == 0 and 1 <= value <= 50):
            return False
        if number in (2, 3, 4) and (wire != 2 or (value and _text(source, at, value) is None)):
            return False
        if number > 30:
            return False
        graph |= number == 7 and wire == 2
    return graph


def _is_node(source: Source, at: int, length: int) -> bool:
    """A NodeDef: a name, then an operation's name such as ``Const``."""
    found = {n: (p, v) for n, w, p, v in _fields(source, at, at + length, 4) if w == 2}
    if 1 not in found or 2 not in found:
        return False
    op = _text(source, *found[2])
    return (
        _text(source, *found[1]) is not None
        and op is not None
        and op[0].isalpha()
        and op.replace("_", "").isalnum()
    )


def looks_like_graph_def(source: Source) -> bool:
    """A GraphDef: its first field is a node."""
    if source.head(1) != b"\x0a":
        return False
    first = next(_fields(source, 0, source.size), None)
    return first is not None and first[1] == 2 and first[3] > 0 and _is_node(source, first[2], first[3])


def _holds_graph(source: Source, start: int, end: int) -> bool:
    """Whether a MetaGraphDef lies there: field 2 is a GraphDef whose first field is a node."""
    for number, wire, at, length in _fields(source, start, end, 4):
        if number == 2 and wire == 2:
            first = next(_fields(source, at, at + length), None)
            return (
                first is not None and first[0] == 1 and first[1] == 2 and _is_node(source, first[2], first[3])
            )
        if number != 1 or wire != 2:
            return False
    return False


def looks_like_meta_graph(source: Source) -> bool:
    """A MetaGraphDef (``.meta`` beside a checkpoint)."""
    return source.head(1) in (b"\x0a", b"\x12") and _holds_graph(source, 0, source.size)


def looks_like_saved_model(source: Source) -> bool:
    """A SavedModel proto: schema version 1, then meta graphs."""
    if source.head(3) not in (b"\x08\x01\x12", b"\x08\x00\x12"):
        return False
    fields = list(_fields(source, 0, source.size, 2))
    return (
        len(fields) == 2
        and fields[1][0] == 2
        and _holds_graph(source, fields[1][2], fields[1][2] + fields[1][3])
    )
