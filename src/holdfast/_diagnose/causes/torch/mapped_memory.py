"""PyTorch: files mapped into memory and memory shared between processes (aten/src/ATen/MapAllocator.cpp), and ``torch.hub``."""

from __future__ import annotations

from ...first_bytes import AGAIN
from ...knowledge import Entry, Guess, Look, ranked

_SHM = (
    "A container gets 64 MB of /dev/shm: give it more (`--shm-size=8g`, `--ipc=host`); `ulimit -n 65535`, or "
    "`torch.multiprocessing.set_sharing_strategy('file_system')`, where file handles ran out."
)


def shared_between_processes(look: Look) -> list[Guess]:
    """Data loaders share memory far more often than saves do: only beside a save or a load it is said of one."""
    sure = 0.84 if look.around.storing else 0.4
    handles = "open files" in look.match[0].lower()
    order = ("storage", "memory") if handles else ("memory", "storage")
    return [
        look.entry.guess(look, order[0], confidence=sure),
        look.entry.guess(look, order[1], confidence=sure - 0.1),
        look.entry.guess(look, "concurrency", confidence=sure - 0.2),
    ]


def mapped(look: Look) -> list[Guess]:
    """A file could not be mapped: what the system's own words say."""
    said = look.match[0].lower()
    here = look.around
    others = "failed to mmap" in said or "in read-only mode" in said  # as other programs say it too

    def guess(look: Look, label: str, confidence: float, **words: str) -> Guess:
        sure = confidence * 0.34 if others and not (here.storing or here.kept) else confidence
        return look.entry.guess(look, label, confidence=sure, **words)

    if "allocate memory" in said or "(12)" in said:
        why = "there is not enough address space or memory to map the file"
        remedy = (
            "Raise `ulimit -v`, or load without `mmap=True` and part by part (`holdfast.open(FILE)` reads one tensor at a "
            "time)."
        )
        return [
            guess(look, "memory", confidence=0.86, why=why, remedy=remedy),
            guess(look, "storage", confidence=0.5),
        ]
    if "mmap memory" in said:
        why = "the memory could not be mapped: an empty file, or a limit of the system (`ulimit -v`, handles, /dev/shm)"
        return [
            guess(look, "storage", confidence=0.82, why=why, remedy=_SHM),
            guess(look, "memory", confidence=0.76, why=why, remedy=_SHM),
            guess(look, "corrupt", confidence=0.5),
        ]
    if "such file" in said:
        why = "there is no file at that path"
        return [
            guess(
                look,
                "not-found",
                confidence=0.88,
                why=why,
                remedy="Check the path (`holdfast FOLDER` lists what is there).",
            ),
            guess(look, "storage", confidence=0.4),
        ]
    if "such device" in said or "(19)" in said or "(5)" in said:
        why = "the file system (FUSE, some network mounts) maps no files, or failed while it did"
        remedy = "Copy the file to a local disk, or load without `mmap=True`."
        return [
            guess(look, "storage", confidence=0.86, why=why, remedy=remedy),
            guess(look, "memory", confidence=0.4),
        ]
    return [
        guess(look, "corrupt", confidence=0.76),
        guess(look, "incomplete-save", confidence=0.62),
        guess(look, "storage", confidence=0.5),
        guess(look, "memory", confidence=0.4),
    ]


ENTRIES = (
    Entry(
        "shared-memory-full",
        "memory",
        (
            "shared memory object </torch_",
            "shared memory(shm) for file",
            "unable to write to file </torch_",
            "shared memory segment",
        ),
        r"unable to open shared memory object </torch_[^>]*>(?: in read-write mode)?(?:: [\w ]+\(\d+\))?"
        r"|unable to (?:allocate|resize|map) shared memory\(shm\) for file|unable to write to file </torch_\w+>"
        r"|Couldn't allocate shared memory segment",
        why="memory that processes share ran out (/dev/shm is full, or there are too many open files)",
        remedy=_SHM,
        weigh=shared_between_processes,
        example="torch.save(model.state_dict(), 'last.pt')\nRuntimeError: unable to write to file </torch_18692_1954506624>",
    ),
    Entry(
        "file-not-mapped",
        "corrupt",
        ("unable to mmap", "in read-only mode", "smaller than the required mapping size", "failed to mmap"),
        r"unable to mmap (?:\d+ bytes from file <(?P<path>[^>]*)>|memory)[^\n]{0,80}"
        r"|unable to open file <(?P<path2>[^>]*)> in read-only mode[^\n]{0,60}"
        r"|file size \d+ is smaller than the required mapping size|failed to mmap [^\n]{0,80}",
        why="the file is smaller than what is to be mapped of it: it is cut off, or something else is writing it",
        remedy=AGAIN,
        weigh=mapped,
        test="whole",
        example="RuntimeError: unable to mmap 4194304 bytes from file <model.pt>: Invalid argument (22)",
    ),
    Entry(
        "hub-repository-not-there",
        "not-found",
        ("repo could not be found in the cache", "from a forked repo", "in hubconf"),
        r"no internet connection and the repo could not be found in the cache"
        r"|Cannot find \S+ in https?://\S+ If it's a commit from a forked repo|Cannot find callable (?P<name>\w+) in hubconf",
        why="torch.hub has neither the repository nor an entry of that name in it (no network, no such branch, another version)",
        remedy=(
            "`torch.hub.list('owner/repo:tag', force_reload=True)` shows its entries; copy ~/.cache/torch/hub to a machine "
            "offline."
        ),
        weigh=ranked(("not-found", 0.8), ("version-mismatch", 0.56), ("storage", 0.46)),
        example="RuntimeError: Cannot find callable resnet999 in hubconf",
    ),
    Entry(
        "hub-not-trusted",
        "unsafe-pickle",
        ("untrusted repository",),
        r"(?:Exception: |^)Untrusted repository\.?(?=\s|$)(?! *\w)",
        why="torch.hub runs the repository's own code, and the question whether it is trusted was answered with no",
        remedy="Read the repository's `hubconf.py`; where you trust it, `torch.hub.load(..., trust_repo=True)`.",
        weigh=ranked(("unsafe-pickle", 0.84), ("other", 0.5)),
        example="Exception: Untrusted repository.",
    ),
    Entry(
        "hub-dependencies",
        "version-mismatch",
        ("missing dependencies:",),
        r"Missing dependencies: (?P<what>[\w.\-]+(?:, [\w.\-]+)*)",
        why="the repository's entry wants packages that are not installed ({what})",
        remedy="`pip install {what}`, then load again.",
        weigh=ranked(("version-mismatch", 0.56), ("custom-object", 0.5), ("other", 0.44)),
        context=("torch.hub", "hubconf", "torch/hub.py", "hub.load"),
        only_in=True,
        example="torch.hub.load('owner/repo', 'net')\nRuntimeError: Missing dependencies: timm",
    ),
)
