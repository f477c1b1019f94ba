"""Who is writing which checkpoint: other threads of this process, and other processes of this user on this machine.

Processes find each other by a journal for each path, in a folder below the system's temporary one: nothing is put beside the
checkpoints. A save writes a line as it begins and one as it ends; what has begun, has not ended and belongs to a process that
lives is under way. The kernel's lock (``flock``) is held for the writing of a line only. Where there is none (Windows), or no
such folder can be had, only threads are seen; processes on other machines never are.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Other", "Writers", "Writing"]

_LARGEST = 256 << 10
"""Bytes of a journal from which on lines older than an hour are dropped."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Other:
    """Another writer of a path. ``who``: for people. ``overlap``: it wrote at the same time. ``kin``: it is another rank of this
    process's job. ``api``: its call. ``key``: tells writers apart. ``inner``: a library's own thread, in this process."""

    who: str
    overlap: bool
    kin: bool = False
    api: str = ""
    key: str = ""
    inner: bool = False


@dataclass(slots=True)
class Writing:
    """A save that is under way. ``others``: writers that were found at work as it began. ``inner``: see :class:`Other`.
    ``together``: the other ranks of this job make the same call, for their parts of one checkpoint."""

    place: str
    site: str
    api: str
    thread: int
    key: str
    since: float
    inner: bool = False
    together: bool = False
    others: list[Other] = field(default_factory=list)


