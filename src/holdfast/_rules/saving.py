"""S: what stands against saving, found before the first save of a vault and by ``vault.preflight``.

The faults come from :mod:`holdfast._vault.preparing.preflight`; ``attributes["fails"]`` says whether a save is impossible.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "S101", "disk-full", severity="error", cause="storage", live=True,
    remedy="Free space there, or keep fewer checkpoints (Keep).",
)  # fmt: skip
def disk_full(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """There is no room for one save of this state.

    A save is written beside the checkpoints before it, and nothing is dropped before it is durable: it needs its own
    size free, the record included.

    Evidence: free bytes, and the bytes of one save, measured from the live state.

    What to do: free space, drop steps that are not wanted, or move the vault. ``on_full="prune"`` drops what ``keep``
    would drop without the new step.

    Example: a 12 MB state for a vault on a tmpfs of 8 MB.
    """
    yield from told(rule, subject)


@rule(
    "S102", "disk-tight", severity="warning", cause="storage", live=True,
    remedy="Free space there, or keep fewer checkpoints (Keep): the disk will be full in the middle of the run.",
)  # fmt: skip
def disk_tight(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """There is room for a save, but not for all that ``keep`` wants to have at once.

    While a step is written the ``keep`` older ones are still there: the disk must hold one more than ``Keep`` says.

    Evidence: free bytes, and the bytes that are still to come.

    What to do: free space, or keep fewer.

    Example: ``Keep(last=3)`` with room for two steps of this state.
    """
    yield from told(rule, subject)


@rule(
    "S103", "no-inodes", severity="error", cause="storage", live=True,
    remedy="Delete files there (small ones count like large ones), or choose another file system.",
)  # fmt: skip
def no_inodes(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file system has no room for more files, whatever its free bytes.

    ext4 and others make a fixed number of inodes when they are formatted; a data set of millions of small files uses
    them up while ``df`` still shows free space (``df -i`` tells).

    Evidence: files that can still be made, and those of one save.

    What to do: delete or pack small files, or choose another file system.

    Example: a vault beside an image folder with 20 million entries.
    """
    yield from told(rule, subject)


