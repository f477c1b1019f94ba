"""``torch.load``: the bytes of the file."""

from __future__ import annotations

import re
from dataclasses import replace

from ...first_bytes import AGAIN, FIRST_BYTES, READERS
from ...knowledge import Entry, Guess, Look, loading_where, ranked
from ...where import loading_or_alone

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


def first_byte(look: Look) -> list[Guess]:
    """What the byte at which unpickling failed says."""
    key = look.match["key"]
    label, why, remedy = FIRST_BYTES.get(
        key, ("corrupt", f"the file does not begin as a pickle does (its first byte is '{key}')", AGAIN)
    )
    sure = 0.92 if key in FIRST_BYTES and key != "h" else 0.7
    named = next((kind for kind in READERS if kind in look.reading.lower), None)
    if named is not None and key not in "v<":
        label, sure = "format-mismatch", 0.86
        why = f"a `{named}` file is no pickle, and it was given to a reader of pickles (its first byte is '{key}')"
        remedy = READERS[named]
    guesses = [look.entry.guess(look, label, why=why, remedy=remedy, confidence=sure)]
    other = "corrupt" if label == "format-mismatch" else "format-mismatch"
    guesses.append(
        look.entry.guess(
            look, other, confidence=0.4, why="the file may be of another format, or damaged", remedy=AGAIN
        )
    )
    return guesses


def legacy_tar(look: Look) -> list[Guess]:
    """``tarfile`` takes a file of zeros for an empty archive, so that PyTorch calls such a file a legacy tar."""
    first = look.entry.guess(look)
    lower = look.reading.lower
    if (
        "is a zip archive" in lower
        and re.search(r"(?:\.pt|jit|script\w*|traced?\w*)\W? is a zip archive", lower) is None
    ):
        why = "`torch.save` writes zip archives since 1.6, and this PyTorch is older: it takes each for TorchScript"
        remedy = "Upgrade PyTorch; or save with `_use_new_zipfile_serialization=False`."
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.92, why=why, remedy=remedy),
            replace(first, confidence=0.7),
        ]
    refused = "weights_only=true" in lower
    if "legacy .tar" not in lower:
        return [first, look.entry.guess(look, "unsafe-pickle", confidence=0.6)] if refused else [first]
    why = "a file that begins with zeros (reserved and never written) is taken for an old tar container"
    damaged = look.entry.guess(look, "corrupt", confidence=0.7, why=why, remedy=AGAIN)
    if not refused:
        return [first, damaged]
    why = "the file is a tar of PyTorch 0.1 (as early torchvision weights are), which weights_only refuses"
    remedy = "`holdfast FILE` lists what is in it; where you trust it, load it once with weights_only=False, and save it again."
    return [
        look.entry.guess(look, "unsafe-pickle", confidence=0.92, why=why, remedy=remedy),
        replace(first, confidence=0.8),
        replace(damaged, confidence=0.66),
    ]


def while_opening_the_archive(look: Look) -> list[Guess]:
    """The same errno is raised for many things: here it must be the archive's reader."""
    opening = "pytorchfilereader" in look.reading.lower
    loading = "serialization.py" in look.reading.files and "load" in look.reading.calls
    return [look.entry.guess(look)] if opening or loading else []


def by_the_name(look: Look) -> list[Guess]:
    """numpy takes what it does not know for a pickle: a file that is none of numpy's by its name is of another kind."""
    own = re.search(r"\.np[yz]\b|as a pickle", look.match[0].lower())
    first = look.entry.guess(look)
    if own is None or ".np" in own[0]:
        return [first]
    return [
        replace(first, confidence=0.78),
        look.entry.guess(look, "format-mismatch", confidence=0.8 if ".pkl" in look.match[0].lower() else 0.7),
    ]


def a_record_of_it(look: Look) -> list[Guess]:
    """TorchScript's ``constants.pkl`` is in no file of ``torch.save``, and ``data.pkl`` of it in none that was packed again."""
    first = look.entry.guess(look)
    if "constants.pkl" in look.reading.lower:
        why = "the file was written by `torch.save`, and `torch.jit.load` wants a TorchScript program (`constants.pkl` in it)"
        remedy = "`torch.load` it; or export again with `torch.jit.save(torch.jit.script(model), path)`."
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.86, why=why, remedy=remedy),
            replace(first, confidence=0.5),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    return [first]


def cut_or_read_too_early(look: Look) -> list[Guess]:
    """An empty file: where several processes run, one of them reads what another has only begun to write."""
    first = look.entry.guess(look)
    reading = look.reading
    if "equinox" in reading.lower and "no data left in file" in reading.lower:
        return []  # a tree with more leaves than the file has: an entry of its own
    if look.facts().get("more") == "8":
        why = (
            "the file ends exactly where a tensor's data begins (the next 8 bytes are its size): whatever wrote it was "
            "stopped between two tensors"
        )
        remedy = "Take the checkpoint before it; write beside and rename, so that a stop leaves the old one."
        return [
            look.entry.guess(look, "incomplete-save", confidence=0.9, why=why, remedy=remedy),
            replace(first, confidence=0.82),
        ]
    many = any(one.rank > 0 for one in reading.raised) or any(word in reading.lower for word in _SEVERAL)
    if many and "unexpected eof" not in look.match[0].lower():
        why = "the file is still empty: another process writes it while this one reads (several processes run here)"
        remedy = "Let rank 0 write, then `torch.distributed.barrier()`, then read; write beside and rename."
        return [
            look.entry.guess(look, "concurrency", confidence=0.9, why=why, remedy=remedy),
            replace(first, confidence=0.7),
        ]
    return [first]