class Writers:
    """The saves that are under way; one object for a guard, whatever its threads do."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder``: where the journals lie; by default the user's own below the temporary folder."""
        self._lock = threading.Lock()
        self._here: dict[str, list[Writing]] = {}
        self._folder = folder
        self._looked = folder is not None
        self._wrote: dict[str, Writing] = {}
        self._me: dict[str, Any] = {"pid": os.getpid(), "born": _born(os.getpid()), **_rank()}

    def begin(self, place: str, site: str, api: str, inner: bool = False, together: bool = False) -> Writing:
        """A save of ``place`` (a real path) begins; ``others`` of what is given are those that write it too."""
        thread = threading.get_ident()
        if self._me["pid"] != os.getpid():  # a fork
            self._me.update(pid=os.getpid(), born=_born(os.getpid()))
            self._here, self._wrote, self._lock = {}, {}, threading.Lock()
        writing = Writing(
            place, site, api, thread, f"{os.getpid()}-{secrets.token_hex(4)}", time.time(), inner, together
        )
        with self._lock:
            row = self._here.setdefault(place, [])
            for other in row:
                if other.thread != thread:
                    writing.others.append(
                        Other(
                            f"another thread, at {other.site}", True, False, other.api, other.key, other.inner
                        )
                    )
            row.append(writing)
        for line in self._open(self._noted(place, self._line(writing, "begin"))):
            if not self._joined(writing, line):
                writing.others.append(_other(line, True, self._me))
        self._wrote.setdefault(place, writing)
        return writing

    def end(self, writing: Writing) -> list[Other]:
        """It has ended, well or not; gives those of other processes that began to write the place in the meantime, and other
        ranks of this job that have written it before."""
        with self._lock:
            row = self._here.get(writing.place, [])
            if writing in row:
                row.remove(writing)
            if not row:
                self._here.pop(writing.place, None)
        lines = self._noted(writing.place, self._line(writing, "end"))
        known = {other.key for other in writing.others}
        found = []
        for line in lines:
            if line.get("at") != "begin" or line.get("pid") == self._me["pid"] or line.get("id") in known:
                continue
            if self._joined(writing, line):
                continue
            meanwhile = line.get("t", 0.0) >= writing.since
            kin = _kin(line, self._me) and line.get("t", 0.0) >= self._wrote[writing.place].since - _HOUR
            if meanwhile or kin:
                found.append(_other(line, meanwhile, self._me))
        return found

    def later(self) -> Iterator[tuple[Writing, Other]]:
        """At the end: places that this process wrote and that other ranks of its job wrote too, with one of these each."""
        for place, writing in self._wrote.items():
            kin = [
                line for line in self._noted(place, None)
                if line.get("at") == "begin" and _kin(line, self._me) and not self._joined(writing, line)
            ]  # fmt: skip
            if kin:
                yield writing, _other(kin[0], False, self._me)

    def close(self) -> None:
        """Take away the journals that nobody else uses."""
        for place in self._wrote:
            with self._journal(place) as file:
                if file is None:
                    continue
                others = [line for line in _lines(file) if line.get("pid") != self._me["pid"]]
                if not any(_lives(line) for line in others):
                    self._path(place).unlink(missing_ok=True)
        self._wrote.clear()
        if self._folder is not None:
            _sweep(self._folder)

    def _joined(self, writing: Writing, line: dict[str, Any]) -> bool:
        """Whether another rank wrote its part of the same checkpoint, by the same call. Ranks that no launcher has named
        (``mp.spawn``) are known by the call alone."""
        if not writing.together or line.get("api") != writing.api:
            return False
        return _kin(line, self._me) or ("job" not in self._me and "job" not in line)

    # -- the journal -----------------------------------------------------------------------------------------------
    def _line(self, writing: Writing, at: str) -> dict[str, Any]:
        return {
            **self._me,
            "id": writing.key,
            "at": at,
            "site": writing.site,
            "api": writing.api,
            "t": time.time(),
        }

    def _open(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Beginnings without an end, of other processes that live."""
        ended = {line.get("id") for line in lines if line.get("at") == "end"}
        return [
            line for line in lines
            if line.get("at") == "begin" and line.get("id") not in ended
            and line.get("pid") != self._me["pid"] and _lives(line)
        ]  # fmt: skip

    def _noted(self, place: str, line: dict[str, Any] | None) -> list[dict[str, Any]]:
        """The journal's lines, after one more is added (``None``: nothing is)."""
        with self._journal(place) as file:
            if file is None:
                return []
            lines = _lines(file)
            if line is None:
                return lines
            if os.fstat(file.fileno()).st_size > _LARGEST:
                newest = time.time() - _HOUR
                lines = [one for one in lines if one.get("t", 0.0) >= newest]
                file.seek(0)
                file.truncate()
                file.write(b"".join(json.dumps(one).encode() + b"\n" for one in lines))
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            return lines

    @contextmanager
    def _journal(self, place: str) -> Iterator[Any]:
        """The open journal of a path, locked; ``None`` where there can be none."""
        folder = self._place_for_journals()
        if folder is None:
            yield None
            return
        import fcntl

        try:
            handle = os.open(self._path(place), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:  # a full or vanished temporary folder: threads are still seen
            yield None
            return
        with os.fdopen(handle, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                yield None
                return
            yield file

    def _path(self, place: str) -> Path:
        assert self._folder is not None
        return self._folder / hashlib.sha256(os.fsencode(place)).hexdigest()[:32]

    def _place_for_journals(self) -> Path | None:
        if not self._looked:
            self._looked = True
            self._folder = _own_folder()
        return self._folder


def _own_folder() -> Path | None:
    """A folder that only this user can write to; ``None`` where there is none to be had, or somebody else made it."""
    if os.name == "nt":
        return None
    folder = Path(tempfile.gettempdir(), f"holdfast-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if ours else None


def _sweep(folder: Path) -> None:
    """Take away journals that nobody has written to for a day: of processes that were killed."""
    oldest = time.time() - 24 * _HOUR
    for entry in folder.iterdir():
        try:
            if entry.stat().st_mtime < oldest:
                entry.unlink()
        except OSError:  # another process was quicker
            continue


def _lines(file: Any) -> list[dict[str, Any]]:
    file.seek(0)
    found = []
    for text in file.read(4 * _LARGEST).splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a process was killed in the middle of a line
            continue
        if isinstance(line, dict) and isinstance(line.get("pid"), int):
            found.append(line)
    return found


def _other(line: dict[str, Any], overlap: bool, me: dict[str, Any]) -> Other:
    kin = _kin(line, me)
    who = f"rank {line['rank']} of this job (process {line['pid']})" if kin else f"process {line['pid']}"
    site = str(line.get("site", ""))
    told = f"{who}, at {site}" if site else who
    return Other(told, overlap, kin, str(line.get("api", "")), str(line.get("id", "")))


def _rank() -> dict[str, str]:
    """This process's rank and job, as launchers tell them (torchrun, Slurm, Open MPI, TensorFlow's ``TF_CONFIG``); nothing where
    it is not one of several."""
    for rank, size, jobs in _LAUNCHERS:
        number, count = os.environ.get(rank), os.environ.get(size)
        if number is None or count is None or count == "1":
            continue
        job = ":".join(os.environ.get(name, "") for name in jobs)
        return {"rank": number, "job": job}
    return _task_of_cluster(os.environ.get("TF_CONFIG"))


def _task_of_cluster(words: str | None) -> dict[str, str]:
    """The task and cluster of ``TF_CONFIG`` (tensorflow/python/distribute/cluster_resolver/tfconfig_cluster_resolver.py)."""
    try:
        told = json.loads(words or "{}")
        cluster, task = told["cluster"], told["task"]
        if sum(len(addresses) for addresses in cluster.values()) < 2:
            return {}
        return {"rank": f"{task['type']}:{task['index']}", "job": json.dumps(cluster, sort_keys=True)}
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # none, or none of TensorFlow's: it complains itself
        return {}


_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")),
    ("SLURM_PROCID", "SLURM_NTASKS", ("SLURM_JOB_ID", "SLURM_STEP_ID")),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ("PMIX_NAMESPACE",)),
)


def _kin(line: dict[str, Any], me: dict[str, Any]) -> bool:
    """Whether it was written by another rank of the same job."""
    return "job" in me and line.get("job") == me["job"] and line.get("rank") != me["rank"]


def _lives(line: dict[str, Any]) -> bool:
    """Whether the process that wrote a line is still there, and not another of its number."""
    pid = line["pid"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    born = _born(pid)
    return born is None or line.get("born") is None or born == line["born"]


def _born(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot (proc(5), ``stat``, field 22); ``None`` where nothing tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None
