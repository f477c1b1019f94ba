"""PyTorch's legacy stream: five pickles, then the storages (torch.save before 1.6, and on request ever
since).

Format facts: torch/serialization.py (``_legacy_save``, ``_legacy_load``): magic number, protocol version
1001, sys_info, the object, the sorted keys of its storages; then per key an int64 element count and the raw
elements, little-endian (torch/csrc/serialization.cpp ``THPStorage_writeFileRaw`` swaps on big-endian
machines). There is no checksum.
"""

from __future__ import annotations

from ..._core.collector import collector_paused
from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.fault import Fault
from ..._storage import Source, Store
from ..._storage.source import BytesSource
from ..pickles.machine import Pickle, load, read_pickle
from ..pickles.nodes import as_text, items_of, mapping_of
from ..registry import Format
from .catalog import Bank, TorchCatalog, open_torch
from .tensors import Reader
from .views import Storage

__all__ = ["FORMATS", "MAGIC", "open_legacy", "recognise_legacy", "storage_in"]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_SMALL = 1 << 12


def recognise_legacy(source: Source) -> bool:
    """Whether the first pickle of the file is the magic number."""
    head = source.head(96)
    if not head or head[0] not in (0x80, 0x4C, 0x49):  # PROTO, LONG, INT: how pickles of a number begin
        return False
    try:
        return load(head).value == MAGIC
    except HoldfastError:
        return False


class _LegacyBank(Bank):
    def __init__(self, source: Source) -> None:
        self.source = source
        self.places: dict[str, tuple[int, int]] = {}  # key -> offset, bytes that are there

    def size(self, key: str) -> int | None:
        found = self.places.get(key)
        return None if found is None else found[1]

    def place(self, key: str) -> int | None:
        found = self.places.get(key)
        return None if found is None else found[0]

    def view(self, key: str, start: int, length: int) -> memoryview:
        return self.source.view(self.places[key][0] + start, length)


@collector_paused()
def open_legacy(source: Source, store: Store) -> TorchCatalog:
    """A legacy stream as a catalog; the five pickles and eight bytes a storage are read, no data.

    Raises :class:`DamagedCheckpoint` or :class:`Truncated` where one of the pickles cannot be read.
    """
    magic = read_pickle(source, window=_SMALL)
    if magic.value != MAGIC:
        raise DamagedCheckpoint("the magic number of a legacy stream is missing", file=source.name, offset=0)
    version = read_pickle(source, magic.end, window=_SMALL)
    info = read_pickle(source, version.end, window=_SMALL)
    obj = read_pickle(source, info.end)
    faults: list[Fault] = []
    if version.value != PROTOCOL:
        faults.append(
            Fault(
                "version",
                "an unknown version of the legacy stream",
                file=source.name,
                offset=magic.end,
                seen=str(version.value)[:40],
                expected=PROTOCOL,
            )
        )
    bank = _LegacyBank(source)
    try:
        keys: Pickle | None = read_pickle(source, obj.end)
    except HoldfastError as error:
        if not obj.persistents:
            raise
        keys = None
        faults.append(
            Fault(
                "truncated",
                f"the list of storages cannot be read: {error.message}",
                file=source.name,
                offset=error.offset,
                seen=error.found,
                expected=error.expected,
            )
        )
        # Behind the list lie the bytes of every storage: with it they are gone, all by one cause.
        bank.places.update(dict.fromkeys(_declared(obj), (source.size, 0)))
    if keys is not None:
        _lay_out(source, obj, keys, bank, faults)
    words = mapping_of(info.value) or {}
    attributes: dict[str, object] = {
        "pickle_protocol": obj.protocol,
        "writer": "PyTorch legacy stream" + (", written by Python 2" if obj.python2 else ""),
    }
    if isinstance(words.get("little_endian"), bool):
        attributes["little_endian"] = words["little_endian"]
    sources = _sources(obj)
    if sources:
        attributes["module_sources"] = sources
    return open_torch(
        obj,
        bank,
        format="torch-legacy",
        file=source.name,
        label=source.name,
        base=0,
        file_size=source.size,
        pickle_size=obj.end - info.end,
        attributes=attributes,
        faults=faults,
        close=source.close,
    )


