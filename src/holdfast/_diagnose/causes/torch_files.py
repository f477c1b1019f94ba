"""``torch.load`` and safetensors: the bytes of the file, and what pickle makes of them."""

from __future__ import annotations

import re

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


def legacy_tar(look: Look) -> list[Guess]:
    """``tarfile`` takes a file of zeros for an empty archive, so that PyTorch calls such a file a legacy tar."""
    first = look.entry.guess(look)
    if "legacy .tar" not in look.reading.lower:
        return [first]
    why = "a file that begins with zeros (reserved and never written) is taken for an old tar container"
    return [first, look.entry.guess(look, "corrupt", confidence=0.7, why=why, remedy=_AGAIN)]


def weights_only(look: Look) -> list[Guess]:
    """Either a class outside the allow-list, or bytes that are no pickle: the message blames weights_only for both."""
    flat = look.reading.flat
    operand = re.search(r"Unsupported operand (\d+)", flat)
    if operand is not None and (byte := int(operand[1])) < 256:
        label, why, remedy = _FIRST_BYTES.get(
            chr(byte),
            (
                "corrupt",
                f"the bytes are no pickle of torch.save (0x{byte:02x} stands where an instruction should)",
                _AGAIN,
            ),
        )
        told = f"{why}; weights_only has nothing to do with it"
        return [
            look.entry.guess(look, label, why=told, remedy=remedy, confidence=0.9, test="whole"),
            look.entry.guess(
                look, "format-mismatch" if label == "corrupt" else "corrupt", confidence=0.4, test="whole"
            ),
        ]
    named = re.search(
        r"GLOBAL ([\w.]+) was not an allowed global|Unsupported (?:global|class)[: ]+(?:GLOBAL )?([\w.]+)",
        flat,
    )
    what = next((group for group in named.groups() if group), "") if named is not None else ""
    return [look.entry.guess(look, facts={"what": what} if what else {})]


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
            "pickle data was truncated",
            "storage has wrong size",
            "storage has wrong byte size: expected",
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
    Entry(
        "torch-weights-only",
        "unsafe-pickle",
        (
            "weights only load failed",
            "unsupported global",
            "add_safe_globals",
            "unsupported",
            "weightsunpickler error",
        ),
        r"Weights only load failed|Unsupported (?:global|operand|class)[: ]+(?:GLOBAL )?(?P<what>[\w.]+)?"
        r"|add_safe_globals|WeightsUnpickler error",
        weigh=weights_only,
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
        ("failed to interpret file", "not a zip file", "bad magic number for", "bad crc-32 for file"),
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
        ("_rebuild_", "can't get attribute", "has no attribute"),
        r"(?:Can't get attribute|has no attribute) '(?P<what>_rebuild_\w+|_load_from_bytes|OrderedDict)'",
        why="the file uses `{what}`, which this version of PyTorch does not have",
        remedy="Upgrade PyTorch to the version that wrote it, or newer.",
        weight=0.93,
        example="AttributeError: Can't get attribute '_rebuild_parameter' on <module 'torch._utils'>",
    ),
    Entry(
        "torch-legacy-tar",
        "format-mismatch",
        (
            "torch.jit.load",
            "torchscript archive",
            "saved in the legacy",
            "is a zip archive(did you mean",
            ".pt is a tar",
            "legacy .tar",
            "weights_only=true`",
        ),
        r"is a zip archive\s?\(did you mean to use torch\.jit\.load|looks like a TorchScript archive"
        r"|Cannot use `+weights_only=True`+ with (?:TorchScript|files saved in the legacy)|\.pt is a tar"
        r"|legacy \.tar",
        weigh=legacy_tar,
        why="the file is of another kind than this call reads (TorchScript, or the old tar container)",
        remedy="Use `torch.jit.load` for TorchScript; `holdfast CKPT` says what the file is.",
        weight=0.9,
        also=("version-mismatch",),
        test="whole",
        example="RuntimeError: model.pt is a zip archive(did you mean to use torch.jit.load()?)",
    ),
    Entry(
        "torch-bare-eof",
        "corrupt",
        ("eoferror",),
        r"\bEOFError(?!\w)",
        why=(
            "the file ends before its data does: it is empty or truncated (half downloaded, or killed while it was "
            "written)"
        ),
        remedy=_AGAIN,
        types=("EOFError",),
        calls=("load", "_legacy_load", "_load", "legacy_load"),
        context=("torch", "pickle", "joblib"),
        only_in=True,
        also=("incomplete-save", "concurrency"),
        weight=0.8,
        test="whole",
        example=(
            '  File "torch/serialization.py", line 1, in _legacy_load\n    magic_number = '
            "pickle_module.load(f)\nEOFError"
        ),
    ),
    Entry(
        "torch-reader-invalid",
        "corrupt",
        ("errno 22",),
        r"\[Errno 22\] Invalid argument",
        why=(
            "the reader was sent to a place that the file does not have: its directory of records is damaged or cut "
            "off"
        ),
        remedy=_AGAIN,
        calls=("_open_zipfile_reader", "load", "_load"),
        context=("pytorchfilereader",),
        only_in=True,
        also=("storage", "incomplete-save"),
        weight=0.72,
        test="whole",
        weigh=lambda look: (
            [look.entry.guess(look)]
            if "pytorchfilereader" in look.reading.lower
            or ("serialization.py" in look.reading.files and "load" in look.reading.calls)
            else []
        ),
        example=(
            '  File "torch/serialization.py", line 807, in load\n    '
            "super().__init__(torch._C.PyTorchFileReader(name))\nOSError: [Errno 22] Invalid argument"
        ),
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
            "keyerror: 'module'",
        ),
        r"KeyError: '(?P<entry>state_dict|model|model_state_dict|net|optimizer\w*|epoch|pytorch-lightning_version"
        r"|module)'",
        why=(
            "the file has no entry `{entry}`: it is a bare state dict, another tool's checkpoint, or one part of a "
            "sharded one"
        ),
        remedy=(
            "Look what is in it (`holdfast inspect CKPT`), and load it with the tool that wrote it; a DeepSpeed or "
            "FSDP folder is gathered first (`zero_to_fp32.py`)."
        ),
        types=("KeyError",),
        also=("missing-tensor", "renamed"),
        weight=0.82,
        test="entries",
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
            "object has no attribute",
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
    Entry(
        "trainer-key-error",
        "version-mismatch",
        (
            "keyerror: 'global_step'",
            "keyerror: 'loops'",
            "keyerror: 'callbacks'",
            "keyerror: 'lr_schedulers'",
            "keyerror: 'optimizer_states'",
            "keyerror: 'hyper_parameters'",
            "keyerror: 'step'",
            "keyerror: 'hparams'",
            "keyerror: 'native_amp_scaling_state'",
            "keyerror: 'state_dict_version'",
            "keyerror: 'config'",
            "keyerror: 'args'",
        ),
        r"KeyError: '(?P<entry>global_step|loops|callbacks|lr_schedulers|optimizer_states|hyper_parameters|hparams"
        r"|step|native_amp_scaling_state|state_dict_version|config|args)'",
        why=(
            "the checkpoint has no `{entry}`, which this version's loader reads: another version (or another tool) "
            "wrote it"
        ),
        remedy=(
            "Load with the version that saved, or migrate the file (Lightning: `python -m "
            "lightning.pytorch.utilities.upgrade_checkpoint FILE`); for weights alone take `state_dict`."
        ),
        types=("KeyError",),
        calls=(
            "load_state",
            "load_from_checkpoint",
            "restore",
            "migrate_checkpoint",
            "load_checkpoint",
            "resume",
        ),
        context=("checkpoint[", "load_state", "restore", "torch.load", "override_attributes"),
        only_in=True,
        also=("format-mismatch", "resume-state"),
        weight=0.76,
        test="entries",
        example="    global_step = checkpoint[\"global_step\"]\nKeyError: 'global_step'",
    ),
    Entry(
        "weights-loop-key",
        "unexpected-tensor",
        ("keyerror: '",),
        (
            r"KeyError: '(?P<key>[A-Za-z_][\w]*(?:\.[\w]+)*\.(?:weight|bias|weight_scale|scales|qweight|running_mean"
            r"|inv_freq))'"
        ),
        why=(
            "the loader goes over the file's tensors, and the model has no `{key}` (a tied or renamed weight, "
            "another class)"
        ),
        remedy="Leave it out where it is tied (`tie_word_embeddings`), or load the class that was saved.",
        calls=("load_weights", "load_state_dict", "load", "from_pretrained", "_load_pretrained_model"),
        context=("params_dict", "state_dict", "load_weights"),
        only_in=True,
        also=("missing-tensor", "renamed", "version-mismatch"),
        weight=0.72,
        test="names",
        example=(
            '  File "models/llama.py", line 1, in load_weights\n    param = params_dict[name]\nKeyError: '
            "'lm_head.weight'"
        ),
    ),
    Entry(
        "adapter-left-over",
        "unexpected-tensor",
        ("should be empty at this point",),
        r"`?(?P<what>\w*state_dict)`? should be empty at this point",
        why=(
            "the converter of the adapter does not know some of its tensors: another kind of adapter (LoKr, DoRA, "
            "another trainer's names)"
        ),
        remedy="Convert it with the tool that trained it; `holdfast inspect FILE` lists the names.",
        also=("format-mismatch", "renamed", "version-mismatch"),
        weight=0.85,
        test="names",
        example=(
            "ValueError: `original_state_dict` should be empty at this point but has "
            "original_state_dict.keys()=dict_keys(['a.lokr_w1'])"
        ),
    ),
    Entry(
        "incompatible-keys",
        "missing-tensor",
        (
            "missing_keys=",
            "there were missing keys in the checkpoint",
            "there were unexpected keys in the checkpoint",
        ),
        r"missing_keys=\[(?P<missing>[^\]]*)\](?:, unexpected_keys=\[(?P<unexpected>[^\]]*)\])?"
        r"|There were (?P<kind>missing"
        r"|unexpected) keys in the checkpoint(?: model)? loaded: \[(?P<names>[^\]]*)\]",
        why="a lenient load left tensors of the model at their initial value, or tensors of the file unused",
        remedy=(
            "Look at both lists: names that differ by a prefix are the same tensors. Tied weights (`lm_head.weight`) "
            "are harmless."
        ),
        weigh=lambda look: _lenient(look),
        weight=0.75,
        test="names",
        example="_IncompatibleKeys(missing_keys=['fc.weight'], unexpected_keys=[])",
    ),
    Entry(
        "file-not-opened",
        "storage",
        ("cannot be opened", "open file failed", "ailed to open"),
        (
            r"File (?P<path>\S+) cannot be opened|open file failed(?: because of errno (?P<errno>\d+))?"
            r"|[Ff]ailed to open file:? ?(?P<path2>\S+)"
        ),
        why="the file could not be made or opened ({path}): no room, no permission, or no such folder",
        remedy="Look for room and permission in that folder (`df -h`, `ls -ld`).",
        calls=("save", "__init__", "load"),
        also=("not-found", "concurrency"),
        weight=0.8,
        test="space",
        example="RuntimeError: File out/checkpoint_0.pt cannot be opened.",
    ),
    Entry(
        "write-fd-failed",
        "storage",
        ("write():", "fd ", "failed with input/output error"),
        r"write\(\): fd \d+ failed with (?P<what>[\w /]+)",
        why="the operating system did not take the bytes ({what})",
        remedy="Look for room and at the disk's health (`df -h`, `dmesg`).",
        weight=0.93,
        test="space",
        also=("incomplete-save",),
        example="RuntimeError: write(): fd 29 failed with Input/output error",
    ),
    Entry(
        "python2-pickle",
        "version-mismatch",
        ("codec can't decode byte",),
        r"'(?P<codec>ascii|utf-8|utf8)' codec can't decode byte (?P<byte>0x[0-9a-f]{2}) in position (?P<at>\d+)",
        why="bytes of a binary file are read as text",
        remedy=(
            "A Python 2 pickle: `pickle.load(f, encoding='latin1')`; else the file is binary (weights) where text "
            "(json) is wanted: check which path was given."
        ),
        weigh=lambda look: (
            [
                look.entry.guess(
                    look, confidence=0.8, why="the pickle was written by Python 2 (its texts are bytes)"
                ),
                look.entry.guess(look, "format-mismatch", confidence=0.5),
            ]
            if look.match["codec"] == "ascii"
            else [
                look.entry.guess(look, "format-mismatch", confidence=0.76),
                look.entry.guess(look, "corrupt", confidence=0.4),
                look.entry.guess(look, "version-mismatch", confidence=0.38),
            ]
        ),
        calls=("load", "from_pretrained", "loads"),
        context=("pickle", "torch", "checkpoint", "model", "json"),
        only_in=True,
        test="whole",
        example=(
            "  File \"torch/serialization.py\", line 1, in load\n    pickle.load(f)\nUnicodeDecodeError: 'ascii' "
            "codec can't decode byte 0x80 in position 2: ordinal not in range(128)"
        ),
    ),
    Entry(
        "archive-broken",
        "corrupt",
        (
            "compressed file ended",
            "error -3 while decompressing",
            "readerror",
            "jsondecodeerror",
            "expecting value: line 1",
            "ot a gzip file",
        ),
        r"[Nn]ot a gzip file|Compressed file ended before the end-of-stream marker|tarfile\.ReadError.{0,80}"
        r"|Error -3 while decompressing|JSONDecodeError: Expecting value: line 1 column 1",
        why="the file is truncated or empty, or of another kind than its name says",
        remedy=_AGAIN,
        calls=(
            "load",
            "from_pretrained",
            "extract",
            "load_model",
            "open",
            "_get_config_dict",
            "loads",
            "restore",
        ),
        context=("checkpoint", "ckpt", "model", "index.json", "weights", ".tar"),
        only_in=True,
        also=("incomplete-save", "format-mismatch"),
        weight=0.8,
        test="whole",
        example="EOFError: Compressed file ended before the end-of-stream marker was reached (model.tar.gz checkpoint)",
    ),
    Entry(
        "torch-cve-upgrade",
        "unsafe-pickle",
        (
            "cve-2025-32434",
            "upgrade torch to at least v2.6",
            "trust_remote_code",
            "requires you to execute the",
            "orbidden",
        ),
        (
            r"CVE-2025-32434|upgrade torch to at least v2\.6|requires you to execute the .{0,60}(?:code|file)"
            r"|trust_remote_code=True|[Ff]orbidden (?:global|class)"
        ),
        why="the loader refuses to run what the file (or its repository) says",
        remedy="Use a safetensors file; upgrade torch; allow it only where you trust the source.",
        also=("version-mismatch", "custom-object"),
        weight=0.85,
        test="pickle",
        example=(
            "ValueError: Due to a serious vulnerability issue in `torch.load` (CVE-2025-32434), we now require users "
            "to upgrade torch to at least v2.6"
        ),
    ),
    Entry(
        "numpy-generator",
        "version-mismatch",
        (
            "is not a known bitgenerator",
            "numpy.dtype size changed",
            "first argument must be a sub-type of ndarray",
            "inconsistentversionwarning",
            "trying to unpickle estimator",
        ),
        (
            r"is not a known BitGenerator module|numpy\.dtype size changed"
            r"|First argument must be a sub-type of ndarray"
            r"|Trying to unpickle estimator (?P<name>\w+) from version (?P<then>[\w.]+) when using version"
            r" (?P<now>[\w.]+)"
        ),
        why="the pickle was written with another version of the library",
        remedy="Install the version that wrote it, or save plain arrays.",
        weight=0.9,
        test="pickle",
        also=("custom-object",),
        example="ValueError: <class 'numpy.random._mt19937.MT19937'> is not a known BitGenerator module.",
    ),
    Entry(
        "old-object-attribute",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<kind>[A-Z]\w*)' object has no attribute '(?P<attribute>_?\w+)'",
        why=(
            "a whole pickled `{kind}` was loaded, and this version's code wants an attribute (`{attribute}`) that it "
            "did not have when it was saved"
        ),
        remedy="Load the state dict into a model built in code; or use the version that saved.",
        calls=("__getattr__", "forward", "_call_impl"),
        context=("torch.load", "load_model", "unpickl", "checkpoint"),
        only_in=True,
        also=("custom-object", "format-mismatch"),
        weight=0.5,
        weigh=lambda look: (
            [look.entry.guess(look)]
            if "torch.load" in look.reading.lower
            or ("modules/module.py" in look.reading.files and "pickle" in look.reading.lower)
            else []
        ),
        example="model = torch.load('m.pth')\nAttributeError: 'GELU' object has no attribute 'approximate'",
    ),
    Entry(
        "lightning-init-arguments",
        "other",
        ("missing 1 required positional argument", "required positional argument"),
        r"__init__\(\) missing (?P<count>\d+) required positional arguments?: (?P<names>.{1,120})",
        why="the class is made anew from the hyperparameters in the checkpoint, and {names} are not among them",
        remedy="Pass them: `load_from_checkpoint(path, name=...)`, and call `self.save_hyperparameters()` in `__init__`.",
        calls=("load_from_checkpoint", "_load_state", "from_config"),
        only_in=True,
        also=("unserialisable", "custom-object", "version-mismatch"),
        weight=0.8,
        example=(
            '  File "lightning/pytorch/core/saving.py", line 1, in load_from_checkpoint\nTypeError: __init__() '
            "missing 1 required positional argument: 'model'"
        ),
    ),
)


def _lenient(look: Look) -> list[Guess]:
    """A load that was allowed to leave something out."""
    facts = look.facts()
    missing = [w.strip(" '\"") for w in facts.get("missing", "").split(",") if w.strip()]
    unexpected = [w.strip(" '\"") for w in facts.get("unexpected", "").split(",") if w.strip()]
    if facts.get("kind") == "unexpected":
        return [
            look.entry.guess(look, "unexpected-tensor"),
            look.entry.guess(look, "renamed", confidence=0.45),
        ]
    if missing and unexpected:
        ends = {name.rpartition(".")[2] for name in missing} & {
            name.rpartition(".")[2] for name in unexpected
        }
        return [
            look.entry.guess(look, "renamed", confidence=0.78 if ends else 0.5),
            look.entry.guess(look),
            look.entry.guess(look, "unexpected-tensor", confidence=0.5),
        ]
    if unexpected:
        return [
            look.entry.guess(look, "unexpected-tensor"),
            look.entry.guess(look, "renamed", confidence=0.4),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.45)]
