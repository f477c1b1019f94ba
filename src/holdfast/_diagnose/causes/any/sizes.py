"""Sizes that a format, a writer or a store does not take: 2 and 4 GB, HDF5's headers and chunks, messages, uploads."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing, storing_or_alone

_SHARDS = "Save in shards or parts, or in a format without that limit (safetensors, Orbax, `.keras`)."

ENTRIES = (
    Entry(
        "length-turned-negative",
        "size-limit",
        ("length", "size", "count", "shape", "dimension", "bytes", "storage"),
        r"(?:length|size|count|shape|dimension|bytes|storage)\w*\b[^.;\n]{0,60}?(?:>= ?0|positive|negative|must be|got"
        r"|invalid)[^.;\n]{0,40}?-\d{9,}",
        why="a length of more than 2 GB was taken for a number of 32 bits, and turned negative",
        remedy=_SHARDS,
        where=storing_or_alone,
        also=("corrupt", "version-mismatch"),
        weight=0.8,
        example="ValueError: Array length must be >= 0, not -2298478592",
    ),
    Entry(
        "proto-serialised-size",
        "size-limit",
        (
            "serialized size",
            "to serialize message of type",
            "encodeerror",
            "failed to serialize proto",
            "failed to serialize graph",
            "failed to serialize message",
            "failed to serialize the",
            "content is larger than",
            "content exceeds",
        ),
        r"serialized size \(?(?P<size>\d+) ?(?:bytes)?\)? would be larger than the limit"
        r"|to serialize message of type '?(?P<kind>[\w.]+)'? and size (?P<size2>\d+)"
        r"|(?<!Unicode)EncodeError|Failed to serialize (?:the )?(?:proto|graph|message)|content (?:is larger than"
        r"|exceeds) \d ?GB",
        why=(
            "what is written as one protocol buffer is larger than the 2 GB that those take ({size} bytes): "
            "arrays were baked into the graph as constants, or it was built several times"
        ),
        remedy=(
            "Keep values out of the graph (variables, not constants; `save_weights`); build it once; save the weights "
            "apart from the graph."
        ),
        weigh=ranked(("size-limit", 0.92), ("graph-lifecycle", 0.5), ("memory", 0.46)),
        example="ValueError: Cannot serialize protocol buffer of type tensorflow.GraphDef as the serialized size "
        "(2300000000bytes) would be larger than the limit (2147483647 bytes)",
    ),
    Entry(
        "number-does-not-fit",
        "size-limit",
        ("format requires", "overflowerror", "storage size calculation overflowed", "struct.error"),
        r"struct\.error: (?:'[a-z]' format requires|(?:int|argument) out of range)"
        r"|OverflowError: (?:signed integer is greater|Python int too large|size does not fit|cannot fit 'int'"
        r"|(?:string|str|bytes|memoryview)\b.{0,40}?(?:longer|larger)|value too large)|Storage size calculation overflowed",
        why="a length is written as a number of 32 bits, and this one is larger: one piece of the state is over 2 or 4 GB",
        remedy=_SHARDS,
        where=storing,
        also=("version-mismatch", "unserialisable"),
        weight=0.78,
        example="torch.save(state, path)\nstruct.error: 'i' format requires -2147483648 <= number <= 2147483647",
    ),
    Entry(
        "hdf5-sizes",
        "size-limit",
        ("hdf5 file because they are larger", "chunk s", "compact dataset size", "chunk must be"),
        r"cannot be saved to HDF5 file because they are larger than (?P<limit>\d+) bytes"
        r"|chunk (?:size|shape|must be).{0,40}?(?:< ?4 ?G|4 ?Gi?B|not be greater|too large)|compact dataset size is bigger",
        why="HDF5 takes 64 KB for an attribute and 4 GB for a chunk, and this is larger: very many or very long names, or one "
        "huge tensor",
        remedy="Use `.weights.h5` or `.keras` of Keras 3, shorter names, or several tensors in place of one.",
        weight=0.93,
        example="RuntimeError: The following attributes cannot be saved to HDF5 file because they are larger than 64512 "
        "bytes: ['a/b/c']",
    ),
    Entry(
        "upload-too-large",
        "size-limit",
        (
            "entitytoolarge",
            "entity too large",
            "exceeds the maximum allowed size",
            "exceeds github's file size limit",
            "larger than max (",
            "request body is too large",
            "requestbodytoolarge",
            "exceeded the maximum file size",
            "exceeds the limit of",
        ),
        r"EntityTooLarge|Entity Too Large|exceeds the maximum allowed size"
        r"|exceeds GitHub's file size limit(?: of (?P<limit>[\d.]+ \w+))?"
        r"|message larger than max \((?P<size>\d+) vs\.? (?P<limit2>\d+)\)|RequestBodyTooLarge|request body is too large"
        r"|exceeded the maximum file size|(?:file|model|checkpoint|artifact|upload)\b.{0,60}exceeds the limit of",
        why="the file is larger than the store or the message channel takes at once ({limit})",
        remedy="Upload in parts (multipart, Git-LFS), raise the limit of the channel, or save in shards.",
        where=storing_or_alone,
        also=("storage", "memory"),
        weight=0.88,
        example="botocore.exceptions.ClientError: An error occurred (EntityTooLarge) when calling the PutObject operation: "
        "Your proposed upload exceeds the maximum allowed size (model.pt)",
    ),
    Entry(
        "object-too-large",
        "size-limit",
        ("is too large", "is too big", "too large to"),
        r"\b(?:bytes|str|string|memoryview|bytearray|array|dict|list)(?: object)? is too (?:large|big)"
        r"|too large to (?:serialize|be (?:saved|stored|serialized|pickled|written)|save|write|pickle|fit in)",
        why="one object is larger than the format takes at once",
        remedy=_SHARDS,
        where=storing_or_alone,
        also=("memory", "version-mismatch"),
        weight=0.78,
        example="ValueError: bytes object is too large (flax.serialization.msgpack_serialize)",
    ),
    Entry(
        "over-two-gigabytes",
        "size-limit",
        ("2147483647", "4294967295", "2 gb", "2gb", "4 gb", "4gb", "2 gib", "4 gib", "2gib", "4gib"),
        r"(?:\b(?:limit|maximum|max|at most|less than|smaller than|up to|exceed\w*|greater than|larger than|more than|over)"
        r"|[<>]=?)"
        r" ?(?:of |is )?\(?(?:2147483647|4294967295|2 ?Gi?B|4 ?Gi?B)\b",
        why="something that is saved passes a limit of 2 or 4 GB",
        remedy=_SHARDS,
        where=storing,
        weigh=ranked(("size-limit", 0.66), ("memory", 0.44), ("version-mismatch", 0.36)),
        example="saver.save: InternalError: the tensor is larger than 2GB",
    ),
    Entry(
        "numpy-header-length",
        "size-limit",
        ("header info length",),
        r"Header info length \(?(?P<size>\d+)\)? is large",
        why="the header of the numpy file is {size} characters long, more than the reader takes unasked",
        remedy="`np.load(..., max_header_size=...)` where the file is trusted; save plain arrays, not structured ones.",
        also=("corrupt", "unsafe-pickle"),
        weight=0.8,
        example="ValueError: Header info length (12000) is large and may not be safe to load securely.",
    ),
)
