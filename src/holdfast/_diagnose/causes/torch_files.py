"""``torch.load`` and safetensors: the bytes of the file, and what pickle makes of them."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look

_LOAD = (
    "load",
    "_load",
    "_legacy_load",
    "torch_load",
    "load_checkpoint",
    "from_pretrained",
    "load_from_checkpoint",
    "load_file",
)
_AGAIN = "Look at the file (`holdfast CKPT` says what it is and how much is there), and get it again from its source."
_LFS = "`git lfs pull`, or download the file itself; `holdfast CKPT` shows the pointer's size and hash."

_FIRST_BYTES = {
    "v": (
        "corrupt",
        "the file is a Git-LFS pointer (it begins with `version https://git-lfs...`), not the data",
        _LFS,
    ),
    "<": (
        "corrupt",
        "the file is a web page (it begins with `<`): a login, quota or error page was saved in its place",
        _AGAIN,
    ),
    "{": (
        "corrupt",
        "the file is JSON (an error message of a server, or a config), not a checkpoint",
        _AGAIN,
    ),
    "\\x00": (
        "corrupt",
        "the file is full of zeros: it was reserved and never written (a crash, a full disk, a torn copy)",
        _AGAIN,
    ),
    "\\x1f": (
        "format-mismatch",
        "the file is compressed (gzip): unpack it first",
        "gunzip it, or open it with `gzip.open`.",
    ),
    "\\x89": (
        "format-mismatch",
        "the file begins like HDF5 or PNG: it is no file of torch.save",
        "Load it with the tool that wrote it.",
    ),
    "h": ("format-mismatch", "the file does not begin as a pickle does; it may be another format", _AGAIN),
    "P": (
        "version-mismatch",
        "the file is a zip archive (torch 1.6 and later write these), which this reader does not know",
        "Upgrade PyTorch, or save with `_use_new_zipfile_serialization=False`.",
    ),
}


def first_byte(look: Look) -> list[Guess]:
    """What the byte at which unpickling failed says."""
    key = look.match["key"]
    label, why, remedy = _FIRST_BYTES.get(
        key, ("corrupt", f"the file does not begin as a pickle does (its first byte is {key!r})", _AGAIN)
    )
    sure = 0.92 if key in _FIRST_BYTES and key != "h" else 0.7
    guesses = [look.entry.guess(look, label, why=why, remedy=remedy, confidence=sure)]
    other = "corrupt" if label == "format-mismatch" else "format-mismatch"
    guesses.append(
        look.entry.guess(
            look, other, confidence=0.4, why="the file may be of another format, or damaged", remedy=_AGAIN
        )
    )
    return guesses


ENTRIES = (
    Entry(
        "pickle-invalid-load-key",
        "corrupt",
        ("invalid load key",),
        r"invalid load key, '(?P<key>\\?x?[0-9a-f]{2}|\\?.)'",
        why="",
        remedy="",
        weigh=first_byte,
        calls=_LOAD,
        test="whole",
        example="_pickle.UnpicklingError: invalid load key, 'v'.",
    ),
    Entry(
        "torch-zip-directory",
        "corrupt",
        ("failed finding central directory", "failed reading zip archive", "invalid header or archive"),
        r"PytorchStreamReader failed reading zip archive: (?P<what>[\w ]+)"
        r"|invalid header or archive is corrupted|failed finding central directory",
        why=(
            "the archive has no end: the file is truncated (half downloaded, killed while it was written) or was "
            "changed by a transfer"
        ),
        remedy=_AGAIN,
        confirm="The size of the file against that of its source.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="whole",
        example="RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
    ),
    Entry(
        "torch-zip-record",
        "corrupt",
        ("pytorchstreamreader failed", "failed reading file", "pytorchstreamreader"),
        r"PytorchStreamReader (?:failed )?(?:reading file|locating file|failed locating) ?(?P<record>[\w./]+)?",
        why="a record of the archive ({record}) cannot be read: the file is damaged, or is no file of torch.save",
        remedy=_AGAIN,
        also=("format-mismatch", "incomplete-save"),
        weight=0.78,
        test="whole",
        example="RuntimeError: PytorchStreamReader failed reading file data/12: file read failed",
    ),
    Entry(
        "torch-unexpected-eof",
        "corrupt",
        (
            "unexpected eof",
            "ran out of input",
            "unexpected pos",
            "pickle data was truncated",
            "storage has wrong size",
        ),
        r"unexpected EOF(?:, expected (?P<more>\d+) more bytes)?|Ran out of input|pickle data was truncated"
        r"|storage has wrong (?:byte )?size: expected (?P<want>-?\d+) got (?P<got>-?\d+)",
        why=(
            "the file ends before its data does: it is truncated (empty, half downloaded, or killed while it was "
            "written)"
        ),
        remedy=_AGAIN,
        confirm="The size of the file; `holdfast CKPT` says how many bytes are missing.",
        also=("incomplete-save", "concurrency"),
        weight=0.88,
        test="whole",
        context=("torch", "pickle"),
        example="RuntimeError: unexpected EOF, expected 4096 more bytes. The file might be corrupted.",
    ),
    Entry(
        "torch-magic-number",
        "version-mismatch",
        ("invalid magic number",),
        r"invalid magic number; corrupt file\?",
        why=(
            "the file is a pickle, and not one of torch.save: another program wrote it (plain pickle, joblib, a "
            "tar), or it is damaged"
        ),
        remedy="Load it with the tool that wrote it; `holdfast CKPT` says what it is.",
        also=("corrupt", "format-mismatch"),
        weight=0.5,
        test="whole",
        weigh=lambda look: [
            look.entry.guess(look, "format-mismatch", confidence=0.72),
            look.entry.guess(look, "corrupt", confidence=0.62),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ],
        example="RuntimeError: Invalid magic number; corrupt file?",
    ),
    Entry(
        "torch-unpickling",
        "corrupt",
        ("unpicklingerror", "unpickling"),
        r"UnpicklingError: (?P<what>(?:A load persistent id|unpickling stack underflow|invalid opcode"
        r"|could not find MARK|STACK_GLOBAL|pickle exhausted|bad )[^.]{0,80})",
        why="the file is no pickle of torch.save, or its bytes are damaged ({what})",
        remedy=_AGAIN,
        also=("format-mismatch",),
        weight=0.7,
        test="whole",
        example=(
            "_pickle.UnpicklingError: A load persistent id instruction was encountered, but no persistent_load "
            "function was specified."
        ),
        weigh=lambda look: [
            look.entry.guess(
                look, "format-mismatch" if "persistent" in look.match[0] else "corrupt", confidence=0.75
            ),
            look.entry.guess(
                look, "corrupt" if "persistent" in look.match[0] else "format-mismatch", confidence=0.45
            ),
        ],
    ),
    Entry(
        "safetensors-header",
        "corrupt",
        (
            "error while deserializing header",
            "headertoolarge",
            "headertoosmall",
            "invalidheader",
            "metadataincompletebuffer",
            "incompletemetadata",
        ),
        r"(?:deserializing header: ?|Safetensor\w*\()(?P<what>[\w ]+)|HeaderTooLarge|HeaderTooSmall"
        r"|InvalidHeader\w*|MetadataIncompleteBuffer",
        why=(
            "the header of the safetensors file makes no sense ({what}): it is truncated, half downloaded, a Git-LFS "
            "pointer, a web page, or another format"
        ),
        remedy=_AGAIN,
        confirm="Size and first bytes of the file.",
        also=("incomplete-save", "format-mismatch"),
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
        ('metadata.get("format")', "metadata.get('format')", "does not contain the valid metadata"),
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
    Entry(
        "torch-weights-only",
        "unsafe-pickle",
        ("weights_only", "weights only load failed", "unsupported global", "add_safe_globals"),
        r"Weights only load failed|Unsupported (?:global|operand|class)[: ]+(?:GLOBAL )?(?P<what>[\w.]+)?"
        r"|add_safe_globals|WeightsUnpickler error",
        why=(
            "torch 2.6 reads with weights_only=True by default, and the file names something outside its allow-list "
            "({what})"
        ),
        remedy=(
            "Allow just this class (`torch.serialization.add_safe_globals([...])`) where you trust the file; "
            "`holdfast CKPT` lists every global in it "
            "without running it. weights_only=False runs whatever the file says."
        ),
        confirm="`holdfast CKPT` lists the globals (X rules).",
        also=("version-mismatch", "custom-object"),
        weight=0.9,
        test="pickle",
        types=("UnpicklingError",),
        calls=_LOAD,
        example=(
            "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded... GLOBAL "
            "numpy.core.multiarray.scalar was not an allowed global by default."
        ),
    ),
    Entry(
        "numpy-object-arrays",
        "unsafe-pickle",
        ("allow_pickle",),
        r"Object arrays cannot be loaded when allow_pickle=False"
        r"|cannot load file containing pickled data when allow_pickle=False",
        why="the file holds pickled objects, which numpy 1.16.3 and later read only where that is allowed",
        remedy="Where you trust the file: `np.load(..., allow_pickle=True)`, and save plain arrays the next time.",
        also=("version-mismatch", "corrupt"),
        weight=0.9,
        example="ValueError: Object arrays cannot be loaded when allow_pickle=False",
    ),
    Entry(
        "numpy-no-file-of-its",
        "corrupt",
        ("failed to interpret file", "cannot reshape array of size", "not a zip file"),
        r"Failed to interpret file .{0,120}? as a pickle|(?:BadZipFile: )?File is not a zip file"
        r"|Bad CRC-32 for file|Bad magic number for (?:central directory|file header)",
        why="the archive is damaged or truncated, or is another kind of file",
        remedy=_AGAIN,
        also=("format-mismatch", "incomplete-save"),
        weight=0.82,
        test="whole",
        types=("BadZipFile",),
        calls=("load", "load_model"),
        example="zipfile.BadZipFile: File is not a zip file",
    ),
    Entry(
        "torch-newer-file",
        "version-mismatch",
        (
            "kmaxsupportedfileformatversion",
            "maximum supported version for reading",
            "your pytorch installation may be too old",
        ),
        r"Attempted to read a PyTorch file with version (?P<file>\d+), but the maximum supported version for"
        r" reading is (?P<most>\d+)|kMaxSupportedFileFormatVersion",
        why="the file was written by a newer PyTorch (file version {file}; this one reads up to {most})",
        remedy="Upgrade PyTorch, or save again with the older one.",
        weight=0.96,
        example=(
            "RuntimeError: version_ <= kMaxSupportedFileFormatVersion INTERNAL ASSERT FAILED: Attempted to read a "
            "PyTorch file with version 3, but the maximum supported version for reading is 2."
        ),
    ),
    Entry(
        "torch-rebuild-missing",
        "version-mismatch",
        ("_rebuild_", "can't get attribute"),
        r"(?:Can't get attribute|has no attribute) '(?P<what>_rebuild_\w+|_load_from_bytes|OrderedDict)'",
        why="the file uses `{what}`, which this version of PyTorch does not have",
        remedy="Upgrade PyTorch to the version that wrote it, or newer.",
        weight=0.93,
        example="AttributeError: Can't get attribute '_rebuild_parameter' on <module 'torch._utils'>",
    ),
    Entry(
        "torch-legacy-tar",
        "format-mismatch",
        ("torch.jit.load", "torchscript archive", "appears to be a tar", "is a zip archive(did you mean"),
        r"is a zip archive\s?\(did you mean to use torch\.jit\.load|looks like a TorchScript archive"
        r"|Cannot use `+weights_only=True`+ with (?:TorchScript|files saved in the legacy)|\.pt is a tar"
        r"|legacy \.tar",
        why="the file is of another kind than this call reads (TorchScript, or the old tar container)",
        remedy="Use `torch.jit.load` for TorchScript; `holdfast CKPT` says what the file is.",
        weight=0.9,
        also=("version-mismatch",),
        test="whole",
        example="RuntimeError: model.pt is a zip archive(did you mean to use torch.jit.load()?)",
    ),
    Entry(
        "torch-hub-hash",
        "corrupt",
        ("invalid hash value",),
        r"invalid hash value \(expected \"?(?P<want>\w+)\"?, got \"?(?P<got>\w+)",
        why="the downloaded file has another hash than its name says",
        remedy="Delete it from the cache and download it again.",
        weight=0.95,
        test="whole",
        example='RuntimeError: invalid hash value (expected "b627a593", got "0000aaaa")',
    ),
    Entry(
        "state-dict-key-error",
        "format-mismatch",
        (
            "keyerror: 'state_dict'",
            "keyerror: 'model'",
            "keyerror: 'model_state_dict'",
            "keyerror: 'net'",
            "keyerror: 'optimizer",
            "keyerror: 'epoch'",
            "keyerror: 'pytorch-lightning_version'",
        ),
        r"KeyError: '(?P<key>state_dict|model|model_state_dict|net|optimizer\w*|epoch|pytorch-lightning_version"
        r"|module)'",
        why=(
            "the file has no entry `{key}`: it is a bare state dict, another tool's checkpoint, or one part of a "
            "sharded one"
        ),
        remedy=(
            "Look what is in it (`holdfast inspect CKPT`), and load it with the tool that wrote it; a DeepSpeed or "
            "FSDP folder is gathered first (`zero_to_fp32.py`)."
        ),
        types=("KeyError",),
        also=("missing-tensor", "renamed"),
        weight=0.82,
        test="names",
        example="    keys = obj.load_state_dict(checkpoint[\"state_dict\"], strict=strict)\nKeyError: 'state_dict'",
    ),
    Entry(
        "load-state-dict-attribute",
        "format-mismatch",
        (
            "has no attribute 'state_dict'",
            "has no attribute 'copy'",
            "has no attribute 'keys'",
            "has no attribute 'load_state_dict'",
            "expected state_dict to be dict-like",
            "has no attribute 'items'",
        ),
        r"'(?P<kind>\w+)' object has no attribute '(?:copy|keys|items)'"
        r"|Expected state_dict to be dict-like, got <class '(?P<got>[\w.]+)'|'(?:dict|OrderedDict"
        r"|collections\.OrderedDict)' object has no attribute '(?P<call>eval|to|cuda|parameters|load_state_dict"
        r"|state_dict|forward|train)'",
        why="a whole model was saved where a state dict is wanted, or the other way round",
        remedy="`model.load_state_dict(sd)` wants a dict of tensors; a saved module is `torch.load(...)` itself.",
        calls=("load_state_dict", "load"),
        context=("state_dict", "torch.load"),
        only_in=True,
        weight=0.86,
        test="names",
        example=(
            "    model.load_state_dict(torch.load('m.pt'))\nTypeError: Expected state_dict to be dict-like, got "
            "<class 'net.Net'>."
        ),
    ),
)
