"""safetensors: headers, shared tensors, metadata."""

from __future__ import annotations

from ..knowledge import Entry

_AGAIN = "Look at the file (`holdfast CKPT` says what it is and how much is there), and get it again from its source."


ENTRIES = (
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
        r"(?:deserializing header: ?|Safetensor\w*\()(?P<what>[\w ]+)|HeaderTooLarge|HeaderTooSmall"
        r"|InvalidHeader\w*|MetadataIncompleteBuffer",
        why=(
            "the header of the safetensors file makes no sense ({what}): it is truncated, half downloaded, a Git-LFS "
            "pointer, a web page, or another format"
        ),
        remedy=_AGAIN,
        confirm="Size and first bytes of the file.",
        also=("incomplete-save", "size-limit", "format-mismatch"),
        weight=0.9,
        types=("SafetensorError",),
        test="whole",
        example="safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
    ),
    Entry(
        "safetensors-shared",
        "unserialisable",
        ("share memory", "shared tensors"),
        r"Some tensors share memory|(?:contains|found|have) (?:non-)?shared tensors|shared tensors .{0,60}mismatch",
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
