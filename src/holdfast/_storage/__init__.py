"""Where bytes come from: sources (ranged reads of one file) and stores (folders of them)."""

from .local import LocalFile, LocalFolder, open_local
from .source import BytesSource, Entry, Source, Store, SubSource

__all__ = [
    "Source",
    "SubSource",
    "BytesSource",
    "Store",
    "Entry",
    "LocalFile",
    "LocalFolder",
    "open_local",
]
