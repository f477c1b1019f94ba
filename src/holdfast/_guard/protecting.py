"""A save made atomic: written aside, forced to the disk, verified, then renamed over the one before.

Aside is a folder beside the target, ``.<name>.holdfast-<host>-<pid>-<random>``, with the target's own name in it: the file is the
same byte for byte (PyTorch puts its name into the archive), a framework that looks at the ending finds it, and the rename
stays within one file system. Until the rename the checkpoint before is untouched under its name; the rename replaces it in one
step (rename(2)).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
from pathlib import Path

from .._integrity.atomic import force_file, force_folder
from .._integrity.seal import SEAL_SUFFIX

__all__ = ["Aside", "movable_to", "put_right"]

_LONGEST = 180
"""Characters of the target's name that the folder's name has, so that it stays within 255 bytes."""
_OURS = re.compile(r"\..*\.holdfast-(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-[0-9a-f]{8}")


class Aside:
    """A place beside ``place`` (a real path) where a save is written first. ``path`` is what the framework is given.

    Raises :class:`OSError` where the folder cannot be made. Remains of saves of the same name whose process was killed on
    this machine are taken away.
    """

    def __init__(self, place: str) -> None:
        self.place = Path(place)
        self.before = _state(self.place)
        front = f".{self.place.name[:_LONGEST]}.holdfast-"
        _sweep(self.place.parent, front)
        self.folder = self.place.with_name(f"{front}{_host()}-{os.getpid()}-{secrets.token_hex(4)}")
        self.folder.mkdir()
        self._lock = _locked(self.folder)
        self.path = str(self.folder / self.place.name)

    @property
    def written(self) -> bool:
        """Whether the call has written anything: of several ranks that make it, mostly one does."""
        return any(self.folder.iterdir())

    @property
    def disturbed(self) -> bool:
        """Whether the target has become another file meanwhile: somebody else writes it."""
        return _state(self.place) != self.before

    def force(self) -> None:
        """All that was written is on the medium when this returns."""
        for top, folders, files in os.walk(self.folder):
            for name in files:
                if not (found := Path(top, name)).is_symlink():
                    force_file(found)
            for name in folders:
                force_folder(Path(top, name))

    def publish(self) -> None:
        """Put it in its place, the file of the target's own name last, and durably. Raises :class:`OSError`."""
        names = sorted(self.folder.iterdir(), key=lambda p: (p.name == self.place.name, p.name))
        seal = self.place.name + SEAL_SUFFIX
        for new in [p for p in names if p.name != seal]:
            target = self.place.with_name(new.name)
            if target == self.place:
                # the old seal is of the old content: better none for a moment than one that says otherwise
                self.place.with_name(seal).unlink(missing_ok=True) if (self.folder / seal).exists() else None
            _as_before(new, target)
            if new.is_dir() and target.exists():
                _swap(new, target, self.folder)
            else:
                new.replace(target)
        if (self.folder / seal).exists():
            (self.folder / seal).replace(self.place.with_name(seal))
        force_folder(self.place.parent)
        self.discard()

    def copy(self) -> None:
        """Write it into the file that is there, as the call would have. Raises :class:`OSError`."""
        for new in self.folder.iterdir():
            if new.is_file():
                shutil.copyfile(new, self.place.with_name(new.name))

    def discard(self) -> None:
        """Take away what is there; nothing may be left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def movable_to(path: str) -> str | None:
    """The real path of a target that can be replaced by a rename; ``None`` for an address, a device, a pipe, a path without a
    folder: the call goes where it was told to."""
    if re.match(r"\w[\w+.-]+://", path):
        return None
    place = os.path.realpath(path)
    if not Path(place).parent.is_dir() or not Path(place).name:
        return None
    try:
        kind = Path(place).stat().st_mode
    except FileNotFoundError:
        return place
    except OSError:
        return None
    return place if stat.S_ISREG(kind) or stat.S_ISDIR(kind) else None


def put_right(error: BaseException, aside: str, path: str) -> None:
    """Let an error name the path that the program gave, in place of the one aside."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        one.args = tuple(a.replace(aside, path) if isinstance(a, str) else a for a in one.args)
        for name in ("filename", "filename2"):
            given = getattr(one, name, None)
            if isinstance(given, str) and given.startswith(aside):
                setattr(one, name, given.replace(aside, path))
        one = one.__cause__ or one.__context__


def _as_before(new: Path, old: Path) -> None:
    """The mode, and where it may be the owner, of the file that is replaced: writing into it would have left them."""
    try:
        about = old.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(about.st_mode):
        return
    new.chmod(stat.S_IMODE(about.st_mode))
    made = new.stat()
    if (made.st_uid, made.st_gid) != (about.st_uid, about.st_gid) and hasattr(os, "chown"):
        try:
            os.chown(new, about.st_uid, about.st_gid)
        except PermissionError:  # only root may give files away; the file is this user's then
            return


def _swap(new: Path, target: Path, folder: Path) -> None:
    """A folder in another's place: a rename does not replace one that is not empty."""
    old = folder / f"previous-{secrets.token_hex(4)}"
    target.replace(old)
    try:
        new.replace(target)
    except BaseException:
        old.replace(target)
        raise


def _sweep(parent: Path, front: str) -> None:
    """Take away what saves of this name left whose process is gone: each is as large as a checkpoint."""
    for entry in parent.iterdir():
        found = _OURS.fullmatch(entry.name) if entry.name.startswith(front) else None
        if found is None or found["host"] != _host() or not _gone(int(found["pid"])):
            continue
        lock = _locked(entry)  # a container may have this host's name and process numbers of its own
        if lock is not None:
            shutil.rmtree(entry, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """The kernel's lock on a folder, until its descriptor is closed; ``None`` where another has it, or there is none."""
    if os.name == "nt":
        return None
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _state(place: Path) -> tuple[int, int, int] | None:
    try:
        about = place.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns
