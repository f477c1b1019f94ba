"""The disk and what stands for it: space, quotas, permissions, network file systems."""

from __future__ import annotations

import re

from ...concerning import concerns, of_checkpoints
from ...knowledge import Entry, Guess, Look
from ...where import saving, saving_or_alone, storing, storing_or_alone

_ROOM = (
    "Look for room: `df -h`, `df -i`, `quota -s`; the checkpoint before this one is not touched by Holdfast's vault "
    "(`on_full`)."
)

_SAVES = (
    "save",
    "_save",
    "write",
    "save_weights",
    "save_model",
    "_save_checkpoint",
    "save_checkpoint",
    "dump",
    "save_file",
    "save_pretrained",
    "torch_save",
    "rename",
    "replace",
    "rmtree",
    "save_state",
)

_SAVING = ("checkpoint", "ckpt", ".pt", ".h5", "safetensors", "save", "tempstate", ".tmp", "model")


def permission_or_open_elsewhere(look: Look) -> list[Guess]:
    """On Windows a file that another program holds open is refused like one without permission."""
    lower = look.reading.lower
    path = look.facts().get("path", "")
    if path and not concerns(look) and not any(word in path.lower() for word in _SAVING):
        return []
    if (
        re.match(r"[A-Za-z]:[\\/]", path)
        and "." not in re.split(r"[\\/]", path)[-1]
        and not look.around.saving
    ):
        why = f"`{path}` is a folder: Windows refuses to open one as it refuses what one has no right to"
        remedy = "Name the file in it; `holdfast FOLDER` says which checkpoint lies there."
        return [
            look.entry.guess(look, "not-found", confidence=0.8, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.76),
        ]
    if not ("rename" in lower and "access is denied" in lower):
        return [look.entry.guess(look)]
    why = (
        "the rename failed because another program holds the file open (on Windows: TensorBoard, a sync tool, "
        "antivirus)"
    )
    remedy = "Close it, or save into another folder than the one that it watches."
    return [
        look.entry.guess(look, "concurrency", confidence=0.84, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.7),
    ]


def parent_or_room(look: Look) -> list[Guess]:
    """The writer could not begin, or could not go on."""
    if "Parent directory" not in look.match[0]:
        return [look.entry.guess(look)]
    remedy = "Make it first: os.makedirs(os.path.dirname(path), exist_ok=True)."
    return [
        look.entry.guess(look, "not-found", confidence=0.93, why="the folder does not exist", remedy=remedy)
    ]


