"""Several processes at one checkpoint: collectives, barriers, two writers."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, saving_or_alone, storing_or_alone

_SAVE = ("save", "checkpoint", "ckpt", "all_gather", "allgather", "barrier", "state_dict", "zero")

_ALL_RANKS = (
    "Call save and load on every rank (the collective inside waits for all), and let rank 0 alone do what is no "
    "collective; put a barrier after it."
)


def directory_not_empty(look: Look) -> list[Guess]:
    """Two processes rename or remove one folder."""
    lower = look.reading.lower
    removing = "rmtree" in lower or "rmdir" in lower or "clean" in lower
    concurrency = look.entry.guess(look, "concurrency", confidence=0.72)
    alone = removing or "errno 39" not in lower
    storage = look.entry.guess(
        look, "storage", confidence=0.74 if alone else 0.68,
        why=(
            "a (network) file system still shows files in a folder that was just emptied, or another process writes "
            "into it"
        ),
        remedy="Catch and retry the removal; keep run folders on a local disk.",
    )  # fmt: skip
    return [storage, concurrency] if alone else [concurrency, storage]


def held_open_or_moved(look: Look) -> list[Guess]:
    """A rename that failed: another process has the target, or the file system does not rename."""
    if not any(
        w in look.reading.lower for w in ("access is denied", "no such file", "being used by another process")
    ):
        return [look.entry.guess(look)]
    why = (
        "another process holds the target open or has moved the temporary file already (two writers, or a viewer on "
        "Windows)"
    )
    return [
        look.entry.guess(look, "concurrency", confidence=0.82, why=why),
        look.entry.guess(look, confidence=0.66),
    ]


def removed_twice(look: Look) -> list[Guess]:
    """What was gone is of a checkpoint, or of one rank of several; other folders are removed by all kinds of programs."""
    if not re.search(
        r"checkpoint|ckpt|sav(?:e|ing)|\.pth?\b|\.bin\b|safetensors|rng_state|optim|global_step|tensor_|\brank",
        look.reading.lower,
    ):
        return []
    return [look.entry.guess(look)]


def renamed_away(look: Look) -> list[Guess]:
    """Windows refuses to rename onto a file that is there; elsewhere a source that is gone was renamed by another process."""
    first = look.entry.guess(look)
    if "winerror 183" not in look.reading.lower:
        return [first]
    why = "the target is there already, which Windows does not let a rename replace: a plain rename in place of `os.replace`"
    return [
        look.entry.guess(
            look, "storage", confidence=0.88, why=why, remedy="`os.replace(tmp, path)`; one writer only."
        ),
        look.entry.guess(look, confidence=0.6),
        look.entry.guess(look, "version-mismatch", confidence=0.3),
    ]


ENTRIES = (
    Entry(
        "nccl-timeout",
        "concurrency",
        (
            "watchdog caught collective operation timeout",
            "timeout at nccl",
            "nccl operations have failed or timed out",
            "timed out waiting",
            "timed out",
            "monitoredbarrier",
        ),
        r"Watchdog caught collective operation timeout.{0,200}?OpType=(?P<op>\w+)|Timeout at NCCL work"
        r"|NCCL operations have failed or timed out|monitoredBarrier|Timed out (?:waiting"
        r"|initializing).{0,80}(?:barrier|rank)|Timed out waiting \d+",
        why=(
            "a collective ({op}) waited until its time was over: some ranks never came to it, as where only rank 0 "
            "calls a save that all must enter, or one rank writes for longer than the limit"
        ),
        remedy=_ALL_RANKS
        + " A long write on one rank: raise `timeout=` of init_process_group, or save in the background.",
        also=("topology", "async-save", "storage"),
        weight=0.86,
        where=apart_from_steps,
        example=(
            "[rank1]:[E] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=6075, OpType=_ALLGATHER_BASE, "
            "Timeout(ms)=1800000) ran for 2954391 milliseconds before timing out."
        ),
    ),
    Entry(
        "horovod-stall",
        "concurrency",
        (
            "submitted to be reduced, gathered or broadcasted by subset of ranks",
            "submitted to be reduced, gathered or broadcasted by a subset",
        ),
        r"submitted to be reduced, gathered or broadcasted by (?:a )?subset of ranks",
        why=(
            "some ranks wait in a collective that others never enter: restoring or saving is done on one rank only, "
            "and makes variables or operations that the others lack"
        ),
        remedy="Restore on every rank, or on rank 0 followed by a broadcast that all enter.",
        also=("topology",),
        weight=0.9,
        example=(
            "One or more tensors were submitted to be reduced, gathered or broadcasted by subset of ranks and are "
            "waiting for remainder of ranks"
        ),
    ),
    Entry(
        "directory-not-empty",
        "concurrency",
        ("directory not empty", "errno 39", "errno 66"),
        r"(?:\[?Errno (?:39|66)\]?:? ?)?Directory not empty(?:: '?(?P<path>[^'\s]+)'?(?: -> '?(?P<to>[^'\s]+))?)?",
        why="several processes rename or remove the same checkpoint folder",
        remedy="Let one rank rename and clean up, and the others wait at a barrier.",
        weigh=directory_not_empty,
        where=storing_or_alone,
        also=("retention",),
        weight=0.75,
        example="OSError: [Errno 39] Directory not empty: 'tmp-checkpoint-10' -> 'checkpoint-10'",
    ),
    Entry(
        "file-exists",
        "concurrency",
        ("file exists", "errno 17", "already exists"),
        r"\[?Errno 17\]?:? ?File exists:? ?'?(?P<path>[^'\s]+)?|destination (?P<path2>\S+) already exists"
        r"|checkpoint .{0,80}already exists",
        why="another process made the same folder or file first, or an earlier run left it",
        remedy="One process makes folders (`exist_ok=True`); give each run a folder of its own.",
        context=("checkpoint", "ckpt", "save", "orbax"),
        only_in=True,
        also=("retention", "resume-state"),
        weight=0.72,
        test="path",
        example="FileExistsError: [Errno 17] File exists: 'runs/checkpoint-10'",
    ),
    Entry(
        "locked-writer",
        "concurrency",
        (
            "vaultlocked",
            "being used by another process",
            "winerror 32",
            "resource temporarily unavailable",
            "nother writer",
        ),
        r"being used by another process|\[WinError 32\]|VaultLocked|another writer|Resource temporarily unavailable",
        why="another process holds the file or the folder",
        remedy="One writer to one path: end the other, or give it a folder of its own.",
        context=_SAVE,
        only_in=True,
        also=("storage",),
        weight=0.82,
        example=(
            "PermissionError: [WinError 32] The process cannot access the file because it is being used by another "
            "process: 'checkpoint.pt'"
        ),
    ),
    Entry(
        "barrier-peer",
        "concurrency",
        (
            "store->get",
            "tcpstore",
            "onnection",
            "wait timeout after",
            "ocket",
            "roken pipebarrier",
            "roken pipestore",
            "roken piperank",
            "roken pipepeer",
            "roken pipenccl",
            "roken pipekey",
            "roken pipe",
        ),
        (
            r"(?:connection (?:closed|reset) by peer|broken pipe|socket timeout|wait timeout after \d+ms"
            r"|TCPStore|store->get).{0,200}?(?:barrier|rank|key|peer|NCCL|store)?"
        ),
        why="another rank went away or never came to the barrier at the save: look at what *it* printed first",
        remedy="Read the first error of all ranks; let all enter the save.",
        context=("checkpoint", "barrier", "save_state", "save_checkpoint"),
        only_in=True,
        weight=0.62,
        also=("topology", "storage"),
        example=(
            "RuntimeError: [1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d "
            "key-value store by store->get('0'), but store->get('0') got error: Connection reset by peer (checkpoint "
            "barrier)"
        ),
    ),
    Entry(
        "tmp-gone",
        "concurrency",
        (".tmp", "tempstate", "tmp-checkpoint", ".incomplete", ".lock"),
        (
            r"(?:No such file or directory|FileNotFoundError"
            r"|cannot find the file)[^\n]{0,120}?(?P<path>[^\s'\"]*(?:\.tmp\w*|tempstate\d*|tmp-checkpoint[\w-]*"
            r"|\.incomplete))"
        ),
        why=(
            "the temporary file of the save is gone before it was renamed: a second process writes to the same path, "
            "or cleans up there"
        ),
        remedy="One writer to one path; give each run a folder of its own.",
        weight=0.76,
        also=("storage", "retention"),
        example="FileNotFoundError: [Errno 2] No such file or directory: 'runs/tmp-checkpoint-50' -> 'runs/checkpoint-50'",
    ),
    Entry(
        "rename-failed",
        "storage",
        ("cross-device link", "errno 18", "ailed to"),
        r"failed to rename:? ?(?P<path>\S+)? ?(?:to:? (?P<to>\S+))?|Invalid cross-device link|\[?Errno 18\]?",
        why=(
            "the finished file could not be put in its place (another file system, or another process holds it or "
            "moved it)"
        ),
        remedy="Write beside the target on the same file system; one writer only.",
        weight=0.72,
        also=("concurrency", "incomplete-save"),
        where=storing_or_alone,
        weigh=held_open_or_moved,
        example="UnknownError: Failed to rename: training/checkpoint.tmp5e2c to: training/checkpoint : Access is denied.",
    ),
    Entry(
        "rename-source-gone",
        "concurrency",
        ("' -> '", '" -> "', " -> "),
        r"(?:No such file or directory|cannot find the (?:file|path)[^:]*|File exists"
        r"|already exists): ?[\"'](?P<path>[^\"'\n]+)[\"'] -> [\"'](?P<to>[^\"'\n]+)[\"']",
        why=(
            "what was to be renamed to `{to}` is gone, or the target is there already: another process "
            "renamed it first (every rank saves), or cleans up there"
        ),
        remedy="Let one rank save and rename, and the others wait at a barrier; one folder a run.",
        where=storing_or_alone,
        weigh=renamed_away,
        also=("storage", "retention", "not-found"),
        weight=0.84,
        example="FileNotFoundError: [Errno 2] No such file or directory: 'out/tmp.pth' -> 'out/last.pth'",
    ),
    Entry(
        "stalled-ranks",
        "concurrency",
        (
            "stalled ops",
            "[ready ranks:",
            "missing ranks:",
            "stall_inspector",
            "launch group with a different launch id",
        ),
        r"Stalled ops:? ?(?P<op>[\w./]+)?|\[ready ranks:|Missing ranks:|stall_inspector|launch group with a different "
        r"launch id",
        why="some processes entered a collective that others never come to: a save or restore is done on some ranks only",
        remedy=_ALL_RANKS,
        where=storing_or_alone,
        also=("topology",),
        weight=0.8,
        example="Stalled ops: HorovodBroadcast_fc_weights_0 [ready ranks: 1, 0]",
    ),
    Entry(
        "barrier-of-a-save",
        "concurrency",
        ("barrier",),
        r"(?:save_checkpoint|save_model|save_state|_save\w*|dcp\.save|load_checkpoint|load_state)\b.{0,1500}?\bbarrier\b"
        r"|\bbarrier\b.{0,200}?(?:sav(?:e|ing)|checkpoint)",
        why=(
            "the program stood in a barrier of the save: another rank did not come to it (it failed, or does not call "
            "the save)"
        ),
        remedy=_ALL_RANKS,
        where=storing_or_alone,
        also=("topology", "storage"),
        weight=0.58,
        example='  File "trainer.py", line 3, in save_checkpoint\n    self.strategy.barrier("save")',
    ),
    Entry(
        "removed-by-another-rank",
        "concurrency",
        ("_rmtree", "rmtree(", "shutil.py", "/tmp/tmp"),
        r"(?:_rmtree\w*|rmtree\(|shutil\.py).{0,600}?(?:FileNotFoundError|No such file or directory)"
        r"[^\n]{0,40}'?(?P<path>[^'\s]+)?"
        r"|(?:No such file or directory): '(?P<path2>/tmp/tmp\w+)'",
        why="`{path}` was gone when it was to be removed or read: another rank had removed it already",
        remedy="Let one rank delete, after a barrier; `ignore_errors=True` where it may be gone.",
        where=apart_from_steps,
        weigh=removed_twice,
        also=("retention", "not-found", "storage"),
        weight=0.86,
        example=(
            '  File "shutil.py", line 9, in _rmtree_safe_fd\nFileNotFoundError: [Errno 2] No such file or directory: '
            "'w_3.pt'"
        ),
    ),
    Entry(
        "parent-folder-not-yet",
        "concurrency",
        ("parent directory",),
        r"Parent directory (?P<path>\S+) does not exist",
        why="`{path}` is not there: nobody made it, or the rank that makes it comes later than this one",
        remedy="Make it on every rank before the save (`os.makedirs(path, exist_ok=True)`).",
        where=saving_or_alone,
        weigh=ranked(("not-found", 0.78), ("concurrency", 0.74), ("storage", 0.5)),
        test="path",
        example="RuntimeError: Parent directory runs/d20 does not exist. (save_checkpoint)",
    ),
)
