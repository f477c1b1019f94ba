"""HDF5: what libhdf5 says of a file that cannot be opened or written."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look
from ...where import loading_or_alone

_AGAIN = "Compare the file's size with its source, and get it again; `holdfast FILE` says what it is and what is missing."


_ERRNOS = {
    2: ("not-found", "the folder does not exist", "Make it first: os.makedirs(folder, exist_ok=True)."),
    17: ("concurrency", "it exists already", "Give each run a folder of its own."),
    20: ("not-found", "a part of the path is a file", "Check the path."),
    21: ("not-found", "the path is a folder", "Give a file's name in it."),
    24: ("storage", "too many files are open", "Close files, or raise `ulimit -n`."),
    35: ("concurrency", "another process has it locked", "One writer to one path."),
}


def no_hdf5(look: Look) -> list[Guess]:
    """Whether the file is of another kind, or damaged."""
    if re.search(r"\w\.keras['\"]", look.reading.flat) is None:
        return [look.entry.guess(look)]
    why = "a `.keras` file is a zip archive, and this reader took it for HDF5: Keras before 2.12 knows no such files"
    remedy = "Load it with the version that saved (`holdfast FILE` names it), or save as `.h5` there."
    return [
        look.entry.guess(look, "version-mismatch", confidence=0.8, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.62),
        look.entry.guess(look, "format-mismatch", confidence=0.5),
    ]


def read_failed(look: Look) -> list[Guess]:
    """The system's error, or a shorter file than its header tells."""
    if re.search(r"errno = (?!0)\d|appropriate function for conversion", look.reading.flat) is None:
        return [look.entry.guess(look), look.entry.guess(look, "incomplete-save", confidence=0.42)]
    if "conversion" in look.reading.lower:
        why = "the file holds another number type than is read, and HDF5 knows no way from one to the other"
        return [
            look.entry.guess(look, "dtype-mismatch", confidence=0.76, why=why),
            look.entry.guess(look, "format-mismatch", confidence=0.5),
        ]
    return [
        look.entry.guess(look, "storage", confidence=0.84),
        look.entry.guess(look, confidence=0.7),
        look.entry.guess(look, "incomplete-save", confidence=0.4),
    ]


def which_object(look: Look) -> list[Guess]:
    """The file's own groups belong to a layout; others are layers or weights."""
    key = look.facts().get("key", "").strip("/").split("/")[-1]
    if key in ("model_weights", "optimizer_weights", "model_config", "keras_version"):
        why = "the file has no `{key}`: it holds weights alone, or another tool's tables".replace(
            "{key}", key
        )
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.8, why=why),
            look.entry.guess(look, confidence=0.56),
            look.entry.guess(look, "version-mismatch", confidence=0.54),
        ]
    if key in (
        "vars",
        "layers",
        "_layer_checkpoint_dependencies",
        "_self_local_trackable",
        "metadata",
        "top_level_model_weights",
    ):
        why = "the file is laid out by another generation of Keras than reads it (it has no `{key}`)".replace(
            "{key}", key
        )
        return [
            look.entry.guess(look, confidence=0.73, why=why),
            look.entry.guess(look, "version-mismatch", confidence=0.72, why=why),
            look.entry.guess(look, "format-mismatch", confidence=0.7, why=why),
        ]
    return [look.entry.guess(look)]


