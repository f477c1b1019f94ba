"""What the operating system answered, told by its number or its words, where a checkpoint is saved or loaded.

The number says more than the library around it: Python (`[Errno 95]`), Windows (`[WinError 123]`), Rust (`(os error 1455)`),
HDF5 (`errno = 38`) and TensorFlow (`path; Stale file handle`) print the same answers.
"""

from __future__ import annotations

import re

from ...concerning import concerns
from ...knowledge import Entry, Guess, Look
from ...surroundings import like_a_checkpoint
from ...where import storing_or_alone

_NETWORK = "the (network) file system or its mount failed, or is gone"
_NO_SUCH_CALL = (
    "this file system (a network mount, FUSE, a cloud drive) does not know an operation that the writer needs"
)
_BUSY = "another program holds the file"
_MEMORY = "the system had no memory left for it"
_NAME = "the name has characters that this file system does not take (`:`, `?`, a date), or is too long"

_POSIX = {
    1: ("storage", "this user may not do that there"),
    5: ("storage", _NETWORK),
    6: ("storage", _NETWORK),
    9: ("storage", "the file was closed under the writer"),
    11: ("storage", "the file is locked elsewhere, or the file system has no locks"),
    12: ("memory", _MEMORY),
    16: ("storage", _BUSY),
    18: ("storage", "a rename does not go from one disk to another"),
    19: ("storage", _NETWORK),
    26: ("storage", _BUSY),
    27: ("size-limit", "the file is larger than this file system takes"),
    29: ("storage", _NO_SUCH_CALL),
    30: ("storage", "the disk is mounted read-only"),
    35: ("storage", "the file is locked elsewhere, or the file system has no locks"),
    36: ("storage", _NAME),
    37: ("storage", _NO_SUCH_CALL),
    38: ("storage", _NO_SUCH_CALL),
    40: ("not-found", "links that lead in a circle"),
    45: ("storage", _NO_SUCH_CALL),
    61: ("storage", _NETWORK),
    63: ("storage", _NAME),
    70: ("storage", _NETWORK),
    71: ("storage", _NETWORK),
    74: ("storage", _NETWORK),
    75: ("size-limit", "a length does not fit into the numbers of this call"),
    95: ("storage", _NO_SUCH_CALL),
    101: ("storage", _NETWORK),
    103: ("storage", _NETWORK),
    107: ("storage", _NETWORK),
    108: ("storage", _NETWORK),
    110: ("storage", _NETWORK),
    112: ("storage", _NETWORK),
    113: ("storage", _NETWORK),
    116: ("storage", _NETWORK),
    117: ("storage", "the file system itself is damaged"),
    121: ("storage", _NETWORK),
    122: ("storage", "the quota is used up"),
    131: ("storage", _NETWORK),
}
_WINDOWS = {
    2: ("not-found", "there is nothing at that path"),
    3: ("not-found", "a folder of the path does not exist (or the path is over 260 characters long)"),
    5: ("storage", "this user may not write there, or another program holds the file"),
    8: ("memory", _MEMORY),
    14: ("memory", _MEMORY),
    17: ("storage", "a rename does not go from one disk to another"),
    19: ("storage", "the disk is write-protected"),
    21: ("storage", "the drive is not ready, or is gone"),
    23: ("storage", "the disk could not read back what it holds (its checksum is wrong)"),
    33: ("concurrency", "another program has locked a part of the file"),
    39: ("storage", "the disk is full"),
    53: ("storage", _NETWORK),
    55: ("storage", _NETWORK),
    59: ("storage", _NETWORK),
    64: ("storage", _NETWORK),
    67: ("storage", _NETWORK),
    80: ("storage", "the target is there already"),
    87: ("storage", _NO_SUCH_CALL),
    112: ("storage", "the disk is full"),
    121: ("storage", _NETWORK),
    123: ("storage", _NAME),
    145: ("concurrency", "the folder is not empty: something else writes into it"),
    183: (
        "storage",
        "the target is there already, which Windows does not let a rename replace (`os.replace` does)",
    ),
    206: ("storage", _NAME),
    225: ("storage", "antivirus took the file for malicious and removed or blocked it"),
    267: ("not-found", "a part of the path is no folder"),
    362: ("storage", "the cloud drive (OneDrive and the like) that stands behind this folder does not run"),
    395: ("storage", "the cloud drive (OneDrive and the like) that stands behind this folder refused"),
    433: ("storage", "the drive is gone"),
    995: ("storage", _NETWORK),
    1006: ("storage", "the drive was taken out or changed while the file was open"),
    1117: ("storage", "the disk failed"),
    1224: (
        "storage",
        "the file is still mapped into memory by a reader (often this program, which loaded it)",
    ),
    1314: ("storage", "links need a right that this user does not have on Windows"),
    1392: ("storage", "the file system itself is damaged (`chkdsk`)"),
    1450: ("memory", _MEMORY),
    1455: ("memory", "the paging file is too small: memory for the whole file could not be promised"),
    1816: ("storage", "the quota is used up"),
}
_MOUNTS = frozenset({19, 37, 38, 95, 107, 112, 116, 121, 1224, 1455})
"""Answers of mounts and mapped files, which quoted alone are no matter of other programs."""
_SECOND = {
    "storage": "concurrency",
    "concurrency": "storage",
    "memory": "size-limit",
    "not-found": "storage",
    "size-limit": "storage",
}
_WORDS = (
    (r"operation not supported|function not implemented|illegal seek|no locks available", "storage", _NO_SUCH_CALL),
    (r"text file busy|device or resource busy", "storage", _BUSY),
    (r"(?:directory name, or volume|syntax is incorrect)|file ?name too long", "storage", _NAME),
    (r"paging file is too small|not enough memory resources", "memory", _MEMORY),
    (r"user-mapped section open", "storage", "the file is still mapped into memory by a reader"),
)  # fmt: skip