_SEVERAL = (
    "torch.distributed.elastic", "local_rank", "multiprocessing/spawn", "processraisedexception", "world_size",
    "nprocs", "torchrun", "torch/distributed/launch", "process 1 terminated",
)  # fmt: skip
"""Words of a text that several processes, or what started them, printed."""


def persistent_or_damaged(look: Look) -> list[Guess]:
    """An instruction that only torch's own unpickler knows, or bytes that are none."""
    if "persistent" in look.match[0]:
        by_torch = "serialization.py" in look.reading.lower or "torch.load" in look.reading.lower
        why = (
            "the file holds PyTorch's tensors by reference, and what reads it is a plain unpickler (or an older "
            "PyTorch): it was taken out of its archive, or written by another version"
        )
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.72 if by_torch else 0.62, why=why),
            look.entry.guess(look, "format-mismatch", confidence=0.68, why=why),
            look.entry.guess(look, confidence=0.45),
        ]
    return [
        look.entry.guess(look, confidence=0.75),
        look.entry.guess(look, "format-mismatch", confidence=0.45),
    ]


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
        remedy=AGAIN + " If it was written here, use the checkpoint before it.",
        confirm="The size of the file against that of its source.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="whole",
        example="RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
    ),
    Entry(
        "torch-zip-record",
        "corrupt",
        ("pytorchstreamreader failed", "failed reading file", "pytorchstreamreader", "file not found: "),
        r"PytorchStreamReader (?:failed )?(?:reading file|locating file|failed locating|closing reader"
        r"|getting \w+)(?: for archive:?)? ?(?P<record>[\w./]+)?"
        r"|file not found: (?P<record2>[\w.\-]+/(?:constants\.pkl|version|data\.pkl|code/[\w./]+))",
        why="a record of the archive ({record}) cannot be read: the file is damaged, or is no file of torch.save",
        remedy=AGAIN,
        also=("format-mismatch", "incomplete-save"),
        weight=0.78,
        test="whole",
        weigh=a_record_of_it,
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
        remedy=AGAIN,
        confirm="The size of the file; `holdfast CKPT` says how many bytes are missing.",
        weigh=cut_or_read_too_early,
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
        weigh=ranked(("format-mismatch", 0.72), ("corrupt", 0.62), ("version-mismatch", 0.4)),
        example="RuntimeError: Invalid magic number; corrupt file?",
    ),
    Entry(
        "torch-unpickling",
        "corrupt",
        ("unpicklingerror", "unpickling", "a load persistent id instruction", "could not find mark"),
        r"UnpicklingError: (?P<what>(?:A load persistent id|unpickling stack underflow|invalid opcode|could not find MARK"
        r"|STACK_GLOBAL|pickle exhausted|bad )[^.]{0,80})"
        r"|(?P<what2>A load persistent id instruction|unpickling stack underflow|could not find MARK)",
        why="the file is no pickle of torch.save, or its bytes are damaged ({what})",
        remedy=AGAIN,
        also=("format-mismatch",),
        weight=0.7,
        test="whole",
        example=(
            "_pickle.UnpicklingError: A load persistent id instruction was encountered, but no persistent_load "
            "function was specified."
        ),
        weigh=persistent_or_damaged,
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
        remedy=AGAIN,
        types=("EOFError",),
        calls=("load", "_legacy_load", "_load", "legacy_load"),
        context=("torch", "pickle", "joblib"),
        only_in=True,
        weigh=cut_or_read_too_early,
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
        remedy=AGAIN,
        calls=("_open_zipfile_reader", "load", "_load"),
        context=("pytorchfilereader",),
        only_in=True,
        also=("storage", "incomplete-save"),
        weight=0.72,
        test="whole",
        weigh=while_opening_the_archive,
        example=(
            '  File "torch/serialization.py", line 807, in load\n    '
            "super().__init__(torch._C.PyTorchFileReader(name))\nOSError: [Errno 22] Invalid argument"
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
        r"not a gzip file|Compressed file ended before the end-of-stream marker|tarfile\.ReadError.{0,80}"
        r"|Error -3 while decompressing|JSONDecodeError: Expecting value: line 1 column 1",
        why="the file is truncated or empty, or of another kind than its name says",
        remedy=AGAIN,
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
        weigh=loading_where("jsondecodeerror"),
        example="EOFError: Compressed file ended before the end-of-stream marker was reached (model.tar.gz checkpoint)",
    ),
    Entry(
        "numpy-no-file-of-its",
        "corrupt",
        ("failed to interpret file", "not a zip file", "bad magic number for", "bad crc-32 for file"),
        r"Failed to interpret file .{0,120}? as a pickle|(?:BadZipFile: )?File is not a zip file"
        r"|Bad CRC-32 for file|Bad magic number for (?:central directory|file header)",
        why="the archive is damaged or truncated, or is another kind of file",
        remedy=AGAIN,
        also=("format-mismatch", "incomplete-save"),
        weight=0.82,
        test="whole",
        types=("BadZipFile",),
        calls=("load", "load_model"),
        where=loading_or_alone,
        weigh=by_the_name,
        example="zipfile.BadZipFile: File is not a zip file",
    ),
)
