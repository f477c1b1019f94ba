"""Weights in NumPy's own files (`vgg16.npy`, `.npz`), as converted models and TensorLayer keep them.

Messages: numpy/lib/{npyio,format}.py; most such files hold a pickled dictionary that Python 2 wrote.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked

ENTRIES = (
    Entry(
        "npy-of-python-2",
        "version-mismatch",
        (
            "pass the encoding= option to numpy.load",
            "unpickling a python object failed",
            "ordinal not in range(128)",
        ),
        r"pass the encoding= option to numpy\.load|Unpickling a python object failed: UnicodeDecodeError"
        r"|(?:np|numpy)\.load\(.{0,400}?'ascii' codec can't decode byte \S+ in position \d+: ordinal not in range\(128\)"
        r"|'ascii' codec can't decode byte \S+ in position \d+: ordinal not in range\(128\).{0,300}?(?:np|numpy)\.load\(",
        why="the file holds a dictionary that Python 2 pickled, and its texts are no ASCII",
        remedy="`np.load(path, encoding='latin1', allow_pickle=True).item()` for a file that you trust, then save plain arrays.",
        weigh=ranked(("version-mismatch", 0.9), ("unsafe-pickle", 0.6), ("corrupt", 0.4)),
        example=(
            "UnicodeError: Unpickling a python object failed: UnicodeDecodeError('ascii', b'x', 0, 1, 'ordinal not in "
            "range(128)')"
        ),
    ),
    Entry(
        "npy-cut-short",
        "corrupt",
        ("cannot reshape array of size", "failed to read all data for array"),
        r"(?:np|numpy)\.load\(.{0,400}?cannot reshape array of size (?P<got>\d+) into shape \(?(?P<want>[\d, ]+)"
        r"|cannot reshape array of size (?P<got2>\d+) into shape \(?(?P<want2>[\d, ]+)\)?.{0,200}?(?:np|numpy)\.load\("
        r"|Failed to read all data for array",
        why="the file ends before its array does ({got} values of {want}): the download or the save broke off",
        remedy="Get it again and compare its size; `holdfast verify FILE` names what is cut.",
        weigh=ranked(("corrupt", 0.86), ("incomplete-save", 0.82), ("format-mismatch", 0.4)),
        test="whole",
        example="w = np.load('a.npy')\nValueError: cannot reshape array of size 1048560 into shape (4096,1000)",
    ),
)
