"""Plain pickles with arrays in them: listed like torch's, though nothing lies outside the pickle.

Format facts: CPython's ``Lib/pickletools.py`` (PROTO first from protocol 2 on, STOP last).
"""

from __future__ import annotations

from ..._core.collector import collector_paused
from ..._storage import Source, Store
from ..registry import Format
from ..torch.catalog import TorchCatalog, open_torch
from ..torch.read import Bank
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


class _NoBank(Bank):
    """A pickle by itself has no storages beside it."""

    def size(self, key: str) -> int | None:
        return None

    def place(self, key: str) -> int | None:
        return None

    def view(self, key: str, start: int, length: int) -> memoryview:
        raise AssertionError("a plain pickle has no storages")  # size() is None, so nobody asks


@collector_paused()
def open_pickle(source: Source, store: Store) -> TorchCatalog:
    """The arrays of a plain pickle as a catalog. Raises :class:`DamagedCheckpoint` where it is none."""
    pickle = read_pickle(source)
    return open_torch(
        pickle,
        _NoBank(),
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
