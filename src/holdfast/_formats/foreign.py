"""Formats that Holdfast can name but not read: told by content, each with what to do about it.

The sources of the magics: TorchScript, tar: see the functions; gguf: ggml-org/ggml docs/gguf.md; tensorizer:
coreweave/tensorizer ``serialization.py`` (``|TZR|``); pickle: CPython Lib/pickle.py (``PROTO``); flax:
google/flax ``serialization.py`` (``_MsgpackExtType``); ONNX: onnx/onnx.proto (``ModelProto``); GraphDef:
tensorflow/core/framework/graph.proto; TensorFlow V1 tables: tensorflow/core/util/saved_tensor_slice_util.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .._core.errors import HoldfastError
from .._storage import Source
from .._storage.zip_directory import looks_like_zip
from .foreign_proto import looks_like_graph_def, looks_like_meta_graph, looks_like_onnx
from .registry import Format

__all__ = ["FORMATS", "tar_members"]

_TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")  # tensorflow/core/lib/io/format.h kTableMagicNumber


def recognise_tf_v1(source: Source) -> bool:
    """A table whose first value is ``SavedTensorSlices`` (field 1, ``meta``), where a V2 bundle has its
    header proto.

    Both keep it under the empty key; so the first entry is ``00 00 <length> 0a``.
    """
    if source.size < 60 or source.tail(8) != _TABLE_MAGIC:
        return False
    head = source.head(16)
    if head[:2] != b"\0\0":
        return False
    at = 2
    while at < 12 and head[at] & 0x80:
        at += 1
    return head[at + 1 : at + 2] == b"\x0a"


def recognise_dcp_metadata(source: Source) -> bool:
    """The ``.metadata`` pickle of a distributed checkpoint: names the class of
    torch/distributed/checkpoint/metadata.py.
    """
    head = source.head()
    return head[:1] == b"\x80" and b"torch.distributed.checkpoint.metadata" in head


def recognise_flax(source: Source) -> bool:
    """A msgpack map whose keys are texts and whose first leaves are maps, numbers or extension types
    (arrays).
    """
    return _walk_msgpack(source.head())


def _walk_msgpack(head: bytes) -> bool:
    at, depth = 0, 0
    while depth < 40 and at < len(head):
        kind = head[at]
        if 0x81 <= kind <= 0x8F:
            at += 1
        elif kind in (0xDE, 0xDF):
            at += 3 if kind == 0xDE else 5
        else:
            break
        key, at = _msgpack_text(head, at)
        if key is None:
            return False
        depth += 1
        if at >= len(head):
            return True
    if depth == 0 or at >= len(head):
        return False
    kind = head[at]
    # fixext/ext with flax's types 1 (ndarray), 2 (complex), 3 (numpy scalar)
    if kind in (0xC7, 0xC8, 0xC9):
        wide = 1 << (kind - 0xC7)
        return at + 1 + wide < len(head) and head[at + 1 + wide] in (1, 2, 3)
    if 0xD4 <= kind <= 0xD8:
        return at + 1 < len(head) and head[at + 1] in (1, 2, 3)
    if kind == 0x80 or kind in (0xC0, 0xC2, 0xC3, 0xCA, 0xCB) or 0xCC <= kind <= 0xD3 or kind < 0x80:
        return True
    return (
        0xA0 <= kind <= 0xBF
        or kind in (0xD9, 0xDA, 0xC4, 0xC5, 0xC6)
        or 0x90 <= kind <= 0x9F
        or kind in (0xDC, 0xDD)
    )


def _msgpack_text(head: bytes, at: int) -> tuple[str | None, int]:
    if at >= len(head):
        return None, at
    kind = head[at]
    if 0xA1 <= kind <= 0xBF:
        length, at = kind & 0x1F, at + 1
    elif kind == 0xD9 and at + 1 < len(head):
        length, at = head[at + 1], at + 2
    else:
        return None, at
    raw = head[at : at + length]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None, at
    return (text if text.isprintable() and text else None), at + length


def tar_members(source: Source, most: int = 12) -> list[str]:
    """Names of the first members of a tar; empty where it is none (POSIX.1-1988 header, checksum proved)."""
    names: list[str] = []
    at = 0
    while at + 512 <= source.size and len(names) < most:
        block = source.read(at, 512)
        if not block.strip(b"\0"):
            break
        try:
            said = int(block[148:156].strip(b"\0 ") or b"-1", 8)
            size = int(block[124:136].strip(b"\0 ") or b"0", 8)
        except ValueError:
            return names
        if said != sum(block[:148]) + 8 * 32 + sum(block[156:]) or size < 0:
            return names
        names.append(block[:100].split(b"\0")[0].decode("utf-8", "replace"))
        at += 512 + (size + 511) // 512 * 512
    return names


def recognise_torch_tar(source: Source) -> bool:
    """PyTorch 0.1's tar: members ``sys_info``, ``pickle``, ``storages``, ``tensors`` (torch/serialization.py
    legacy_load).
    """
    names = {name.rsplit("/", 1)[-1] for name in tar_members(source)}
    return len(names & {"sys_info", "pickle", "storages", "tensors"}) >= 3


def recognise_gguf(source: Source) -> bool:
    """The magic of llama.cpp's files (ggml/docs/gguf.md)."""
    head = source.head(8)
    return head[:4] == b"GGUF" and len(head) == 8


def recognise_ggml(source: Source) -> bool:
    """The magics that came before GGUF: ggml, ggmf, ggjt, ggla, as little-endian words (llama.cpp)."""
    return source.head(4) in (b"lmgg", b"fmgg", b"tjgg", b"algg") and source.size > 16


