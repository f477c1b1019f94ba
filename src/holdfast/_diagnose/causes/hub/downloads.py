"""What is fetched, and the cache it goes to: pointers in place of files, half downloads, locks, hubs that are not reached.

Messages: huggingface_hub/file_download.py, transformers/utils/hub.py, git-lfs, mlflow and wandb artifacts.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

_AGAIN = "Delete it from the cache and download it again; `holdfast FILE` says what is there and how much is missing."


ENTRIES = (
    Entry(
        "zip-and-old-library",
        "version-mismatch",
        ("is a zip archive", "with base 8"),
        r"(?:[\\/](?:blobs|transformers|snapshots|hub)[\\/]|\b[0-9a-f]{32})\S* is a zip archive"
        r"|invalid literal for int\(\) with base 8",
        why="the file is a zip as PyTorch 1.6 and later write it, and an older version reads it here (as a tar, as TorchScript)",
        remedy="Upgrade PyTorch, or save it again with `_use_new_zipfile_serialization=False`.",
        weigh=ranked(("version-mismatch", 0.95), ("corrupt", 0.72), ("format-mismatch", 0.7)),
        test="whole",
        example="    n = int(s.strip() or '0', 8)\nValueError: invalid literal for int() with base 8: 'ld_tenso'",
    ),
    Entry(
        "binary-read-as-text",
        "format-mismatch",
        ("codec can't decode byte 0x",),
        r"codec can't decode byte 0x(?P<byte>8b in position 1|80 in position (?:0|64)|89 in position 0|b5 in position 1"
        r"|93 in position 0)\b",
        why="a binary file (byte 0x{byte}: an archive, a pickle, HDF5) is read as if it were text or JSON",
        remedy="`holdfast FILE` says what it is; unpack it, or give the config where the config is asked for.",
        where=loading_or_alone,
        weigh=ranked(("format-mismatch", 0.8), ("version-mismatch", 0.62), ("corrupt", 0.58)),
        test="whole",
        example="UnicodeDecodeError: 'utf-8' codec can't decode byte 0x8b in position 1: invalid start byte",
    ),
    Entry(
        "git-lfs-pointer",
        "corrupt",
        (
            "without having git-lfs installed",
            "git-lfs.github.com/spec",
            "version https://git-lfs",
            "git lfs pull",
            "git lfs install",
            "smudge filter lfs",
            "smudge error",
            "oid sha256:",
            "git-lfs pointer",
            "lfs pointer",
        ),
        "",
        why="the file is a Git-LFS pointer: the repository was cloned without its large files",
        remedy="`git lfs install`, then `git lfs pull` in the clone; or download the file itself.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.92,
        test="whole",
        example="OSError: You seem to have cloned a repository without having git-lfs installed.",
    ),
    Entry(
        "cache-not-writable",
        "storage",
        (
            "permission denied",
            "errno 13",
            "read-only file system",
            "errno 30",
            "winerror 1314",
            "winerror 5",
            "not writable",
            "not writeable",
        ),
        r"(?:Permission denied|Read-only file system|\[WinError (?:1314|5)\][^:]*|not writ(?:e)?able).{0,160}?"
        r"(?:\.cache|huggingface|hub[\\/]|models--|\.locks?\b|torch[\\/]hub|snapshots|blobs|transformers_cache|\.keras|cache_dir"
        r"|HF_HOME)|(?:get_from_cache|cached_path|hf_hub_download|cached_file|snapshot_download|_create_symlink).{0,600}?"
        r"(?:Permission denied|Read-only file system|WinError (?:1314|5)\b)|^(?:OSError: )?\[Errno 30\] Read-only file system: "
        r"'/[^'.]{0,80}'\.?$",
        why="the cache for downloads may not be written (or locked) by this user: another user's files, a read-only mount",
        remedy="Point HF_HOME (or `cache_dir`) to a folder of your own; read-only caches want HF_HUB_OFFLINE=1.",
        also=("concurrency", "not-found"),
        weight=0.86,
        test="space",
        example="PermissionError: [Errno 13] Permission denied: '/home/u/.cache/huggingface/hub/x.lock'",
    ),
    Entry(
        "hub-not-reached",
        "not-found",
        (
            "client error",
            "readtimeout",
            "couldn't reach server",
            "max retries exceeded",
            "cannot find the requested files in the",
            "we cannot find the requested files",
            "outgoing traffic has been disabled",
            "offline mode is enabled",
            "access a gated repo",
            "gatedrepoerror",
            "401 client error",
            "403 client error",
            "max retries exceeded with url",
            "couldn't connect to 'https://huggingface",
            "couldn't reach server at",
            "can't reach server",
            "readtimeouterror(\"httpsconnectionpool(host='huggingface",
        ),
        r"cannot find the requested files in the|outgoing traffic has been disabled|offline mode is enabled|access a gated repo"
        r"|GatedRepoError|40[13] Client Error|(?:Max retries exceeded|ReadTimeout\w*).{0,200}?(?:huggingface|hf\.co|hf-mirror)"
        r"|(?:huggingface|hf\.co|hf-mirror).{0,200}?(?:Max retries exceeded|ReadTimeout)"
        r"|couldn't connect to 'https://huggingface|(?:couldn't|can't) reach server",
        why="the model is not in the cache, and the hub was not reached, or does not give it to this user",
        remedy=(
            "Log in and ask for access (`hf auth login`), or fetch it once with a connection (`hf download`) and give the "
            "folder."
        ),
        also=("storage", "incomplete-save"),
        weight=0.84,
        where=loading_or_alone,
        test="path",
        example="OSError: You are trying to access a gated repo. 401 Client Error.",
    ),
    Entry(
        "part-of-the-cache",
        "incomplete-save",
        ("no such file or directory",),
        r"No such file or directory: "
        r"'(?P<path>[^']*(?:\.cache|models--|[\\/]hub[\\/])[^']*?(?:\.json|\.txt|\.model|\.bin|\.safetensors))'",
        why="the cache has the folder without this file: its download was broken off, or another process is still at it",
        remedy="Delete that folder from the cache and download it again.",
        where=loading_or_alone,
        weigh=ranked(("incomplete-save", 0.85), ("not-found", 0.8), ("concurrency", 0.5)),
        test="whole",
        example="FileNotFoundError: [Errno 2] No such file or directory: '/home/u/.cache/models/m/modules.json'",
    ),
    Entry(
        "upload-over-size",
        "size-limit",
        (
            "contains files larger than",
            "exceeds github's file size limit",
            "enable upload of files > 5gb",
            "payload too large",
            "entity too large",
            "file size limit of",
            "maximum allowed size",
        ),
        r"contains files larger than (?P<size>\S+)|exceeds GitHub's file size limit|enable upload of files > 5GB"
        r"|(?:Payload|Entity) Too Large|file size limit of|maximum allowed size",
        why="the place that it is sent to takes no file of that size this way",
        remedy="Store it with Git LFS, write smaller shards (`max_shard_size`), or upload over HTTP (`hf upload`).",
        weigh=ranked(("size-limit", 0.9), ("storage", 0.84)),
        example="remote: Your push was rejected because it contains files larger than 10M.",
    ),
    Entry(
        "upload-refused",
        "storage",
        ("client error", "server error", "failed to push some refs", "'git', 'push'"),
        r"(?:4\d\d Client|5\d\d Server) Error.{0,160}?(?:multipart|preupload|/commit/|upload|lfs)"
        r"|failed to push some refs to '?https?://\S*(?:huggingface|hf\.co)|\['git', 'push'",
        why="the hub (or the store behind it) did not take the upload: the connection, the quota, a size, or another commit",
        remedy="Send it again (`hf upload` goes on where it stopped); keep the local checkpoint until it is there.",
        weigh=ranked(("storage", 0.84), ("size-limit", 0.74), ("concurrency", 0.6)),
        example="HTTPError: 400 Client Error: Bad Request for url: https://huggingface.co/api/complete_multipart",
    ),
    Entry(
        "cache-locked",
        "concurrency",
        ("the file lock '", "could not be acquired", "winerror 183", "winerror 32"),
        r"The file lock '(?P<path>[^']+)' could not be acquired|\[WinError (?:183|32)\].{0,200}?(?:blobs|snapshots"
        r"|huggingface|models--|\.cache)",
        why="another process holds (or left behind) the lock of the cache, or made the same file at that time",
        remedy="End the other process, delete the lock, and let one process download before the others start.",
        also=("storage",),
        weight=0.84,
        example="filelock._error.Timeout: The file lock '/home/u/.cache/huggingface/hub/.locks/x.lock' could not be acquired.",
    ),
    Entry(
        "download-checked",
        "corrupt",
        (
            "consistency check failed",
            "checksum",
            "mismatch",
            "incompleteread(",
            "digest",
            "corrupted",
            "corrupt checkpoint",
            "is corrupt",
            "hash",
            "sha",
            "md5",
        ),
        r"Consistency check failed|(?:sha-?\d*|md5|checksum|hash|digest)(?:sum)? ?(?:mismatch"
        r"|(?:checksum )?does not(?! match: stored)|validation failed|error)"
        r"|IncompleteRead\((?P<got>\d+) bytes read, (?P<want>\d+) more|(?<!your checkpoint )file (?:is|has been) corrupted"
        # PyTorch's reader of archives ends its own message with "a high likelihood that your checkpoint file is corrupted"
        r"|(?:corrupt checkpoint|(?<!likelihood that your )checkpoint(?: file)? is corrupt)",
        why="what was downloaded or copied is not what its checksum (or size) says",
        remedy=_AGAIN,
        where=loading_or_alone,
        also=("incomplete-save",),
        weight=0.86,
        test="whole",
        example="RuntimeError: Model has been downloaded but the SHA256 checksum does not match. Please retry loading the model.",
    ),
    Entry(
        "artifact-not-there",
        "not-found",
        (
            "occurred while downloading",
            "artifact",
            "run with id=",
            "invalid model handle",
        ),
        r"(?:failures? occurred while downloading|download_artifacts?|artifacts?\b).{0,300}?(?:No such file or directory|\b404\b"
        r"|not found|does not exist|NotFound)|Path not contained in artifact|Run with id=\S+ not found|Invalid model handle",
        why="the run (or the registry) has no such artifact at this path: another name, version or server",
        remedy="List the run's artifacts, and check which server and store the address leads to.",
        also=("storage", "incomplete-save"),
        weight=0.78,
        test="path",
        example=(
            "The following failures occurred while downloading one or more artifacts from /a: No such file or directory: "
            "'/a/model'"
        ),
    ),
)