@rule(
    "S104", "snapshot-memory", severity="warning", cause="memory", live=True,
    remedy="Free memory, use a machine with more, or save a smaller state (optimizer= apart, fewer copies of the model).",
)  # fmt: skip
def snapshot_memory(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The copy that a save holds while it is written does not fit into memory.

    PyTorch and numpy values are copied once, so that training may go on; where memory does not suffice the kernel kills
    the process, without a word from Python. JAX and TensorFlow values are held without a copy, but the first step after
    the save makes the runtime copy what it writes to.

    Evidence: the bytes to be copied, and what is free: of the machine, or of the control group where that is less. An
    error where it is more than memory and swap together can give now.

    What to do: free memory, or save less.

    Example: a 30 GB state in a container of 48 GB that already holds it.
    """
    yield from told(rule, subject)


@rule(
    "S111", "permission-denied", severity="error", cause="storage", live=True,
    remedy="Choose a folder that this user may write to.",
)  # fmt: skip
def permission_denied(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """This user may not do there what a save does.

    Tried out in the real folder: making a folder and a file in it, renaming, deleting. Where only deleting is refused
    (an append-only folder) saving works, and retention does not.

    Evidence: the operation, and the system's error.

    What to do: another folder, or other rights (``chmod``, ``chown``, the container's user).

    Example: a run folder that was made by root, in a container that runs as another user.
    """
    yield from told(rule, subject)


@rule(
    "S112", "read-only", severity="error", cause="storage", live=True,
    remedy="Choose another folder, or remount it.",
)  # fmt: skip
def read_only(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file system is mounted read-only.

    On purpose (a data volume), or because the kernel made it so after an error of the disk: then its log tells.

    Evidence: the mount point.

    What to do: another folder; look at the system's log where nobody mounted it so.

    Example: a vault below ``/kaggle/input``.
    """
    yield from told(rule, subject)


@rule(
    "S113", "path-too-long", severity="error", cause="storage", live=True,
    remedy="Choose a shorter folder, or go there first and name it relative to it.",
)  # fmt: skip
def path_too_long(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The longest path of a save is longer than the system takes.

    An unfinished save has the longest name: ``.partial-step-00001200-0123abcd/optimizer.safetensors``. The limits are
    the file system's for a name (255 bytes, less on encrypted ones) and the kernel's for a path (4095 on Linux).

    Evidence: the length in bytes, and the limit.

    What to do: a shorter folder.

    Example: hyperparameters spelled out in forty nested folder names.
    """
    yield from told(rule, subject)


@rule(
    "S114", "folder-refuses", severity="error", cause="storage", live=True,
    remedy="Look at the system's log and at how this file system is mounted, or choose another folder.",
)  # fmt: skip
def folder_refuses(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An operation that every save needs fails in this folder.

    Tried out there before the first save: make, write, force to the medium (file and folder), rename, delete.

    Evidence: the operation, and the system's error.

    What to do: another folder; an I/O error means that this disk is not to be trusted.

    Example: EIO from the first fsync on a failing disk.
    """
    yield from told(rule, subject)


@rule(
    "S115", "no-atomic-rename", severity="error", cause="storage", live=True,
    remedy="Save to a local disk and copy finished steps there, or mount the store with a driver that renames.",
)  # fmt: skip
def no_atomic_rename(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A finished step cannot be made visible in one operation.

    A commit is one rename of a folder. Where that fails no save can succeed; where a driver carries it out file by file
    (FUSE mounts of object stores) a kill in between leaves a step that is there in part. Its record shows it, so that
    restore passes over it; but it is not what an atomic commit is.

    Evidence: the error, or the type of the file system and what is known of it.

    What to do: save to a local disk.

    Example: a vault on ``s3fs``.
    """
    yield from told(rule, subject)


@rule(
    "S116", "not-durable", severity="warning", cause="storage", live=True,
    remedy="Save to a local disk and copy finished steps there.",
)  # fmt: skip
def not_durable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file system says that data is on the medium before it is.

    Evidence: the type of the file system and what is known of it.

    What to do: save to a local disk, and copy finished steps.

    Example: gcsfuse with streaming writes, where a file reaches the bucket when it is closed.
    """
    yield from told(rule, subject)


@rule(
    "S117", "no-hard-links", severity="note", cause="storage", live=True,
    remedy="Nothing needs to be done; frozen tensors are written again with each save.",
)  # fmt: skip
def no_hard_links(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file system has no hard links, so that frozen tensors cannot be shared between steps.

    Evidence: the error.

    What to do: nothing, or another file system where most of a model is frozen.

    Example: exFAT, and most network mounts of object stores.
    """
    yield from told(rule, subject)


@rule(
    "S118", "no-locks", severity="warning", cause="concurrency", live=True,
    remedy="Make sure that one process saves to this vault at a time.",
)  # fmt: skip
def no_locks(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The kernel's locks do not work here, or not between hosts.

    The lock's text still names the owner, and an owner on this host that no longer lives is passed over; a second writer
    on another host that starts at the same instant would not be seen.

    Evidence: the type of the file system or the mount option that says so.

    What to do: one writer, by your own order; or mount with locks.

    Example: NFS mounted with ``nolock``.
    """
    yield from told(rule, subject)


@rule(
    "S119", "volatile", severity="note", cause="storage", live=True,
    remedy="Copy finished steps to a disk.",
)  # fmt: skip
def volatile(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The vault lies in memory: its checkpoints are gone with the machine.

    Evidence: the mount point and its type.

    What to do: choose a disk where the run must outlive a restart.

    Example: a vault below ``/dev/shm``.
    """
    yield from told(rule, subject)


@rule(
    "S121", "second-writer", severity="error", cause="concurrency", live=True,
    remedy="Wait for the other writer, stop it, or save to another folder.",
)  # fmt: skip
def second_writer(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Another process or object has the vault's lock.

    Evidence: its host, process, and since when.

    What to do: let one of them save. The lock of a process that died is free at once.

    Example: a job that was started twice.
    """
    yield from told(rule, subject)


@rule(
    "S122", "unserialisable", severity="error", cause="unserialisable", live=True,
    remedy="Leave it out, or turn it into tensors, numbers, texts, and lists and dicts of these.",
)  # fmt: skip
def unserialisable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Something that was passed cannot be saved.

    Evidence: what, by its name.

    What to do: pass its state in place of the object.

    Example: ``extra={"loader": loader}``.
    """
    yield from told(rule, subject)


@rule(
    "S123", "background-error", severity="error", cause="async-save", live=True,
    remedy="vault.wait() raises it in full; put its cause right.",
)  # fmt: skip
def background_error(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An earlier save failed in the background, and nobody was told yet.

    Evidence: its step and its error.

    What to do: look at the error; the next call on the vault raises it.

    Example: the disk filled up while training went on.
    """
    yield from told(rule, subject)


@rule("S124", "still-busy", severity="note", cause="async-save", live=True)
def still_busy(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A save is still being written.

    The next one waits for it, is skipped or raises, as ``when_busy`` says.

    Evidence: its step.

    What to do: nothing, or save less often where it happens each time.

    Example: a save every 20 seconds that takes 30 to write.
    """
    yield from told(rule, subject)


@rule(
    "S131", "changed-while-saved", severity="error", cause="concurrency", live=True,
    remedy="Save where nothing else builds, converts or replaces parts of the model.",
)  # fmt: skip
def changed_while_saved(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The structure of the model or optimizer changed while it was being saved.

    Tensors that come, go, or take another shape or dtype between the first look and the copy belong to no one state.
    Nothing is written.

    Evidence: the first tensor, as it was and as it is.

    What to do: save between two steps, in the thread that builds and trains.

    Example: ``model.half()`` in another thread during ``vault.save()``.
    """
    yield from told(rule, subject)


@rule(
    "S132", "torn-snapshot", severity="error", cause="concurrency", live=True,
    remedy="Call save() where everything holds still (between two steps), or make the writers wait until it has returned.",
)  # fmt: skip
def torn_snapshot(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values changed while they were being copied: the snapshot mixes two instants. Nothing is written.

    Seen by content (``proof="content"``), by PyTorch's version counters (``overlap=True``), or where memory that was held
    is not what it was when it is written.

    Evidence: the tensors.

    What to do: let nothing write to the objects between ``save()`` and its return (with ``overlap=True``: until the next
    step, or ``handle.join()``).

    Example: an averaging thread that writes to the weights at any time.
    """
    yield from told(rule, subject)
