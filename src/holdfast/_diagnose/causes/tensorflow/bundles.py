"""TensorFlow: what the readers and writers of a checkpoint's own files say, in C++.

Messages: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, tensorflow/core/util/tensor_slice_{reader,writer}.cc,
tensorflow/core/lib/io/{format,block,table}.cc, tensorflow/core/kernels/{save_restore_v2_ops,save_restore_tensor}.cc.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps

_VERIFY = "`holdfast verify PREFIX` names what is damaged; get index and data again from one save, or take an older one."


def file_gone(look: Look) -> list[Guess]:
    """Of a SavedModel the folder is there, and a part of it is not; a prefix may be another one's."""
    part = re.search(r"\.(?:index|data-\d+-of-\d+)$", look.facts().get("path", "")) is not None
    rows = (
        ("incomplete-save", 0.84 if part else 0.6),
        ("not-found", 0.76 if part else 0.86),
        ("retention", 0.4),
    )
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def of_a_table(look: Look) -> list[Guess]:
    """The words for tables of LevelDB's kind, in which other programs keep other things."""
    others = (
        re.search(r"rocksdb|leveldb|lmdb|ext4|inode|/dev/|\bredis", look.reading.lower)
        and not look.around.storing
    )
    sure = 0.3 if others else 0.86
    rows = (("corrupt", sure), ("incomplete-save", sure * 0.7), ("version-mismatch", sure * 0.5))
    return [look.entry.guess(look, label, confidence=level) for label, level in rows]


