"""PyTorch's zip files, and TorchScript archives told apart from them.

Format facts: torch/serialization.py (``_save``: ``data.pkl``, ``byteorder``, ``data/N``, ``.format_version``,
``.storage_alignment``), caffe2/serialize/inline_container.cc (root folder, ``version``,
``.data/serialization_id``; CRC-32 written as 0 where it is not computed),
torch/csrc/jit/serialization/export.cpp (``constants.pkl``, ``code/``). Torch 1.4 and 1.5 put storages under
``tensors/`` where later versions have ``data/``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import PurePath

from ..._core.collector import collector_paused
from ..._core.errors import HoldfastError, PartMissing
from ..._core.fault import Check, Fault, Progress
from ..._core.shell import quote
from ..._storage import Source, Store
from ..._storage.zip_archive import ZipArchive
from ..._storage.zip_directory import directory_bytes, looks_like_zip
from ..pickles.machine import read_pickle
from ..registry import Format
from .catalog import Bank, TorchCatalog, open_torch

__all__ = ["FORMATS", "open_zip", "recognise_zip", "recognise_script"]

_MOST_TEXT = 4096
_WINDOW = 1 << 16
_TOGETHER = 8  # so many local headers within a window are read at once
_LOCAL_HEAD = struct.Struct("<4s22xHH")  # signature, length of the name, of the extra field
_header = attrgetter("header")
_NOWHERE = (None, None)


def _archive(source: Source) -> ZipArchive:
    """The zip directory of a source, read once: recognising and opening both want it."""
    return source.once("zip archive", ZipArchive)


def _root(archive: ZipArchive) -> str | None:
    """The folder that ``data.pkl`` lies in, with its slash; empty at the top; ``None`` without one."""
    for name in archive.members:
        if name == "data.pkl":
            return ""
        if name.endswith("/data.pkl") and name.count("/") == 1:
            return name[: -len("data.pkl")]
    return None


_OF_THE_WRITER = re.compile(r"version|byteorder|\.data/serialization_id|\.format_version|\.storage_alignment")


def _without_pickle(archive: ZipArchive) -> str | None:
    """The root folder of an archive that PyTorch's writer began and closed without ``data.pkl``: ``torch.save`` raised
    while it pickled, and what the writer puts beside it at its end is all there is. ``None`` for any other zip."""
    root, mark, _ = next(iter(archive.members), "").partition("/")
    if not mark or f"{root}/version" not in archive:
        return None
    names = [name.removeprefix(f"{root}/") for name in archive.members]
    return f"{root}/" if all(map(_OF_THE_WRITER.fullmatch, names)) else None


def _first_name(source: Source) -> str:
    head = source.head()
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        return ""
    (length,) = struct.unpack_from("<H", head, 26)
    return head[30 : 30 + length].decode("utf-8", "replace")


def _surely_zip(source: Source) -> bool:
    """Whether ``data.pkl`` is the first member and no name in the directory can be of code: told without parsing
    the directory, which opening will do."""
    first = _first_name(source)
    if not first.endswith("/data.pkl") or first.count("/") != 1:
        return False
    names = directory_bytes(source)
    return first.encode() in names and b"constants.pkl" not in names and b"code/" not in names


def _kind(source: Source) -> str | None:
    """``"zip"``, ``"script"`` or ``None``."""
    if not looks_like_zip(source):
        return None
    try:
        if _surely_zip(source):
            return "zip"
        archive = _archive(source)
    except HoldfastError:
        # The directory stands at the end; of a file that was cut off only the first name tells what it was.
        return "zip" if _first_name(source).endswith("/data.pkl") else None
    root = _root(archive)
    if root is None:
        script = any(
            n.count("/") == 1 and n.endswith(("/model.json", "/constants.pkl")) for n in archive.members
        )
        return "script" if script else "zip" if _without_pickle(archive) else None
    if root + "constants.pkl" in archive or any(n.startswith(root + "code/") for n in archive.members):
        return "script"
    return "zip"


def recognise_zip(source: Source) -> bool:
    """A zip with ``<root>/data.pkl`` and no code in it, or one that would have become that."""
    return _kind(source) == "zip"


def recognise_script(source: Source) -> bool:
    """A zip with ``constants.pkl`` or ``code/`` (or the ``model.json`` of torch 1.0 and 1.1)."""
    return _kind(source) == "script"


class _ZipBank(Bank):
    def __init__(self, archive: ZipArchive, root: str) -> None:
        self.archive = archive
        self.folder = root + "data/"
        if not any(n.startswith(self.folder) for n in archive.members) and any(
            n.startswith(root + "tensors/") for n in archive.members
        ):
            self.folder = root + "tensors/"
        self._extents: dict[str, tuple[int, int | None]] | None = None
        self._open: dict[str, Source] = {}

    def size(self, key: str) -> int | None:
        member = self.archive.members.get(self.folder + key)
        return None if member is None else member.size

    def place(self, key: str) -> int | None:
        return self.extent(key)[1]

    def extent(self, key: str) -> tuple[int | None, int | None]:
        """By the local header alone, so that opening reads 30 bytes a storage; :meth:`view` checks it."""
        if self._extents is None:
            self._extents = self._all_extents()
        return self._extents.get(key, _NOWHERE)

    def _all_extents(self) -> dict[str, tuple[int, int | None]]:
        """Storage -> its bytes and the offset of its payload, by the local headers. Headers that lie close together
        (20,000 small storages) are read together; none is mapped, as each page would stay in memory."""
        source, unpack = self.archive.source, _LOCAL_HEAD.unpack_from
        front = len(self.folder)
        found: dict[str, tuple[int, int | None]] = {}
        members = [m for n, m in self.archive.members.items() if n.startswith(self.folder)]
        members.sort(key=_header)
        window, start, end, size = b"", 0, 0, source.size
        for index, (name, method, _, _, _, length, at) in enumerate(members):
            if method != 0 or at + 30 > size:
                found[name[front:]] = length, None
                continue
            if at + 30 > end:
                ahead = members[index + _TOGETHER - 1 : index + _TOGETHER]
                wanted = _WINDOW if ahead and ahead[0].header < at + _WINDOW - 30 else 30
                window = source.read(at, min(wanted, size - at))
                start, end = at, at + len(window)
            signature, name_length, extra = unpack(window, at - start)
            place = at + 30 + name_length + extra
            known = signature == b"PK\x03\x04" and place + length <= size
            found[name[front:]] = length, place if known else None
        return found

    def view(self, key: str, start: int, length: int) -> memoryview:
        name = self.folder + key
        member = self.archive.members.get(name)
        if member is not None and member.method == 0 and not member.flags & 1:
            place = self.archive.payload(name)
            if start >= 0 and start + length <= member.compressed:
                return self.archive.source.view(place + start, length)
        source = self._open.get(name)
        if source is None:
            source = self.archive.open(name)
            if self.archive.members[name].method != 0:
                self._open[name] = source
        return source.view(start, length)

    def checks(self, names: dict[str, list[str]]) -> Iterator[Check]:
        for name in self.archive.members:
            key = name[len(self.folder) :] if name.startswith(self.folder) else None
            tensors = names.get(key, []) if key is not None else []
            check = self.archive.check(name, tensors[0] if tensors else None)
            if check is not None:
                yield replace(check, run=partial(_run_named, check, tuple(tensors))) if tensors else check


def _run_named(check: Check, tensors: tuple[str, ...], progress: Progress) -> Fault | None:
    """A CRC check whose fault names every tensor that lies on the member."""
    fault = check.run(progress)
    return None if fault is None else replace(fault, tensors=tensors)


def _text(archive: ZipArchive, name: str) -> str | None:
    """A small text member such as ``version``."""
    member = archive.members.get(name)
    if member is None or member.size > _MOST_TEXT:
        return None
    return archive.open(name).head(_MOST_TEXT).decode("utf-8", "replace").strip()


def _attributes(archive: ZipArchive, root: str, faults: list[Fault]) -> tuple[dict[str, object], bool]:
    made: dict[str, object] = {"root": root.rstrip("/")}
    for name, word in (
        ("version", "zip_version"),
        ("byteorder", "byteorder"),
        (".data/serialization_id", "serialization_id"),
        (".format_version", "format_version"),
        (".storage_alignment", "storage_alignment"),
    ):
        try:
            text = _text(archive, root + name)
        except HoldfastError as error:
            faults.append(
                Fault(
                    "malformed",
                    f"zip member {root + name!r} cannot be read: {error.message}",
                    file=archive.source.name,
                )
            )
            continue
        if text is not None:
            made[word] = text
    order = made.get("byteorder", "little")
    if order not in ("little", "big"):
        faults.append(
            Fault(
                "malformed",
                "the byte order is neither little nor big",
                file=archive.source.name,
                seen=order,
                expected="little or big",
            )
        )
    version = made.get("zip_version", "?")
    if "byteorder" in made:
        era = "PyTorch >= 2.1"
    elif f"{root}data.pkl" in archive and any(n.startswith(root + "tensors/") for n in archive.members):
        era = "PyTorch 1.4 or 1.5"
    else:
        era = "PyTorch < 2.1"
    made["writer"] = f"{era} (zip version {version})"
    return made, order == "big"


def _outside(archive: ZipArchive, root: str) -> Iterator[Fault]:
    """That members lie outside of one folder, as where the archive was unpacked and zipped again: PyTorch takes the first
    member's folder for that of all and refuses the rest (``getAllRecords``, which ``torch.load`` asks for ``constants.pkl``).
    """
    strange = next((name for name in archive.members if not root or not name.startswith(root)), None)
    if strange is None:
        return
    file = archive.source.name
    stem = file[:-3] if file.endswith(".pt") else file
    inner = PurePath(stem + ".unpacked", root) if root else PurePath(stem + ".unpacked")
    yield Fault(
        "malformed",
        (
            f"{strange!r} lies beside the folder {root!r} in the archive"
            if root
            else "the members lie in no folder of the archive"
        )
        + ": it was zipped anew or added to; the tensors read, and torch.load refuses it",
        file=file,
        seen=strange,
        expected="all members in one folder",
        attributes={
            "severity": "warning",
            "remedy": "Pack it as torch.save does: "
            f"`python -m zipfile -e {quote(file)} {quote(stem + '.unpacked')} && "
            f"python -m zipfile -c {quote(stem + '.new.pt')} {quote(str(inner))}`",
        },
    )


@collector_paused()
def open_zip(source: Source, store: Store) -> TorchCatalog:
    """A ``torch.save`` zip as a catalog; header, pickle and 30 bytes a storage are read, no data.

    Raises :class:`DamagedCheckpoint` where the directory or the pickle cannot be read, :class:`PartMissing` where the save
    ended before there was one.
    """
    archive = _archive(source)
    root = _root(archive)
    if root is None:
        raise PartMissing(
            "the save did not finish: the archive was closed before anything that was to be saved was in it",
            file=source.name,
            expected=f"a member {_without_pickle(archive) or '<root>/'}data.pkl",
            found=", ".join(list(archive.members)[:4]),
            remedy="Nothing can be recovered from this file: torch.save was interrupted, or raised because something could "
            "not be pickled. Use the previous checkpoint, of which `holdfast doctor` on the folder tells whether it is "
            "whole; save under a new name and rename it when it is done, so that a failed save costs nothing.",
        )
    faults = [*archive.faults, *_outside(archive, root)]
    attributes, big = _attributes(archive, root, faults)
    name = root + "data.pkl"
    member = archive.open(name)
    label = f"{source.name}:{name}"
    # a record of its own, however few bytes it holds, stands for an honest tensor that the pickle makes
    pickle = read_pickle(member, whole=source.size + 128 * len(archive.members), window=64 << 20)
    attributes["pickle_protocol"] = pickle.protocol
    if pickle.end != member.size:
        faults.append(
            Fault(
                "trailing-bytes",
                f"{member.size - pickle.end} bytes follow the end of the pickle",
                file=label,
                offset=pickle.end,
                seen=member.size,
                expected=pickle.end,
            )
        )
    bank = _ZipBank(archive, root)
    bank.big = big
    catalog = open_torch(
        pickle,
        bank,
        format="torch-zip",
        file=source.name,
        label=label,
        base=0,
        file_size=source.size,
        pickle_size=member.size,
        attributes=attributes,
        faults=faults,
        close=source.close,
    )
    skipped = _skipped(archive, bank, name)
    if skipped:
        names = tuple(
            n
            for key, found in catalog.names_by_storage().items()
            for n in found
            if bank.folder + key in skipped
        )
        catalog.faults = (
            *catalog.faults,
            Fault(
                "not-stored",
                "the storages carry no checksum though the rest of the file does: it was written with "
                "skip_data, which leaves room for values and does not write them",
                file=source.name,
                tensor=names[0] if names else None,
                tensors=names,
                attributes={"readable": True},
            ),
        )
    return catalog


def _skipped(archive: ZipArchive, bank: _ZipBank, pickle: str) -> set[str]:
    """Storages written by ``torch.serialization.skip_data``: all without CRC-32 while the pickle has one.

    ``compute_crc32=False`` leaves every member without (caffe2/serialize/inline_container.cc
    ``writeRecord``).
    """
    if archive.members[pickle].crc == 0:
        return set()
    found: set[str] = set()
    for name, member in archive.members.items():
        if member.size > 0 and name.startswith(bank.folder):
            if member.crc != 0:
                return set()
            found.add(member.name)
    return found


FORMATS: tuple[Format, ...] = (
    Format(
        "torch-zip",
        "PyTorch zip checkpoint",
        recognise_zip,
        open_zip,
        (".pt", ".pth", ".bin", ".ckpt"),
        "torch",
    ),
    Format(
        "torchscript",
        "TorchScript archive",
        recognise_script,
        None,
        (".pt", ".pth", ".jit", ".ptl"),
        "torch",
        "It holds code beside its weights: open it with torch.jit.load and save its state_dict().",
    ),
)
