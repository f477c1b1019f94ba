"""What formats there are, and which one a file is.

A format is a :class:`Format`: a name, a test on the content, and an ``open`` that gives a catalog. The built-in ones are
listed here; third parties add theirs through the entry point group ``holdfast.formats`` (each entry is a ``Format``).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath

from .._core.catalog import Catalog
from .._core.errors import NotReadable
from .._core.shell import quote
from .._storage import Source, Store
from .._storage.zip_directory import looks_like_zip

__all__ = ["Format", "formats", "recognise", "format_named"]

_GROUP = "holdfast.formats"
_WORD = re.compile(r"\{(folder|parent|tag|out)\}")


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes
    ----------
    name: ``"torch-zip"``. title: ``"PyTorch zip checkpoint"``.
    recognise: told by content whether a source is of this format; reads only head and tail; never raises on junk.
    open: ``(source, store) -> Catalog`` for the main file and the folder it lies in; ``None`` where Holdfast can name
        the format but has no reader. suffixes: usual file endings, to tell a wrong extension; no part in recognising.
    family: the framework whose dialect it speaks. hint: for formats without reader, what to do with such a file;
        ``{folder}``, ``{parent}``, ``{tag}`` and ``{out}`` stand for paths, see :meth:`advice`.
    """

    name: str
    title: str
    recognise: Callable[[Source], bool]
    open: Callable[[Source, Store], Catalog] | None = None
    suffixes: tuple[str, ...] = ()
    family: str = ""
    hint: str | None = None

    def advice(self, path: str, *, folder: bool = False) -> str | None:
        """The hint for one checkpoint, its paths ready to be pasted into a shell.

        ``path``: the file, or with ``folder`` the folder that is the checkpoint as a whole. ``{folder}`` becomes
        that folder or the file's, ``{parent}`` the one that it lies in, ``{tag}`` its own name, and ``{out}`` a
        name beside it for what is made of it.
        """
        if self.hint is None or "{" not in self.hint:
            return self.hint
        here = PurePath(path) if folder else PurePath(path).parent
        # `.` and `..` have no name of their own to build others from
        named = here if here.name not in ("", "..") else Path(here).resolve()
        parent = named.parent
        words = {"folder": here, "parent": parent, "tag": named.name, "out": parent / f"{named.name}.pt"}
        return _WORD.sub(lambda found: quote(str(words[found[1]])), self.hint)

    def read(self, source: Source, store: Store) -> Catalog:
        """Open as a catalog; raises :class:`NotReadable` where there is no reader."""
        if self.open is None:
            raise NotReadable(
                f"{self.title}: recognised, but Holdfast cannot read it",
                file=source.name,
                remedy=self.advice(source.name),
            )
        return self.open(source, store)


def _json(source: Source) -> bool:
    return source.head().lstrip(b"\xef\xbb\xbf \t\r\n\v\f").startswith(b"{")


# In the order in which they are asked; a format that contains another (a .keras is a zip) comes first. The test beside
# each module is the least that its formats have in common: a file that fails it cannot be any of them, and the module
# is not imported (importing all of them takes longer than reading most headers). ``None``: always asked.
_MODULES: dict[str, Callable[[Source], bool] | None] = {
    "tensorflow.bundle": lambda s: (
        s.head(3) == b"\x08\x01\x12" or s.tail(8) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
    ),
    "keras.archive": looks_like_zip,
    "torch.zip": looks_like_zip,
    "numpy.npz": looks_like_zip,
    "keras.h5": lambda s: (
        b"\x89HDF\r\n\x1a\n" in s.head((1 << 16) + 8)
    ),  # behind a user block of up to 64 KiB
    "holdfast_step": _json,
    "keras.shards": _json,
    "torch.legacy": lambda s: s.head(1) in (b"\x80", b"L", b"I"),
    "shard_index": _json,
    "safetensors.catalog": lambda s: s.head(128)[8:].lstrip(b" \t\r\n")[:1] in (b"", b"{"),
    "numpy.npy": lambda s: s.head(1) == b"\x93",
    "foreign": None,
    "pickles.file": None,  # after foreign: the metadata of a DCP folder is a pickle too
}


@cache
def _formats_of(module: str) -> tuple[Format, ...]:
    """The formats of one module; before those of the catch-all ``foreign``, the third-party ones."""
    others = _third_party() if module == "foreign" else ()
    return (*others, *import_module(f"{__package__}.{module}").FORMATS)


def _third_party() -> tuple[Format, ...]:
    """What other packages add through the entry point group ``holdfast.formats``."""
    if not _names_group(_GROUP):
        return ()
    from importlib.metadata import entry_points

    return tuple(point.load() for point in entry_points(group=_GROUP))


def _names_group(group: str) -> bool:
    """Whether any installed package may have entry points of that group: by the text of its metadata, since
    ``importlib.metadata`` takes longer to import than most headers take to read. In doubt ``True``."""
    section = f"[{group}]".encode()
    for place in sys.path:
        try:
            inside = list(os.scandir(place or "."))
        except NotADirectoryError:
            return True  # a zip on the path: only importlib.metadata looks into those
        except OSError:
            continue
        for entry in inside:
            if entry.name.endswith((".dist-info", ".egg-info")):
                try:
                    text = Path(entry.path, "entry_points.txt").read_bytes()
                except OSError:
                    continue
                if section in text:
                    return True
    return False


@cache
def formats() -> tuple[Format, ...]:
    """All formats, in the order in which they are asked; third-party ones before the catch-all ``foreign``."""
    return tuple(_lazily())


def _lazily() -> Iterator[Format]:
    for module in _MODULES:
        yield from _formats_of(module)


def recognise(source: Source) -> Format | None:
    """The format of a file by its content, or ``None``."""
    if source.size == 0:
        return None
    for module, possible in _MODULES.items():
        if possible is None or possible(source):
            for found in _formats_of(module):
                if found.recognise(source):
                    return found
    return None


def format_named(name: str) -> Format | None:
    """The format of that name, or ``None``."""
    return next((f for f in _lazily() if f.name == name), None) if name else None


def suffix_of(path: str) -> str:
    """The ending that matters: ``.weights.h5``, ``.index.json`` and ``.pth.tar`` count as one."""
    base = PurePath(path).name.lower()
    for double in (".weights.h5", ".weights.json", ".index.json", ".pth.tar", ".tar.gz"):
        if base.endswith(double):
            return double
    return PurePath(base).suffix