def recognise_equinox(source: Source) -> bool:
    """A line of JSON, then numpy array files one after the other: what equinox's docs teach for
    ``tree_serialise_leaves``.
    """
    head = source.head()
    line = head.find(b"\n")
    return head[:1] in (b"{", b"[") and line > 0 and head[line + 1 : line + 7] == b"\x93NUMPY"


def recognise_other_index(source: Source) -> bool:
    """An index with a ``weight_map``, of shards that neither safetensors nor PyTorch wrote (msgpack, h5)."""
    head = source.head()
    return head.lstrip().startswith(b"{") and b'"weight_map"' in head


def recognise_orbax_metadata(source: Source) -> bool:
    """The ``_METADATA`` or ``_CHECKPOINT_METADATA`` file of an Orbax folder, given instead of the folder."""
    head = source.head()
    return head.lstrip().startswith(b"{") and (b'"tree_metadata"' in head or b'"item_handlers"' in head)


def _never_raises(test: Callable[[Source], bool]) -> Callable[[Source], bool]:
    """A recogniser must answer on junk: where reading on fails, the answer is no."""

    def asked(source: Source) -> bool:
        try:
            return bool(test(source))
        except (HoldfastError, ValueError, struct.error, IndexError):
            return False

    asked.__doc__ = test.__doc__
    return asked


def _foreign(
    name: str, title: str, test: Callable[[Source], bool], hint: str, *suffixes: str, family: str = ""
) -> Format:
    return Format(name, title, _never_raises(test), None, suffixes, family, hint)


FORMATS: tuple[Format, ...] = (
    _foreign(
        "gguf",
        "GGUF model of llama.cpp",
        recognise_gguf,
        "An export for inference, not a training checkpoint. Read it with the `gguf` Python package; to "
        "go on training, use "
        "the checkpoint it was converted from.",
        ".gguf",
        family="ggml",
    ),
    _foreign(
        "ggml",
        "GGML model (before GGUF)",
        recognise_ggml,
        "An old export for inference of llama.cpp or whisper.cpp; convert it with that project's scripts.",
        family="ggml",
    ),
    _foreign(
        "tensorizer",
        "tensorizer file",
        lambda s: s.head(5) == b"|TZR|",
        "Read it with CoreWeave's `tensorizer` package.",
        ".tensors",
        family="torch",
    ),
    _foreign(
        "tf-v1",
        "TensorFlow V1 checkpoint (one table)",
        recognise_tf_v1,
        "Written by tf.train.Saver(write_version=V1). TensorFlow reads it: "
        "tf.train.load_checkpoint(path); save it again in "
        "V2 with tf.compat.v1.train.Saver.",
        family="tensorflow",
    ),
    _foreign(
        "torch-dcp",
        "metadata of a distributed PyTorch checkpoint (DCP)",
        recognise_dcp_metadata,
        "Name the folder, not this file; `python -m torch.distributed.checkpoint.format_utils "
        "dcp_to_torch {folder} {out}` makes one file of it.",
        family="torch",
    ),
    _foreign(
        "torch-tar",
        "PyTorch checkpoint of version 0.1 (tar)",
        recognise_torch_tar,
        "torch.load still reads it; load it and torch.save it again with a present version.",
        ".tar",
        ".pth.tar",
        family="torch",
    ),
    _foreign(
        "equinox",
        "equinox leaves after a line of JSON",
        recognise_equinox,
        "Read it with equinox.tree_deserialise_leaves after the first line, on a model built from that "
        "line's settings.",
        ".eqx",
        family="jax",
    ),
    _foreign(
        "flax-msgpack",
        "flax msgpack checkpoint",
        recognise_flax,
        "flax.serialization.msgpack_restore(open(path, 'rb').read()) reads it.",
        ".msgpack",
        family="jax",
    ),
    _foreign(
        "onnx",
        "ONNX model",
        looks_like_onnx,
        "An export of graph and weights; read it with the `onnx` package. Training goes on from the "
        "checkpoint it came from.",
        ".onnx",
        family="onnx",
    ),
    _foreign(
        "tf-meta-graph",
        "graph of a TensorFlow checkpoint (.meta)",
        looks_like_meta_graph,
        "This file holds the graph, not the values; name the checkpoint (the same path without .meta).",
        ".meta",
        family="tensorflow",
    ),
    _foreign(
        "tf-frozen-graph",
        "TensorFlow GraphDef (frozen graph)",
        looks_like_graph_def,
        "Its variables were turned into constants: it can be run, but no training goes on from it. Use "
        "the checkpoint it was "
        "frozen from.",
        ".pb",
        family="tensorflow",
    ),
    _foreign(
        "sharded-index",
        "index of shards",
        recognise_other_index,
        "The shards are neither safetensors nor PyTorch files; name one of them.",
        ".index.json",
    ),
    _foreign(
        "orbax",
        "metadata of an Orbax checkpoint",
        recognise_orbax_metadata,
        "Name the folder, not this file; orbax-checkpoint reads it.",
        family="jax",
    ),
    _foreign(
        "zip",
        "zip archive",
        looks_like_zip,
        "Not a checkpoint itself: unzip it and look inside (Stable-Baselines3 zips hold policy.pth and "
        "policy.optimizer.pth, which Holdfast reads).",
        ".zip",
    ),
    _foreign(
        "tar",
        "tar archive",
        lambda s: bool(tar_members(s, 1)),
        "Not a checkpoint itself: unpack it (tar xf) and name what is inside.",
        ".tar",
    ),
    _foreign(
        "gzip",
        "gzip-compressed file",
        lambda s: s.head(3) == b"\x1f\x8b\x08",
        "Unpack it first (gunzip, or tar xzf for .tar.gz) and name what is inside.",
        ".gz",
        ".tgz",
        ".tar.gz",
    ),
)