def by_number(look: Look) -> list[Guess]:
    """What the number or the words of the system say."""
    facts = look.facts()
    said = look.match[0].lower()
    # Windows' sentences end in a full stop; its numbers go beyond those of Linux
    number = int(facts.get("errno", 0))
    windows = (
        "winerror" in said
        or number > 133
        or re.search(r"\bThe [a-z]+ .{5,120}\.", look.reading.flat) is not None
    )
    found = (_WINDOWS if windows else _POSIX).get(number) if number else None
    if found is None:
        found = next(((label, why) for words, label, why in _WORDS if re.search(words, said)), None)
    if found is None and not number:
        found = ("storage", _NETWORK)
    if found is None:
        return []
    label, why = found
    if not (_of_a_checkpoint(look) or (number in _MOUNTS and look.around.alone and not look.reading.paths)):
        if not look.around.alone or look.reading.paths:
            return []
        return [  # by itself no proof of a checkpoint: told with a condition
            look.entry.guess(look, label, confidence=0.34, why=why),
            look.entry.guess(look, _SECOND[label], confidence=0.24, why=why),
        ]
    return [
        look.entry.guess(look, label, confidence=0.8, why=why),
        look.entry.guess(look, _SECOND[label], confidence=0.46, why=why),
    ]


def _of_a_checkpoint(look: Look) -> bool:
    paths = look.reading.paths
    return look.around.calls or look.around.storing or concerns(look) or any(map(like_a_checkpoint, paths))


ENTRIES = (
    Entry(
        "system-error-number",
        "storage",
        ("errno", "winerror", "os error", "os { code"),
        r"\[?(?:Errno|WinError) (?P<errno>\d+)\]?(?: ?[^:\[\]\n]{3,120})?(?:: ?['\"](?P<path>[^'\"\n]+))?"
        r"|\(os error (?P<errno2>\d+)\)"
        r"|\berrno ?[=:] ?(?P<errno3>\d+)|Os \{ code: (?P<errno4>\d+)",
        why="the system refused: error {errno}",
        remedy="Save to a local disk under a plain, short name, and copy from there; look for room, rights and who else has "
        "the "
        "file open.",
        weigh=by_number,
        where=storing_or_alone,
        test="space",
        example="OSError: [Errno 95] Operation not supported: '/gdrive/run/model.h5'",
    ),
    Entry(
        "system-error-words",
        "storage",
        (
            "operation not supported",
            "function not implemented",
            "illegal seek",
            "no locks available",
            "text file busy",
            "directory name, or volume label",
            "paging file is too small",
            "not enough memory resources",
            "user-mapped section open",
            "host is down",
            "structure needs cleaning",
            "bad file descriptor",
            "no such device",
            "connection timed out",
            "software caused connection abort",
        ),
        r"(?<=; )(?:host is down|structure needs cleaning|bad file descriptor|no such device|connection timed out"
        r"|software caused connection abort)"
        r"|operation not supported|function not implemented|illegal seek|no locks available|text file busy"
        r"|directory name, or volume label syntax is incorrect|paging file is too small|not enough memory resources"
        r"|user-mapped section open|host is down|structure needs cleaning",
        why="the file system did not do what the writer asked of it",
        remedy="Save to a local disk under a plain, short name, and copy from there; look for who else has the file open.",
        weigh=by_number,
        where=storing_or_alone,
        test="space",
        example="tensorflow.python.framework.errors_impl.UnknownError: /mnt/run/ckpt-1.index; Host is down "
        "[Op:MergeV2Checkpoints]",
    ),
    Entry(
        "wrote-nothing",
        "storage",
        ("requested and",),
        r"(?P<want>\d+) requested and (?P<got>\d+) written",
        why="{want} items were to be written and {got} were: the disk or the quota is full",
        remedy="Look for room: `df -h`, `quota -s`; the file that was being written is not whole.",
        also=("incomplete-save",),
        weight=0.92,
        test="space",
        example="OSError: 6291456 requested and 0 written",
    ),
)
