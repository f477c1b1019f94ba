"""safetensors: headers, shared tensors, metadata."""

from __future__ import annotations

from dataclasses import replace

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone

_AGAIN = "Look at the file (`holdfast CKPT` says what it is and how much is there), and get it again from its source."


_CODES = {
    2: "not-found", 3: "not-found", 5: "storage", 8: "memory", 12: "memory", 13: "storage", 14: "memory", 19: "storage",
    22: "storage", 28: "storage", 30: "storage", 32: "concurrency", 95: "storage", 112: "storage", 116: "storage",
    122: "storage", 123: "not-found", 1224: "storage", 1455: "memory", 1450: "memory",
}  # fmt: skip
"""What an operating system's number stands for (Linux' errno and Windows' system error codes): a label."""


def by_the_number(look: Look) -> list[Guess]:
    """The operating system's own number tells what the reader or writer ran into."""
    facts = look.facts()
    said = look.match[0].lower()
    label = _CODES.get(int(facts.get("code") or 0), "storage")
    if "notfound" in said:
        label = "not-found"
    found = [look.entry.guess(look, label)]
    if label != "storage":
        found.append(look.entry.guess(look, "storage", confidence=0.6))
    if facts.get("code") in ("1224", "5", "32"):
        why = "the file is still open or mapped (it was loaded from there): Windows does not let it be replaced meanwhile"
        found.append(look.entry.guess(look, "concurrency", confidence=0.7, why=why))
    else:
        found.append(look.entry.guess(look, "incomplete-save", confidence=0.5))
    return found


def header_of_another_version(look: Look) -> list[Guess]:
    """A header that is whole and that this version cannot read: newer number types (8 bits), newer fields."""
    first = look.entry.guess(look)
    lower = look.reading.lower
    unknown = "header: unknown variant" in lower  # it names the number type that it does not know
    if not unknown and "invalidheaderdeserialization" not in lower:
        return [first]
    why = "the header is whole, and this safetensors does not know a number type (8-bit floats) or a field in it: it is older"
    return [
        replace(first, confidence=0.6) if unknown else first,
        look.entry.guess(
            look,
            "version-mismatch",
            confidence=0.94 if unknown else 0.6,
            why=why,
            remedy="Upgrade safetensors, and read again.",
        ),
    ]


ENTRIES = (
    Entry(
        "safetensors-system",
        "storage",
        ("os {", "ioerror(", "i/o error", "os error", "kind: "),
        r"(?:IoError\(|I/O error|kind: (?:\w+)|Os \{).{0,300}?(?:code: (?P<code>\d+)|\(os error (?P<code2>\d+)\)|kind: \w+)"
        r"|\(os error (?P<code3>\d+)\)",
        why="the operating system refused (its error {code}): disk, permission, a file that is open elsewhere, or memory",
        remedy=(
            "Write into another folder than the model was loaded from, with room and permission; close what holds the file "
            "(or load a copy of the tensors)."
        ),
        where=storing_or_alone,
        weigh=by_the_number,
        weight=0.84,
        test="space",
        example='SafetensorError: Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "full" })',
    ),
    Entry(
        "safetensors-header",
        "corrupt",
        (
            "headertoolarge",
            "headertoosmall",
            "invalidheader",
            "metadataincompletebuffer",
            "deserializing header:",
            "safetensor",
        ),
        r"(?:deserializing header: ?|Safetensor\w*\()(?P<what>\w+(?: \w+)*)|HeaderTooLarge|HeaderTooSmall"
        r"|InvalidHeader(?!Error)\w*|MetadataIncompleteBuffer",
        why=(
            "the header of the safetensors file makes no sense ({what}): it is truncated, half downloaded, a Git-LFS "
            "pointer, a web page, or another format"
        ),
        remedy=_AGAIN,
        confirm="Size and first bytes of the file.",
        also=("incomplete-save", "size-limit", "format-mismatch"),
        weigh=header_of_another_version,
        weight=0.9,
        types=("SafetensorError",),
        test="whole",
        example="safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
    ),
    Entry(
        "bytes-no-multiple",
        "incomplete-save",
        ("must be divisible by", "buffer size must be a multiple of"),
        r"self\.size\(-1\) must be divisible by (?P<size>\d+) to view \w+ as \w+"
        r"|buffer size must be a multiple of element size",
        why="the bytes of a tensor end within a number: the file was downloaded or copied in part",
        remedy=_AGAIN,
        where=loading_or_alone,
        weigh=ranked(("incomplete-save", 0.84), ("corrupt", 0.8), ("dtype-mismatch", 0.5)),
        test="whole",
        example="RuntimeError: self.size(-1) must be divisible by 4 to view Byte as Float (different sizes), but got 7021",
    ),
    Entry(
        "safetensors-taken-for-pickle",
        "format-mismatch",
        (".safetensors",),
        r"pickled file from \S[^\n]{0,200}\.safetensors|\.safetensors\b.{0,300}?(?:File is not a zip file|BadZipFile)",
        why="a safetensors file is read as if it were a pickle (a .ckpt or .pt)",
        remedy="Read it with `safetensors.torch.load_file`, or a version of the program that goes by the file's ending.",
        weigh=ranked(("format-mismatch", 0.95), ("version-mismatch", 0.7), ("corrupt", 0.6)),
        test="whole",
        example="Error verifying pickled file from models/x.safetensors: File is not a zip file",
    ),
    Entry(
        "safetensors-shared",
        "unserialisable",
        ("share memory", "shared tensors", "tensor sharing"),
        r"Some tensors share memory|(?:contain\w*|found|have) (?:non-)?shared tensors|shared tensors .{0,300}mismatch"
        r"|remove this tensor sharing",
        why="safetensors cannot write tensors that share memory (tied weights, views of one buffer)",
        remedy=(
            "Save with `safetensors.torch.save_model(model, ...)`, or drop the tied name and tie again after "
            "loading; under ZeRO or FSDP gather the "
            "full weights first."
        ),
        also=("topology", "other"),
        weight=0.9,
        calls=("save_file", "save", "save_pretrained"),
        example=(
            "RuntimeError: Some tensors share memory, this will lead to duplicate memory on disk and potential "
            "differences when loading them again"
        ),
    ),
    Entry(
        "safetensors-contiguous",
        "unserialisable",
        ("non contiguous tensor",),
        r"You are trying to save a non contiguous tensor: `?(?P<tensor>[\w.]+)",
        why="`{tensor}` is a strided view, which safetensors does not write",
        remedy="Save `tensor.contiguous()`.",
        weight=0.92,
        example="ValueError: You are trying to save a non contiguous tensor: `fc.weight` which is not allowed.",
    ),
    Entry(
        "safetensors-metadata-format",
        "format-mismatch",
        ("does not contain the valid metadata", "format"),
        r"metadata(?:\.get\(|\[)[\"']format[\"']"
        r"|The safetensors archive passed at .{1,200}? does not contain the valid metadata",
        why=(
            "the safetensors file has no `format` in its metadata, which this version of transformers asks for: "
            "another tool wrote it"
        ),
        remedy=(
            "Save it again with `metadata={{'format': 'pt'}}`, or use a version of transformers that tolerates its "
            "absence."
        ),
        also=("version-mismatch",),
        weight=0.88,
        types=("AttributeError", "OSError"),
        example="    if metadata.get(\"format\") == \"pt\":\nAttributeError: 'NoneType' object has no attribute 'get'",
    ),
)