ENTRIES = (
    Entry(
        "disk-full",
        "storage",
        (
            "no space left on device",
            "errno 28",
            "enospc",
            "disk quota exceeded",
            "errno 122",
            "not enough free disk space",
            "there is not enough space on the disk",
            "not enough",
        ),
        r"No space left on device|\[?Errno 28\]?|ENOSPC|Disk quota exceeded|\[?Errno 122\]?"
        r"|not enough (?:free )?(?:disk )?space|There is not enough space on the disk",
        why="the disk (or the quota) is full; what was being written is not whole",
        remedy=_ROOM,
        also=("incomplete-save", "corrupt"),
        weight=0.93,
        test="space",
        example="OSError: [Errno 28] No space left on device",
    ),
    Entry(
        "torch-writer-failed",
        "storage",
        (
            "parent directory",
            "file write failed",
            "pytorchstreamwriter",
            "unexpected pos",
            "inline_container.cc",
            "iostream error",
            "basic_ios::clear",
        ),
        r"PytorchStreamWriter failed writing (?P<what>[\w /.]+): file write failed"
        r"|unexpected pos (?P<at>\d+) vs (?P<want>\d+)|(?:iostream error|basic_ios::clear)"
        r"|Parent directory .{1,160} does not exist",
        why=(
            "the operating system did not take the bytes: the disk or the quota is full, or the (network) file "
            "system failed; PyTorch's message hides which"
        ),
        remedy=_ROOM,
        confirm="Free space and quota where the file goes.",
        also=("incomplete-save", "memory"),
        weight=0.88,
        calls=("save", "_save", "write_record"),
        test="space",
        weigh=parent_or_room,
        example=(
            "RuntimeError: [enforce fail at inline_container.cc:471] . PytorchStreamWriter failed writing file "
            "data/3: file write failed"
        ),
    ),
    Entry(
        "permission",
        "storage",
        (
            "permission denied",
            "errno 13",
            "access is denied",
            "read-only file system",
            "errno 30",
            "operation not permitted",
            "winerror 5",
        ),
        r"(?:\[?Errno 13\]?:? ?)?Permission denied:? ?'?(?P<path>[^'\s;]+)?|Access is denied"
        r"|Read-only file system|\[WinError 5\]|Operation not permitted",
        why="this user may not write (or read) there, or another program holds the file open (Windows)",
        remedy="Check owner and mount of the folder; on Windows close TensorBoard, antivirus and sync tools.",
        context=_SAVING,
        calls=_SAVES,
        only_in=True,
        also=("concurrency",),
        weight=0.82,
        test="path",
        weigh=permission_or_open_elsewhere,
        example="PermissionError: [Errno 13] Permission denied: 'runs/ckpt/model.pt'",
    ),
    Entry(
        "io-error",
        "storage",
        (
            "input/output error",
            "errno 5]",
            "stale file handle",
            "errno 116",
            "transport endpoint is not connected",
            "remote i/o error",
            "device or resource busy",
            "errno 16",
            "errno 121",
            "stale nfs file handle",
            "[errno 107]",
            "errno 107]",
        ),
        r"Input/output error|Stale (?:NFS )?file handle|Transport endpoint is not connected|Remote I/O error"
        r"|\[?Errno (?:5|116|107|121|16)\]|Device or resource busy",
        why="the (network) file system failed under the file",
        remedy=(
            "Save to a local disk first and copy; look into the kernel's log (`dmesg`); `holdfast verify` says what "
            "of the file is whole."
        ),
        context=_SAVING,
        calls=_SAVES,
        only_in=True,
        also=("concurrency", "corrupt"),
        weight=0.82,
        test="path",
        example="OSError: [Errno 116] Stale file handle: '/mnt/runs/ckpt-5.pt'",
    ),
    Entry(
        "remote-scheme",
        "storage",
        ("file system scheme", "unknown scheme", "not implemented (file:", "s3 is not implemented"),
        r"File system scheme '?(?P<scheme>[^'\n]{1,200}?)'? not implemented",
        why="this build of TensorFlow cannot reach `{scheme}://` paths",
        remedy="Install `tensorflow-io`, set up the Hadoop libraries for hdfs, or save locally and upload.",
        also=("version-mismatch",),
        weight=0.94,
        example="UnimplementedError: File system scheme 'hdfs' not implemented",
    ),
    Entry(
        "remote-access",
        "storage",
        (
            "accessdenied",
            "nosuchbucket",
            "slowdown",
            "requesttimeout",
            "could not connect to the endpoint",
            "unable to locate credentials",
            "expiredtoken",
            "httperror",
            "botocore.exceptions",
            "http 403",
            "http 429",
            "http 503",
            "http403",
            "http429",
            "http503",
        ),
        r"AccessDenied|NoSuchBucket|SlowDown|RequestTimeout|HTTP(?:Error)? ?(?:403|429|503)"
        r"|Could not connect to the endpoint|Unable to locate credentials|ExpiredToken|botocore\.exceptions",
        why="the object store refused or failed",
        remedy=(
            "Check credentials, bucket and rate limits, and try again; an upload that broke off is not visible under "
            "most stores."
        ),
        context=("s3", "gs:", "gcs", "checkpoint", "azure", "blob", "upload"),
        only_in=True,
        weight=0.8,
        where=storing_or_alone,
        example=(
            "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the PutObject operation: "
            "s3://bucket/ckpt"
        ),
    ),
    Entry(
        "too-many-files",
        "storage",
        ("too many open files", "errno 24"),
        r"Too many open files|\[?Errno 24\]?",
        why="the process has more files open than it may",
        remedy="`ulimit -n 65536`; torch.multiprocessing.set_sharing_strategy('file_system').",
        calls=_SAVES,
        weigh=of_checkpoints,
        weight=0.75,
        also=("concurrency",),
        example="OSError: [Errno 24] Too many open files: 'ckpt-3.pt'",
    ),
    Entry(
        "file-not-opened",
        "storage",
        ("cannot be opened", "open file failed", "ailed to open"),
        (
            r"File (?P<path>\S+) cannot be opened|open file failed(?: because of errno (?P<errno>\d+))?"
            r"|failed to open file:? ?(?P<path2>\S+)"
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
        "writer-gave-up",
        "storage",
        (
            "streamwriter failed",
            "write error: wrote",
            "blocks instead of",
            "failed to write",
            "error writing",
            "could not write",
            "unable to write",
            "failed to save",
            "failed writing",
        ),
        r"StreamWriter failed (?:opening archive|writing)|write error: wrote (?P<got>\d+) blocks instead of (?P<want>\d+)"
        r"|(?:failed to write|error writing|could not write|unable to write(?! to file </torch_)"
        r"|failed writing)(?= .{0,120}(?:checkpoint|ckpt|model|weights|file|\.pth?|\.h5|tensor))",
        why=(
            "the operating system did not take the bytes: no room or quota, no permission, no such "
            "folder, or a failing (network) disk"
        ),
        remedy=_ROOM,
        where=saving_or_alone,
        also=("not-found", "incomplete-save"),
        weight=0.8,
        test="space",
        example="RuntimeError: [enforce fail at inline_container.cc:319] . PytorchStreamWriter failed opening archive.",
    ),
    Entry(
        "store-errors",
        "storage",
        (
            "google.api_core",
            "gcsfs",
            "s3fs",
            "fsspec",
            "azure",
            "boto",
            "putobject",
            "uploadpart",
            "multipart upload",
            "gs://",
            "s3://",
            "hdfs://",
            "abfs",
            "dbfs",
            "fuse",
            "google.auth",
            "leaseexpired",
            "no lease on",
            "rate limit",
            "reduce the",
            "reduce your",
            "could not resolve host",
            "couldn't resolve host",
        ),
        r"google\.auth\.exceptions\.\w+|LeaseExpired\w*|No lease on (?P<path>\S+)|exceeds the rate limit|reduce (?:the"
        r"|your) (?:request )?rate"
        r"|could(?: not|n't) resolve host|google\.api_core\.exceptions\.\w+|(?:gcsfs|s3fs|fsspec|azure\.core"
        r"|boto\w*)[\w.]*(?:Error"
        r"|Exception)|(?:PutObject|UploadPart|multipart upload).{0,120}(?:fail|error)"
        r"|(?:gs|s3|hdfs|abfss?)://\S{1,200} ?.{0,120}?(?:denied|forbidden|failed|error|timed out"
        r"|not implemented|unavailable|throttl|40[13]|50[0-9])"
        r"|\b(?:dbfs|fuse)\b.{0,160}(?:not supported|error|failed|operation)",
        why="the object store or its mount refused or failed",
        remedy="Check credentials, rate limits and the mount; save to a local disk and upload afterwards.",
        where=storing,
        also=("concurrency", "not-found"),
        weight=0.66,
        example="google.api_core.exceptions.ServiceUnavailable: 503 while saving checkpoint to gs://bucket/ckpt",
    ),
    Entry(
        "errno-while-saving",
        "storage",
        ("[errno", "[winerror"),
        r"(?:OSError|IOError|BlockingIOError|PermissionError|TimeoutError): \[(?:Errno"
        r"|WinError) (?P<errno>\d+)\] ?(?P<what>[^:\n]{3,80})(?:: '?(?P<path>[^'\n]+))?",
        why="the system refused while a checkpoint was written: {what}",
        remedy="Look for room, permission and the health of the (network) file system.",
        calls=_SAVES,
        only_in=True,
        where=saving,
        also=("concurrency", "not-found"),
        weight=0.5,
        test="space",
        example=(
            '  File "a.py", line 3, in save_checkpoint\n    torch.save(sd, p)\nOSError: [Errno 61] No '
            "data available: 'ckpt.pt'"
        ),
    ),
)
