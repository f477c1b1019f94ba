"""TensorFlow's tensor bundle (checkpoint format V2): ``<prefix>.index`` and ``<prefix>.data-00000-of-00001``.

The index is an immutable table (:mod:`.tf_table`) whose first, empty key bears the header and whose other
keys are tensor names with dtype, shape, shard, offset, size and crc32c (:mod:`.tf_entries`). The shards hold
nothing but bytes. Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.{h,cc}, naming.cc.
"""

from __future__ import annotations

from ..._core.errors import DamagedCheckpoint
from ..._storage import Source, Store
from ..registry import Format
from .catalog import BundleCatalog
from .saved_model import looks_like_saved_model, open_saved_model
from .table import looks_like_table

__all__ = ["FORMATS", "open_bundle"]


def looks_like_bundle(source: Source) -> bool:
    """Whether a file is a bundle's index: a table whose first key is empty (the header's).

    Other LevelDB tables (V1 checkpoints, Caffe2 and MXNet stores) begin with another key or another value.
    """
    if not looks_like_table(source):
        return False
    head = source.head(64)
    # A raw block begins "shared 0, non-shared 0, length n" and then the header's first field, num_shards. A
    # compressed one begins with its decompressed length and a literal of the same bytes.
    if head[:2] == b"\0\0" and 0 < head[2] < 0x80 and head[3:4] == b"\x08":
        return True
    at = next((i + 1 for i, byte in enumerate(head[:5]) if byte < 0x80), 5)
    if head[at] & 3:
        return False
    at += 1 + max(0, (head[at] >> 2) - 59)
    return head[at : at + 2] == b"\0\0" and head[at + 3 : at + 4] == b"\x08"


def open_bundle(source: Source, store: Store) -> BundleCatalog:
    """The bundle of an index file; ``store`` is the folder it lies in.

    Raises :class:`DamagedCheckpoint` (and its kinds) when the index cannot be read at all. Missing or short
    shards are faults of the catalog; only ``read`` of a tensor that lies there raises.
    """
    name = source.name.replace("\\", "/").rsplit("/", 1)[-1]
    prefix = name[: -len(".index")] if name.endswith(".index") else name
    try:
        return BundleCatalog(source, store, prefix)
    except DamagedCheckpoint as error:
        if error.file is None:
            error.file = source.name
        raise


FORMATS: tuple[Format, ...] = (
    Format(
        "tf-bundle",
        "TensorFlow checkpoint (tensor bundle V2)",
        looks_like_bundle,
        open_bundle,
        suffixes=(".index",),
        family="tensorflow",
    ),
    Format(
        "savedmodel",
        "TensorFlow SavedModel",
        looks_like_saved_model,
        open_saved_model,
        suffixes=(".pb",),
        family="tensorflow",
    ),
)
