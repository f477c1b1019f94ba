"""``torch.load`` and ``torch.save``: what is given as a path, and what a download left there."""

from __future__ import annotations

import re

from ...first_bytes import AGAIN
from ...knowledge import Entry, Guess, Look, ranked
from ...surroundings import like_a_checkpoint


def of_its_name(look: Look) -> list[Guess]:
    """Windows refuses some signs; a path with an escape in it (``\\t``) leads nowhere."""
    path = look.match["path"]
    if not like_a_checkpoint(path) and not look.around.saving:
        return []
    if re.search(r"[:*?\"<>|]", path[2:]) is not None and "://" not in path:
        return [look.entry.guess(look, confidence=0.82), look.entry.guess(look, "not-found", confidence=0.45)]
    if re.search(r"\\x[01][0-9a-f]|\\[tnrabfv]", path) is not None:
        why = "the path holds an escape (`\\t` in a plain string is a tab): `{path}`".format_map(look.facts())
        return [
            look.entry.guess(look, "not-found", confidence=0.8, why=why),
            look.entry.guess(look, confidence=0.5),
        ]
    if look.around.saving:
        return [look.entry.guess(look, confidence=0.62), look.entry.guess(look, "not-found", confidence=0.45)]
    return []


def no_file(look: Look) -> list[Guess]:
    """``None`` is a checkpoint that was not found; an object is one that was loaded before."""
    if look.facts().get("kind") in ("NoneType", "list", "bool", "int"):
        return [
            look.entry.guess(look, "not-found", confidence=0.8),
            look.entry.guess(look, confidence=0.6),
        ]
    return [
        look.entry.guess(look, confidence=0.84),
        look.entry.guess(look, "not-found", confidence=0.45),
        look.entry.guess(look, "version-mismatch", confidence=0.4),
    ]


def by_the_system(look: Look) -> list[Guess]:
    """What the system said: no such file, or no permission."""
    if "ermission" in look.match["said"]:
        return [look.entry.guess(look, "storage", confidence=0.8), look.entry.guess(look, confidence=0.5)]
    return [look.entry.guess(look, confidence=0.82), look.entry.guess(look, "storage", confidence=0.45)]


ENTRIES = (
    Entry(
        "torch-legacy-tar-member",
        "corrupt",
        ("filename 'storages' not found", "filename 'tensors' not found", "filename 'pickle' not found"),
        "",
        why=(
            "the file was taken for PyTorch's old tar container and has none of its parts: it is damaged, or "
            "another kind of file"
        ),
        remedy=AGAIN,
        weigh=ranked(("corrupt", 0.76), ("format-mismatch", 0.66), ("version-mismatch", 0.42)),
        test="whole",
        example="KeyError: \"filename 'storages' not found\"",
    ),
    Entry(
        "torch-load-of-no-file",
        "format-mismatch",
        ("you can only torch.load", "you can only `torch.load"),
        r"(?:'(?P<kind>\w+)' object has no attribute '(?:seek|read|readinto|tell)'\. )?You can only `?torch\.load`? from a file",
        why="`torch.load` was given what is no file ({kind}): an object that is loaded already, or no path at all",
        remedy="Give it the path; what is loaded already is used as it is.",
        weigh=no_file,
        example="AttributeError: 'dict' object has no attribute 'seek'. You can only torch.load from a file that is seekable.",
    ),
    Entry(
        "name-is-not-allowed",
        "storage",
        ("errno 22",),
        r"\[Errno 22\] Invalid argument: '(?P<path>[^'\n]+)'",
        why="the system does not allow such a name (`{path}`): on Windows a `:` or another of its special signs stands in it",
        remedy="Leave `:` and the like out of names (`%H-%M-%S`), and write paths with `/` or as raw strings.",
        weigh=of_its_name,
        test="path",
        example="OSError: [Errno 22] Invalid argument: 'checkpoints/net_0921_10:14:29.pth'",
    ),
    Entry(
        "torch-hub-hash",
        "corrupt",
        ("invalid hash value",),
        r"invalid hash value \(expected \"?(?P<want>\w+)\"?, got \"?(?P<got>\w+)",
        why="the downloaded file has another hash than its name says",
        remedy="Delete it from the cache and download it again; where it fails again, the file was replaced at its source.",
        also=("incomplete-save", "version-mismatch"),
        weight=0.95,
        test="whole",
        example='RuntimeError: invalid hash value (expected "b627a593", got "0000aaaa")',
    ),
    Entry(
        "folder-given-to-a-reader",
        "not-found",
        ("is a directory", "errno 13"),
        r"\b(?:torch|pickle|joblib|jit|dill|cloudpickle|th|np)\.load\w*\(.{0,400}?(?:Is a directory"
        r"|Errno 13\] Permission denied: '[^']*[\\/](?:checkpoint|step|epoch|ckpt)[^'.\\/]*')",
        why="the path is a folder, and this call reads one file of it",
        remedy="Name the file in it; `holdfast FOLDER` says which checkpoint lies there.",
        weigh=ranked(("not-found", 0.82), ("format-mismatch", 0.62), ("version-mismatch", 0.4)),
        test="path",
        example="    state = pickle.load(open(path, 'rb'))\nIsADirectoryError: [Errno 21] Is a directory: 'out/agent'",
    ),
    Entry(
        "archive-without-version",
        "version-mismatch",
        ("expected hasrecord(",),
        r"Expected hasRecord\(\"(?P<item>[\w.]+)\"\) to be true",
        why="the zip archive has no `{item}`: another version wrote it, it was packed again, or it is another program's",
        remedy="`holdfast FILE` says what it is; get it again, or read it with the version that wrote it.",
        weigh=ranked(("version-mismatch", 0.7), ("format-mismatch", 0.6), ("corrupt", 0.56)),
        test="whole",
        example='RuntimeError: Expected hasRecord("version") to be true, but got false.',
    ),
    Entry(
        "zip-without-that-item",
        "format-mismatch",
        ("there is no item named '",),
        r"There is no item named '(?P<item>[\w./]+)' in the archive",
        why="the zip archive has no `{item}`: it is of another program than this loader's, or was packed again",
        remedy="`holdfast FILE` says what it is; load it with the tool that wrote it.",
        weigh=ranked(("format-mismatch", 0.74), ("version-mismatch", 0.5), ("incomplete-save", 0.45)),
        test="whole",
        example="KeyError: \"There is no item named 'policy.pth' in the archive\"",
    ),
    Entry(
        "file-not-opened-by-torch",
        "not-found",
        ("in read-only mode", "in read-write mode"),
        r"unable to open file <?(?P<path>[^>]{1,300}?)>? in read-(?:only|write) mode: (?P<said>[\w ]+)",
        why="the file cannot be opened: {said}",
        remedy="Check the path and its permissions; `holdfast FOLDER` says what lies there.",
        weigh=by_the_system,
        test="path",
        example="RuntimeError: unable to open file <ckpt.pt> in read-only mode: No such file or directory (2)",
    ),
    Entry(
        "path-of-another-system",
        "other",
        ("cannot instantiate ",),
        r"cannot instantiate ['\"](?P<kind>PosixPath|WindowsPath)['\"] on your system",
        why="the file pickles a path (`{kind}`) of another operating system than this one",
        remedy=(
            "Save paths as texts (`str(path)`); to read this one, set `pathlib.{kind}` to `pathlib.Path`'s own "
            "class before the load."
        ),
        weigh=ranked(("other", 0.66), ("unserialisable", 0.6), ("version-mismatch", 0.56)),
        test="pickle",
        example="NotImplementedError: cannot instantiate 'PosixPath' on your system",
    ),
)
