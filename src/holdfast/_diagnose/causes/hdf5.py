"""HDF5: what libhdf5 says of a file that cannot be opened or written."""

from __future__ import annotations

from ..knowledge import Entry

_AGAIN = "Compare the file's size with its source, and get it again; `holdfast FILE` says what it is and what is missing."

ENTRIES = (
    Entry(
        "hdf5-truncated",
        "corrupt",
        ("truncated file",),
        r"truncated file: eof = (?P<got>\d+), sblock->base_addr = \d+, stored_e(?:of|oa) = (?P<want>\d+)",
        why="the file is truncated: {got} bytes of {want} are there (half downloaded, or killed while it was written)",
        remedy=_AGAIN,
        also=("incomplete-save",),
        weight=0.95,
        test="whole",
        example=(
            "OSError: Unable to open file (truncated file: eof = 60000000, sblock->base_addr = 0, stored_eof = "
            "225471904)"
        ),
    ),
    Entry(
        "hdf5-signature",
        "corrupt",
        ("file signature not found",),
        r"file signature not found",
        why=(
            "the file is no HDF5: a Git-LFS pointer, a web page, an empty or half written file, or another format "
            "under this name"
        ),
        remedy=_AGAIN,
        also=("incomplete-save", "format-mismatch", "not-found"),
        weight=0.84,
        test="whole",
        example="OSError: Unable to open file (file signature not found)",
    ),
    Entry(
        "hdf5-lock",
        "storage",
        ("unable to lock file",),
        r"unable to lock file, errno = (?P<errno>\d+)(?:, error message = '(?P<what>[^']*)')?",
        why="the file is open elsewhere, or the file system has no locks ({what})",
        remedy=(
            "Close the other process (a notebook, TensorBoard, a viewer); on network file systems set "
            "HDF5_USE_FILE_LOCKING=FALSE."
        ),
        also=("concurrency",),
        weight=0.92,
        example=(
            "OSError: Unable to open file (unable to lock file, errno = 11, error message = 'Resource temporarily "
            "unavailable')"
        ),
    ),
    Entry(
        "hdf5-header-size",
        "size-limit",
        ("object header message is too large", "object header message", "unable to create attribute ("),
        r"object header message is too large|unable to create attribute \(.{0,60}too large",
        why="an attribute is larger than an HDF5 header takes (64 KB): very many or very long layer names",
        remedy="Use the `.keras` or `.weights.h5` format of Keras 3, shorter names, or fewer layers at the top.",
        weight=0.96,
        example="RuntimeError: Unable to create attribute (object header message is too large)",
    ),
    Entry(
        "hdf5-bad-bytes",
        "corrupt",
        (
            "bad object header",
            "wrong b-tree signature",
            "bad symbol table",
            "addr overflow",
            "inflate() failed",
            "bad heap",
            "read data",
        ),
        r"(?:bad object header version number|wrong B-tree signature|bad symbol table node signature"
        r"|addr overflow|inflate\(\) failed|bad heap|[Cc]an't (?:synchronously )?read data)",
        why="the file's inner structure is damaged",
        remedy=_AGAIN,
        also=("incomplete-save",),
        context=("h5py", "hdf5", ".h5", "h5"),
        only_in=True,
        weight=0.88,
        test="whole",
        example="OSError: [h5py] Can't read data (wrong B-tree signature)",
    ),
    Entry(
        "hdf5-write",
        "storage",
        ("file write failed", "nable to", "an't synchronously write", "an't write"),
        r"(?:[Uu]nable to (?:flush|extend|synchronously flush) file|[Cc]an't (?:synchronously )?write data"
        r"|file write failed).{0,200}?(?:errno = (?P<errno>\d+))?(?:, error message = '(?P<what>[^']*)')?",
        why="the bytes could not be written: disk full, quota, or a network file system that failed ({what})",
        remedy="Look for room (`df -h`, `quota`), and save to a local disk first.",
        context=("h5py", "hdf5", "h5", "errno"),
        only_in=True,
        also=("incomplete-save",),
        weight=0.86,
        example=(
            "OSError: [Errno 28] Can't write data (file write failed: time = Mon, errno = 28, error message = 'No "
            "space left on device')"
        ),
    ),
    Entry(
        "hdf5-no-file",
        "not-found",
        ("unable to open file", "unable to synchronously open file", "unable to open object"),
        r"[Uu]nable to (?:synchronously )?open file \(unable to open file: name = '(?P<path>[^']+)'.{0,60}errno = 2",
        why="there is no file `{path}`",
        remedy="Check the path and the working folder; ModelCheckpoint fills the name in at run time.",
        weight=0.94,
        test="path",
        example=(
            "OSError: Unable to open file (unable to open file: name = 'best.h5', errno = 2, error message = 'No "
            "such file or directory', flags = 0, o_flags = 0)"
        ),
    ),
    Entry(
        "hdf5-no-object",
        "missing-tensor",
        ("object '", "open object (component not found"),
        r"(?:KeyError: )?[\"']?[Uu]nable to (?:synchronously )?open object \((?:object '(?P<key>[^']+)' doesn't"
        r" exist|component not found)",
        why="the file has no group or dataset `{key}`",
        remedy="`holdfast inspect FILE` lists what it holds; another version or tool lays it out otherwise.",
        also=("format-mismatch", "renamed", "version-mismatch"),
        weight=0.72,
        test="names",
        example="KeyError: \"Unable to synchronously open object (object 'vars' doesn't exist)\"",
    ),
)
