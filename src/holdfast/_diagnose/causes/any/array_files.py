"""Files of arrays and pickles without their exception's name: numpy, HDF5 by itself, pickles of other Pythons.

Messages: numpy/lib/{format,npyio}.py (1.9 to 2.x), Modules/_pickle.c, h5py and HDF5's filters, dill, cloudpickle.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, loading_outside_steps, storing_or_alone


def cut_or_other(look: Look) -> list[Guess]:
    """A file of arrays that ends too early, or begins otherwise."""
    sure = 0.84 if look.around.loading else 0.81
    if "magic string is not correct" in look.match[0]:
        why = "the file begins with other bytes than numpy's: it is a pickle, an archive or text under the name `.npy`"
        return [
            look.entry.guess(look, "format-mismatch", confidence=sure, why=why),
            look.entry.guess(look, confidence=sure - 0.06),
            look.entry.guess(look, "version-mismatch", confidence=0.3),
        ]
    told: dict[str, str] = {}
    if "want" not in look.facts():
        told = {"why": "the file of arrays is not whole: empty, or cut short"}
        if "mmap" in look.match[0] and not (look.around.storing or "np" in look.reading.lower):
            sure = 0.3  # any program maps files
    return [
        look.entry.guess(look, confidence=sure, **told),
        look.entry.guess(look, "incomplete-save", confidence=sure - 0.1, **told),
        look.entry.guess(look, "format-mismatch", confidence=min(0.4, sure - 0.15)),
    ]


def of_opcodes(look: Look) -> list[Guess]:
    """torch.save's files name their tensors by persistent ids: plain pickle cannot follow them."""
    if "persistent" in look.match[0]:
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.84),
            look.entry.guess(look, confidence=0.6),
        ]
    return [
        look.entry.guess(look, confidence=0.72),
        look.entry.guess(look, "format-mismatch", confidence=0.6),
        look.entry.guess(look, "version-mismatch", confidence=0.4),
    ]


def of_data_sets(look: Look) -> list[Guess]:
    """Any program fills data sets of HDF5: by itself it is told with a condition."""
    sure = 0.86 if look.around.storing or "h5" in look.reading.lower else 0.34
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "version-mismatch", confidence=sure * 0.5),
    ]


def of_python_2(look: Look) -> list[Guess]:
    """A module that only Python 2 had (of a pickle, or of old code); or a protocol that is too new to be written."""
    if look.facts().get("most"):
        most = look.facts()["most"]
        why = f"the pickle is to be written in a protocol that this Python does not have (it has {most} and below)"
        remedy = (
            f"Give `protocol={most}` or a lower one (torch: `pickle_protocol=`), or save with a newer Python."
        )
        return [look.entry.guess(look, confidence=0.86, why=why, remedy=remedy)]
    sure = 0.96 if look.around.storing else 0.34
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "custom-object", confidence=sure * 0.6),
        look.entry.guess(look, "format-mismatch", confidence=sure * 0.4),
    ]


