"""HDF5: filters, number types and handles that the library (or h5py) does not have.

Messages: hdf5/src/{H5Z,H5PLint,H5T,H5D,H5F,H5VLint}.c, h5py/_hl/*.py and h5py/h5t.pyx.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_HALF = re.compile(r"b?float(?:8|16)\w*|int4|e[45]m[23]", re.IGNORECASE)


def type_of(look: Look) -> list[Guess]:
    """A number type that HDF5 has not, or no numbers at all."""
    if _HALF.search(look.match[0]):
        why = "HDF5 has no numbers of this type, and h5py no way to turn them into others"
        remedy = "Cast before writing (`value.astype('float32')`), and back after reading."
        return [
            look.entry.guess(look, "dtype-mismatch", confidence=0.88, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.66),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "dtype-mismatch", confidence=0.72)]


ENTRIES = (
    Entry(
        "hdf5-filter-missing",
        "version-mismatch",
        ("required filter", "can't open directory", "hdf5/lib/plugin", "unable to load plugin"),
        r"required filter '?(?P<name>[\w -]*)'? ?is not registered|read data \(can't open directory"
        r"|can't open directory.{0,60}hdf5[^\n]{0,40}/plugin|an't (?:synchronously )?read data \(unable to load plugin",
        why="the data are compressed by a filter ({name}) that this HDF5 library does not have; the file itself is "
        "whole",
        remedy="`pip install hdf5plugin` and `import hdf5plugin` before opening (Blosc, LZ4, Zstandard, "
        "Bitshuffle); else read it "
        "where it was written, and write it again with `compression='gzip'`.",
        where=storing_or_alone,
        weigh=ranked(("version-mismatch", 0.95), ("format-mismatch", 0.6), ("other", 0.5)),
        example="OSError: Can't read data (can't open directory: /usr/local/hdf5/lib/plugin)",
    ),
    Entry(
        "hdf5-no-conversion",
        "unserialisable",
        ("no conversion path for dtype", "no appropriate function for conversion path"),
        r"No conversion path for dtype:?.{0,40}|an't (?:synchronously )?(?:write"
        r"|prepare for writing) data \(no appropriate"
        r" function for conversion path",
        why="what is written are no numbers that HDF5 knows (text of fixed width, objects, ragged lists)",
        remedy="Write arrays of numbers; text as bytes (`np.char.encode`) or in an attribute as JSON.",
        weigh=type_of,
        weight=0.88,
        example="TypeError: No conversion path for dtype: dtype('<U5')",
    ),
    Entry(
        "hdf5-handle-gone",
        "graph-lifecycle",
        ("invalid location identifier", "file close degree doesn't match"),
        r"invalid location identifier|file close degree doesn't match",
        why="the file was closed (or is open in another way) while this handle of it is used",
        remedy="Read the values inside of `with h5py.File(path) as file:`, as arrays (`file[name][()]`); close it "
        "everywhere else.",
        weigh=ranked(("graph-lifecycle", 0.72), ("concurrency", 0.6), ("corrupt", 0.4)),
        example="ValueError: Invalid location identifier (invalid location identifier)",
    ),
)