ENTRIES = (
    Entry(
        "tf-bundle-unreadable",
        "corrupt",
        (
            "perhaps the file is corrupt or was produced by a newer",
            "string lengths longer than expected",
            "length checksum does not match",
            "varianttensordataproto",
            "the checksum after variant",
            "not parseable",
            "the record for tensor",
            "invalid tensor shape: ",
            "failed to seek to header entry",
            "bad block handle",
            "bad entry in block",
            "bad block type",
            "truncated block read",
            "bad block contents",
        ),
        r"Perhaps the file is corrupt or was produced by a newer|String lengths longer than expected offset"
        r"|length checksum does not match: expected|parse VariantTensorDataProto"
        r"|The checksum after Variant \d+ does not match"
        r"|Entry for key (?P<tensor>\S*) not parseable|Failed to (?:seek to"
        r"|parse) the record for tensor (?P<tensor2>\S+)"
        r"|Invalid tensor shape: (?P<tensor3>\S+) dim \{|failed to seek to header entry"
        r"|bad (?:block (?:handle|type|contents)|entry in block)|truncated block read",
        why="the index or a data file of the checkpoint contradicts itself ({tensor}): bytes were changed or cut "
        "off, or they "
        "are of two different saves",
        remedy=_VERIFY,
        where=apart_from_steps,
        weigh=of_a_table,
        types=("DataLossError",),
        test="whole",
        example="DataLossError: Entry for key dense/kernel not parseable.",
    ),
    Entry(
        "tf-no-slices-at-head",
        "format-mismatch",
        ("failed to find the saved tensor slices at the beginning", "failed to read checkpoint file"),
        r"(?:Failed to find the saved tensor slices at the beginning of the"
        r"|Failed to read) checkpoint file:? ?(?P<path>\S+)?",
        why="`{path}` was read as a checkpoint of the first format (one file), and is none: an index, a part of a "
        "newer "
        "checkpoint, or a file that is damaged",
        remedy="Give the prefix, without `.index` and `.data-...`; `holdfast PATH` says what the file is and "
        "whether it is whole.",
        weigh=ranked(("format-mismatch", 0.78), ("corrupt", 0.74), ("version-mismatch", 0.42)),
        test="whole",
        example="DataLossError: Failed to find the saved tensor slices at the beginning of the checkpoint file: "
        "m.ckpt",
    ),
    Entry(
        "tf-parts-not-merged",
        "concurrency",
        (
            "merging bundles with",
            "at least one prefix checkpoint file must exist",
            "attempting to merge in a non-slice",
        ),
        r"Merging bundles with (?:conflicting|different) (?P<what>[\w ]+?)[:;]"
        r"|At least one prefix checkpoint file must exist"
        r"|Duplicate tensor keyed by (?P<tensor>\S+); attempting to merge in a non-slice",
        why="the parts that several tasks wrote do not make one checkpoint: some are of another save or program, "
        "or another "
        "process has taken them away",
        remedy="Give every run (and every worker that is not the chief) a folder of its own, remove what `*_temp` "
        "folders are "
        "left, and save again.",
        weigh=ranked(
            ("concurrency", 0.74), ("topology", 0.7), ("incomplete-save", 0.6), ("version-mismatch", 0.5)
        ),
        example="InvalidArgumentError: At least one prefix checkpoint file must exist, but none existed.",
    ),
    Entry(
        "tf-file-of-prefix-gone",
        "not-found",
        ("; no such file",),
        r"(?P<path>\S*variables/variables\.(?:index|data-\S+?)); No such file"
        r"|(?P<path2>\S+); No such file or directory.{0,40}(?:Op:Restore(?:V2|Slice)?\]|node save\w*/Restore)",
        why="`{path}` is not there: another folder or prefix was given, or not all files of the save were copied",
        remedy="`holdfast FOLDER` lists what is there and what is missing; copy index and data files together.",
        weigh=file_gone,
        test="path",
        example="NotFoundError: export/1/variables/variables.index; No such file or directory",
    ),
    Entry(
        "tf-shard-size",
        "size-limit",
        ("partitioned into a shard of max shard size", "is larger than the remaining shard size"),
        r"cannot be partitioned into a shard of max shard size (?P<want>\d+)|is larger than the remaining shard size",
        why="one value cannot be cut to the size that a file of the checkpoint may have ({want} bytes): its file is larger",
        remedy="Give `MaxShardSizePolicy` a larger size, at least a row of the largest variable.",
        weigh=ranked(("size-limit", 0.86), ("topology", 0.5), ("storage", 0.3)),
        example="Tensor emb's minimum slice 0,1:- has size 4096 bytes and cannot be partitioned into a shard of max shard "
        "size 1024 bytes.",
    ),
    Entry(
        "tf-other-byte-order",
        "format-mismatch",
        ("different endianness",),
        r"TensorBundle[^\n]{0,300}? different endianness (?:than|from)",
        why="the checkpoint was written on a machine of the other byte order (s390x, old PowerPC)",
        remedy="Restore it there, and export the values (`np.savez`, safetensors); TensorFlow from 2.5 swaps plain "
        "tensors itself.",
        weigh=ranked(("format-mismatch", 0.76), ("version-mismatch", 0.66), ("device-mismatch", 0.5)),
        example="UnimplementedError: TensorBundle at run/m-1 is of a different endianness than this machine's "
        "hardware",
    ),
    Entry(
        "tf-variant-unknown",
        "custom-object",
        ("register_unary_variant_decode_function", "could not decode variant"),
        r"Could not decode variant with type_name: \"(?P<name>[^\"]+)|REGISTER_UNARY_VARIANT_DECODE_FUNCTION",
        why="the checkpoint holds a value of a C++ type (`{name}`) that this program's libraries do not register",
        remedy="Import the package whose operations made it before restoring, in the version that saved.",
        weigh=ranked(("custom-object", 0.84), ("version-mismatch", 0.7), ("unserialisable", 0.4)),
        example='InternalError: Could not decode variant with type_name: "custom::Tree".',
    ),
    Entry(
        "tf-type-not-written",
        "unserialisable",
        ("tensor slice serialization not implemented", "not supported yet for saving"),
        r"Tensor slice serialization not implemented for dtype (?P<dtype>\w+)"
        r"|(?P<dtype2>\w+) is not supported yet for saving",
        why="the first checkpoint format cannot hold values of this type ({dtype})",
        remedy="Save in the second format (`write_version=tf.train.SaverDef.V2`, the standard), or leave the value "
        "out.",
        weigh=ranked(("unserialisable", 0.8), ("dtype-mismatch", 0.74), ("version-mismatch", 0.4)),
        example="UnimplementedError: Tensor slice serialization not implemented for dtype 20",
    ),
    Entry(
        "tf-partitions-not-covered",
        "topology",
        (
            "does not have sufficient slices",
            "mixing slices and non-slices",
            "slices must all be ",
            "containing partition variables",
        ),
        r"Does not have sufficient slices for partitioned tensor (?P<tensor>\S+)"
        r"|Mixing slices and non-slices with the same name: (?P<tensor2>\S+)"
        r"|Slices must all be (?:from the same tensor|slices|Variables)|containing partition variables",
        why="`{tensor}` is cut into parts, and the parts that are saved and those that are asked for are not the "
        "same",
        remedy="Restore with the partitioner and the number of servers that saved; or read it whole "
        "(tf.train.load_variable) "
        "and save it without parts.",
        weigh=ranked(("topology", 0.86), ("missing-tensor", 0.5), ("format-mismatch", 0.44)),
        example="InvalidArgumentError: Does not have sufficient slices for partitioned tensor emb to restore in "
        "slice_spec: 0,500:-",
    ),
)