ENTRIES = (
    Entry(
        "npy-cut",
        "corrupt",
        (
            "eof: reading ",
            "cannot parse header: b",
            "header is not a dictionary",
            "magic string is not correct",
            "mmap length is greater than file size",
            "cannot mmap an empty file",
            "no data left in file",
        ),
        r"EOF: reading (?P<what>magic string|array header length|array header|array data), expected (?P<want>\d+) bytes got "
        r"(?P<got>\d+)|Cannot parse header: b|Header is not a dictionary|magic string is not correct"
        r"|mmap length is greater than file size|cannot mmap an empty file"
        r"|\b(?:np|numpy)\.load\(.{0,300}?No data left in file|^(?:EOFError: )?No data left in file",
        why="the file of arrays is not whole: {want} bytes were wanted for its {what}, and {got} are there",
        remedy="Save or fetch it again; write beside and rename, so that no half file stands under the name.",
        where=loading_outside_steps,
        weigh=cut_or_other,
        test="whole",
        example="ValueError: EOF: reading array data, expected 262144 bytes got 1024",
    ),
    Entry(
        "pickle-bytes-wrong",
        "corrupt",
        (
            "unpickling stack underflow",
            "could not find mark",
            "memo value not found",
            "pickle exhausted before",
            "odd number of items for set",
            "stack_global requires",
            "string opcode argument must be",
            "no persistent_load function",
            "pickle data was truncated",
        ),
        r"^(?:[\w.]*UnpicklingError: )?(?:unpickling stack underflow|could not find MARK|Memo value not found at index \d+"
        r"|pickle exhausted before end of frame|odd number of items for SET ?ITEMS|STACK_GLOBAL requires str"
        r"|(?:the )?STRING opcode argument must be quoted|pickle data was truncated"
        r"|A load persistent id instruction was encountered, but no persistent_load function)",
        why="the bytes are no whole pickle, or not one of this kind (a file of `torch.save` read by plain pickle)",
        remedy="`holdfast FILE` says what it is: read torch's files with `torch.load`; a damaged one is fetched or saved again.",
        where=loading_or_alone,
        weigh=of_opcodes,
        test="whole",
        example="could not find MARK",
    ),
    Entry(
        "pickle-line-ends",
        "corrupt",
        ("\\r",),
        r"No module named ['\"]?(?P<name>copy_?reg|__\w+__|builtins|collections|(?:numpy|torch|sklearn|pandas|joblib)\b[\w.]*"
        r"|_codecs)\\r['\"]",
        why=(
            "the pickle's line ends were changed (`{name}\\r`): it was copied or stored as text (git's "
            "autocrlf, FTP in text mode)"
        ),
        remedy="Fetch it again as binary (`*.pkl binary` in .gitattributes); `dos2unix` on a copy mends protocol 0 alone.",
        where=loading_or_alone,
        weigh=ranked(("corrupt", 0.9), ("version-mismatch", 0.66), ("format-mismatch", 0.5)),
        test="whole",
        example="ModuleNotFoundError: No module named 'copy_reg\\r'",
    ),
    Entry(
        "pickle-of-python-2",
        "version-mismatch",
        ("__builtin__", "copy_reg", "pickle protocol must be <="),
        r"No module named '?(?:__builtin__|copy_reg)'?(?![\w\\])|pickle protocol must be <= ?(?P<most>\d)",
        why="the pickle names a module that only Python 2 had",
        remedy="Before the load `sys.modules['__builtin__'] = builtins; sys.modules['copy_reg'] = copyreg`, and "
        "`encoding='latin1'` (of `pickle.load`, `torch.load`) for its texts and arrays; then save it anew.",
        where=storing_or_alone,
        weigh=of_python_2,
        example="pickle.load(f)\nModuleNotFoundError: No module named '__builtin__'",
    ),
    Entry(
        "pickler-of-another-version",
        "version-mismatch",
        (
            "<module 'dill",
            "<module 'cloudpickle",
            "<module 'joblib",
            "<module 'ray.cloudpickle",
            "'__pyx_unpickle_",
        ),
        r"Can't get attribute '(?P<name>\w+)' on <module '(?:"
        r"(?P<module>dill|cloudpickle|joblib)|(?P<module2>ray)\.cloudpickle)[\w.]*'"
        r"|Can't get attribute '(?P<name2>__pyx_unpickle_\w+)'",
        why="`{name}` is how another version of {module} wrote objects: it is not in the version that is installed here",
        remedy="Read with the version that wrote it (`pip install {module}==…`, and the same Python), then save plain arrays.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.96), ("custom-object", 0.6), ("unserialisable", 0.4)),
        example="AttributeError: Can't get attribute '_create_code' on <module 'dill._dill' from 'x'>",
    ),
    Entry(
        "pickle-opened-as-text",
        "format-mismatch",
        (
            "a bytes-like object is required, not 'str'",
            "must be str, not bytes",
            "'charmap' codec can't decode byte",
        ),
        r"(?:pickle|joblib|torch|dill)\.(?:load|dump|save)s?\(.{0,300}?(?:a bytes-like object is required, not 'str'"
        r"|must be str, not bytes|'charmap' codec can't decode byte)",
        why="the file is opened as text, and a pickle is bytes",
        remedy="Open it as binary: `open(path, 'rb')` to load, `open(path, 'wb')` to save.",
        weigh=ranked(("format-mismatch", 0.86), ("other", 0.7), ("version-mismatch", 0.6)),
        example="pickle.dump(model, open('model.pkl', 'w'))\nTypeError: write() argument must be str, not bytes",
    ),
    Entry(
        "npy-holds-objects",
        "unsafe-pickle",
        ("contains pickled (object) data",),
        r"contains pickled \(object\) data",
        why="the file holds objects, which numpy does not unpickle without being asked; or it is no file of numpy's at all",
        remedy="`holdfast FILE` says what it is; where you trust it, `numpy.load(path, allow_pickle=True)` .",
        where=loading_outside_steps,
        weigh=ranked(("unsafe-pickle", 0.86), ("format-mismatch", 0.84), ("corrupt", 0.6)),
        test="whole",
        example="ValueError: This file contains pickled (object) data. If you trust the file you can load it unsafely",
    ),
    Entry(
        "hdf5-opened-to-read",
        "storage",
        ("no write intent",),
        r"no write intent",
        why="the HDF5 file is open for reading alone, and something is written to it",
        remedy="Open it with `'r+'` or `'a'` (`'w'` begins anew), and save to a path of its own.",
        where=storing_or_alone,
        weigh=ranked(("storage", 0.84), ("concurrency", 0.4), ("version-mismatch", 0.3)),
        example="save_weights: ValueError: Unable to create dataset (no write intent on file)",
    ),
    Entry(
        "hdf5-write-other-shape",
        "shape-mismatch",
        ("can't broadcast (",),
        r"Can't broadcast (?P<got>\([\d, ]*\)) -> (?P<want>\([\d, ]*\))",
        why="an array of shape {got} is put into a data set of shape {want}: the file holds another model's arrays",
        remedy="Write to a new file, or build the model with the saved sizes.",
        where=storing_or_alone,
        weigh=of_data_sets,
        test="names",
        example="f['w'][...] = w  # load model.h5\nTypeError: Can't broadcast (3, 4) -> (5, 4)",
    ),
)
