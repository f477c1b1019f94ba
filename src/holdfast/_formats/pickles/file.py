"""Plain pickles with arrays in them: listed like torch's, though nothing lies outside the pickle.

Format facts: CPython's ``Lib/pickletools.py`` (PROTO first from protocol 2 on, STOP last).
"""

from __future__ import annotations

from ..._core.collector import collector_paused
from ..._core.errors import HoldfastError
from ..._storage import Source, Store
from ..registry import Format
from ..torch.catalog import TorchCatalog, open_torch
from ..torch.legacy import storage_in
from ..torch.read import Bank
from ..torch.views import Storage
from .machine import read_pickle

__all__ = ["FORMATS", "open_pickle", "recognise_pickle"]


def recognise_pickle(source: Source) -> bool:
    """A pickle of protocol 2 or newer; or one of protocol 0 or 1 that ends in STOP and begins like a
    container.
    """
    head = source.head(64)
    if len(head) < 3:
        return False
    if head[0] == 0x80:
        return 2 <= head[1] <= 5 and (source.size < 4 or head[2] != 0)
    if source.tail(1) != b".":
        return False
    return head.startswith(
        (
            b"(dp",
            b"((dp",
            b"(lp",
            b"ccopy_reg\n",
            b"ccopyreg\n",
            b"cnumpy",
            b"ccollections\n",
            b"}q\0",
            b"]q\0",
        )
    )


class _Inside(Bank):
    """A pickle by itself has no storages beside it: those of torch's tensors lie in it, as bytes."""

    def __init__(self) -> None:
        self._held: dict[str, memoryview] = {}

    def inline(self, data: bytes, offset: int) -> Storage | None:
        key = f"bytes@{offset}"
        try:
            found = storage_in(data, key)
        except HoldfastError:
            return None  # told as a call that makes no sense
        if found is None:
            return None
        storage, start = found
        self._held[key] = memoryview(data)[start : start + storage.nbytes].toreadonly()
        return storage

    def size(self, key: str) -> int | None:
        held = self._held.get(key)
        return None if held is None else held.nbytes

    def place(self, key: str) -> int | None:
        return None

    def view(self, key: str, start: int, length: int) -> memoryview:
        return self._held[key][start : start + length]


@collector_paused()
def open_pickle(source: Source, store: Store) -> TorchCatalog:
    """The arrays of a plain pickle as a catalog. Raises :class:`DamagedCheckpoint` where it is none."""
    pickle = read_pickle(source)
    return open_torch(
        pickle,
        _Inside(),
        format="pickle",
        file=source.name,
        label=source.name,
        base=0,
        file_size=source.size,
        pickle_size=source.size,
        attributes={"pickle_protocol": pickle.protocol},
        faults=[],
        close=source.close,
    )


FORMATS: tuple[Format, ...] = (
    Format("pickle", "Python pickle", recognise_pickle, open_pickle, (".pkl", ".pickle", ".p"), "python"),
)