def _lay_out(source: Source, obj: Pickle, keys: Pickle, bank: _LegacyBank, faults: list[Fault]) -> None:
    """Where each storage lies: they follow one another in the order of the key list, each behind its element
    count.
    """
    declared = _declared(obj)
    position = keys.end
    listed = items_of(keys.value)
    if listed is None:
        faults.append(Fault("malformed", "the list of storages is no list", file=source.name, offset=obj.end))
        return
    for raw in listed:
        key = str(raw) if isinstance(raw, int) else as_text(raw)
        storage = declared.get(key or "")
        if key is None or storage is None or key in bank.places:
            faults.append(
                Fault(
                    "malformed",
                    "the list of storages names one that the object does not use, or one twice",
                    file=source.name,
                    offset=obj.end,
                    seen=str(key)[:60],
                )
            )
            return
        if position + 8 > source.size:
            bank.places[key] = (source.size, 0)  # cut off before it: every later one as well
            position = source.size
            continue
        count = int.from_bytes(source.read(position, 8), "little", signed=True)
        if count != storage.numel:
            faults.append(
                Fault(
                    "malformed",
                    f"the element count of storage {key} contradicts the object",
                    file=source.name,
                    offset=position,
                    seen=count,
                    expected=storage.numel,
                )
            )
        position += 8
        # The object's count is the one to go by: all later storages are found through it.
        have = max(0, min(storage.nbytes, source.size - position))
        bank.places[key] = (position, have)
        position += storage.nbytes
    if position < source.size:
        faults.append(
            Fault(
                "trailing-bytes",
                f"{source.size - position} bytes follow the last storage",
                file=source.name,
                offset=position,
                seen=source.size,
                expected=position,
            )
        )


def storage_in(data: bytes, key: str) -> tuple[Storage, int] | None:
    """The one storage of a legacy stream in memory, under another ``key``, and where its elements begin; ``None`` where it is no
    such stream. Raises what reading a pickle raises."""
    source = BytesSource(data, key)
    magic = read_pickle(source, window=_SMALL)
    if magic.value != MAGIC:
        return None
    version = read_pickle(source, magic.end, window=_SMALL)
    info = read_pickle(source, version.end, window=_SMALL)
    obj = read_pickle(source, info.end, window=_SMALL)
    keys = read_pickle(source, obj.end, window=_SMALL)
    found = Reader().storage(obj.value)
    if found is None:
        return None
    return Storage(key, found.dtype, found.numel, found.location, found.start), keys.end + 8


def _declared(obj: Pickle) -> dict[str, Storage]:
    """Every storage the object names, by key."""
    reader = Reader()
    found: dict[str, Storage] = {}
    for node in obj.persistents:
        storage = reader.storage(node)
        if storage is not None:
            found.setdefault(storage.key, storage)
    return found


def _sources(obj: Pickle) -> dict[str, str]:
    """Source files of pickled module classes: ``('module', cls, file, source)``; the text of the code stays
    where it is.
    """
    found: dict[str, str] = {}
    for node in obj.persistents:
        pid = node.pid
        if isinstance(pid, tuple) and len(pid) == 4 and as_text(pid[0]) == "module" and len(found) < 256:
            name = getattr(pid[1], "text", None)
            path = as_text(pid[2])
            if name and path:
                found[name] = path[:500]
    return found


FORMATS: tuple[Format, ...] = (
    Format(
        "torch-legacy",
        "PyTorch legacy checkpoint",
        recognise_legacy,
        open_legacy,
        (".pt", ".pth", ".bin", ".ckpt", ".tar", ".pth.tar", ".pkl"),
        "torch",
    ),
)