def by_errno(look: Look) -> list[Guess]:
    """What the system's error number says."""
    facts = look.facts()
    if "lock file" in look.match[0]:
        return []  # another entry tells more
    if facts["errno"] == "2" and len(facts.get("path", "")) > 200:
        why = f"the path is {len(facts['path'])} characters long, more than Windows takes (260 with the folder before it)"
        return [
            look.entry.guess(
                look,
                confidence=0.9,
                why=why,
                remedy="Shorter names, or allow long paths in Windows' registry.",
            ),
            look.entry.guess(look, "not-found", confidence=0.7),
        ]
    if "://" in facts.get("path", "") and facts["errno"] == "2":
        why = "HDF5 writes and reads files of this machine only, and `{path}` is another store's address"
        return [
            look.entry.guess(
                look, confidence=0.9, why=why.format(**facts), remedy="Save here, then copy the file there."
            ),
            look.entry.guess(look, "not-found", confidence=0.8),
        ]
    label, why, remedy = _ERRNOS.get(int(facts["errno"]), ("storage", "", ""))
    told = {"why": f"{facts.get('path', 'the file')}: {why}", "remedy": remedy} if why else {}
    other = "storage" if label != "storage" else "not-found"
    return [
        look.entry.guess(look, label, confidence=0.93, **told),
        look.entry.guess(look, other, confidence=0.45),
    ]


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
        ("file signature not found", "valid file signature"),
        r"file signature not found|unable to find a valid file signature",
        why=(
            "the file is no HDF5: a Git-LFS pointer, a web page, an empty or half written file, or another format "
            "under this name"
        ),
        remedy=_AGAIN,
        also=("incomplete-save", "format-mismatch", "not-found"),
        weight=0.84,
        weigh=no_hdf5,
        test="whole",
        example="OSError: Unable to open file (file signature not found)",
    ),
    Entry(
        "hdf5-lock",
        "storage",
        ("unable to lock file", "file locking disabled"),
        r"(?:unable to lock file|file locking disabled on this file system.{0,100}?), errno = (?P<errno>\d+)"
        r"(?:, error message = '(?P<what>[^']*)')?",
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
        ("object header message", "unable to create attribute (", "object header"),
        r"object header message is too large|unable to create attribute \(.{0,60}too large"
        r"|object headers?(?: messages?)?.{0,20}?(?:larger|bigger|more|over) than 64",
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
            "b-tree signature",
            "bad symbol table",
            "bad local heap",
            "bad global heap",
            "addr overflow",
            "inflate() failed",
            "bad heap",
            "object header chunk",
            "wrong fractal heap",
            "bad snod",
            "bad superblock",
            "filter returned failure",
            "address of object past end",
            "metadata checksum",
            "can't deserialize",
            "link message",
        ),
        r"bad object header(?: version number)?|wrong B-tree signature|bad symbol table node signature|bad (?:local|global) heap"
        r"|addr overflow|inflate\(\) failed|bad heap|object header chunk|wrong fractal heap|bad snod|bad superblock"
        r"|filter returned failure during read|address of object past end|incorrect metadata checksum"
        r"|Unable to open object \(can't deserialize|bad link message",
        why="the HDF5 file's inner structure is damaged",
        remedy=_AGAIN,
        also=("incomplete-save", "concurrency"),
        weight=0.88,
        test="whole",
        example="OSError: [h5py] Can't read data (wrong B-tree signature)",
    ),
    Entry(
        "hdf5-read-failed",
        "corrupt",
        ("read data", "file read failed"),
        r"can't (?:synchronously )?read data \((?P<why>[^)]{0,60})|file read failed",
        why="bytes of the HDF5 file could not be read: damaged or cut short, or its file system failed",
        remedy=_AGAIN,
        context=("h5py", "hdf5", ".h5", "h5", "read data ("),
        only_in=True,
        weigh=read_failed,
        weight=0.86,
        test="whole",
        example="OSError: Can't read data (file read failed: time = Mon, filename = 'w.h5', errno = 5)",
    ),
    Entry(
        "hdf5-write",
        "storage",
        (
            "file write failed",
            "nable to",
            "an't synchronously write",
            "an't write",
            "prepare for writing",
            "decrement id ref",
        ),
        r"(?:unable to (?:synchronously )?(?:flush|extend|close|write|truncate) file|can't (?:synchronously )?write data"
        r"|can't prepare for writing data|can't decrement id ref count"
        r"|file write failed).{0,200}?(?:errno = (?P<errno>\d+))?(?:, error message = '(?P<what>[^']*)')?",
        why="the bytes could not be written: disk full, quota, or a network file system that failed ({what})",
        remedy="Look for room (`df -h`, `quota`), and save to a local disk first.",
        context=("h5py", "hdf5", "h5", "errno", "id ref count"),
        only_in=True,
        also=("incomplete-save", "concurrency"),
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
        r"unable to (?:synchronously )?open file \(unable to open file: name = '(?P<path>[^']+)'.{0,60}errno = 2",
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
        r"(?:KeyError: )?[\"']?unable to (?:synchronously )?open object \((?:object '(?P<key>[^']+)' doesn't"
        r" exist|component not found)",
        why="the file has no group or dataset `{key}`",
        remedy="`holdfast inspect FILE` lists what it holds; another version or tool lays it out otherwise.",
        also=("format-mismatch", "renamed", "version-mismatch"),
        weight=0.72,
        weigh=which_object,
        test="names",
        where=loading_or_alone,
        example="KeyError: \"Unable to synchronously open object (object 'vars' doesn't exist)\"",
    ),
    Entry(
        "keras-h5-attribute-frames",
        "size-limit",
        ("layer_names", "weight_names", "save_attributes_to_hdf5_group"),
        r"attrs\['(?:layer_names|weight_names)'\]|save_attributes_to_hdf5_group",
        why="the list of layer names is written as one HDF5 attribute, which takes 64 KB",
        remedy="Use the `.keras` or `.weights.h5` format, shorter names, or fewer layers at the top.",
        calls=("save_weights_to_hdf5_group", "save_attributes_to_hdf5_group"),
        context=("attrs.py",),
        only_in=True,
        weight=0.72,
        also=("unserialisable",),
        example=(
            "  File \"keras/engine/topology.py\", line 1, in save_weights_to_hdf5_group\n    f.attrs['layer_names'] "
            '= [...]\n  File "h5py/_hl/attrs.py", line 87, in __setitem__\n    self.create(name, data=value)'
        ),
    ),
    Entry(
        "hdf5-create",
        "storage",
        ("unable to create", "unable to synchronously", "unable to truncate", "unable to open"),
        r"unable to (?:synchronously )?(?:create|open|truncate)(?: a)? file \(?(?:unable to (?:open"
        r"|lock|truncate) (?:a )?file)?(?:: name = '(?P<path>[^']+)')?"
        r".{0,20}?errno = (?P<errno>\d+)(?:, error message = '(?P<what>[^']*)')?",
        why="the file {path} could not be made or opened: {what} (errno {errno})",
        remedy=(
            "Look for room, permission and the folder itself (`df -h`, `ls -ld`); names with `:` or `?` "
            "do not work on Windows and some mounts."
        ),
        weigh=by_errno,
        weight=0.86,
        test="path",
        example=(
            "OSError: Unable to create file (unable to open file: name = 'w/m.h5', errno = 2, error message = 'No such file or "
            "directory', flags = 13, o_flags = 242)"
        ),
    ),
    Entry(
        "hdf5-open-elsewhere",
        "concurrency",
        (
            "file which is already open",
            "file is already open",
            "unable to lock file",
            "file that is already open",
        ),
        r"file (?:which|that) is already open|file is already open",
        why="the file is open elsewhere: another process, another callback, or the same program without closing it",
        remedy="Close it, and let one writer write one path; read a copy while training goes on.",
        also=("storage",),
        weight=0.86,
        example="OSError: Unable to create file (unable to truncate a file which is already open)",
    ),
    Entry(
        "hdf5-no-attribute",
        "format-mismatch",
        (
            "can't open attribute",
            "unable to open attribute",
            "can't locate attribute",
            "keyerror: 'layer_names'",
            "keyerror: 'weight_names'",
            "unable to synchronously open attribute",
        ),
        r"(?:can't|unable to(?: synchronously)?) open attribute"
        r"|can't locate attribute:? ?'?(?P<key>\w+)?|KeyError: '(?P<key2>layer_names|weight_names)'",
        why=(
            "the HDF5 file has no `{key}` where this loader looks: a whole model was given for weights "
            "(or the other way), or another tool wrote it"
        ),
        remedy="`holdfast inspect FILE` shows what it holds; `load_model` reads whole models, `load_weights` weights.",
        also=("version-mismatch", "corrupt", "renamed"),
        weight=0.8,
        test="names",
        example="KeyError: \"Can't open attribute (can't locate attribute: 'layer_names')\"",
    ),
    Entry(
        "hdf5-not-created",
        "storage",
        ("unable to create file", "unable to synchronously create file"),
        r"unable to (?:synchronously )?create file \((?:file accessib\w+"
        r"|unable to open file)(?:: name = '(?P<path>[^']*)'?)?(?!.{0,300}errno)",
        why=(
            "the file could not be made ({path}): its folder does not exist, this user may not write "
            "there, or another program has it open"
        ),
        remedy="Make the folder first (os.makedirs), check its owner, and close other programs that hold the file.",
        also=("not-found", "concurrency"),
        weight=0.7,
        test="space",
        example="IOError: unable to create file (File accessibilty: Unable to open file)",
    ),
    Entry(
        "hdf5-not-permitted",
        "storage",
        ("permission denied",),
        r"unable to (?:synchronously )?(?:open|create) file\W{0,4}permission denied",
        why="this user may not read (or write) the file or its folder, or another program holds it open",
        remedy="`ls -l` the file and its folder; on Windows close what has it open.",
        also=("not-found", "concurrency"),
        weight=0.84,
        test="space",
        example="OSError: Unable to open file 'Permission denied'",
    ),
)
