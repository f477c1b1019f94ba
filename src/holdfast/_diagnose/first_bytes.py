"""What the first byte of a file says that is no pickle of ``torch.save``, and what is to be done."""

from __future__ import annotations

__all__ = ["AGAIN", "FIRST_BYTES", "READERS"]

AGAIN = "Look at the file (`holdfast CKPT` says what it is and how much is there), and get it again from its source."

LFS = "`git lfs pull`, or download the file itself; `holdfast CKPT` shows the pointer's size and hash."

FIRST_BYTES = {
    "v": (
        "corrupt",
        "the file is a Git-LFS pointer (it begins with `version https://git-lfs...`), not the data",
        LFS,
    ),
    "<": (
        "corrupt",
        "the file is a web page (it begins with `<`): a login, quota or error page was saved in its place",
        AGAIN,
    ),
    "{": (
        "corrupt",
        "the file is JSON (an error message of a server, or a config), not a checkpoint",
        AGAIN,
    ),
    "\\x00": (
        "corrupt",
        "the file is full of zeros: it was reserved and never written (a crash, a full disk, a torn copy)",
        AGAIN,
    ),
    "\\x1f": (
        "format-mismatch",
        "the file is compressed (gzip): unpack it first",
        "gunzip it, or open it with `gzip.open`.",
    ),
    "\\x89": (
        "format-mismatch",
        "the file begins like HDF5 or PNG: it is no file of torch.save",
        "Load it with the tool that wrote it.",
    ),
    "h": ("format-mismatch", "the file does not begin as a pickle does; it may be another format", AGAIN),
    "P": (
        "version-mismatch",
        "the file is a zip archive (torch 1.6 and later write these), which this reader does not know",
        "Upgrade PyTorch, or save with `_use_new_zipfile_serialization=False`.",
    ),
}
"""First byte -> cause, explanation, remedy."""

READERS = {
    ".safetensors": "Read it with `safetensors.torch.load_file`.",
    ".gguf": "Read it with llama.cpp or `gguf.GGUFReader`.",
    ".onnx": "Read it with `onnx.load`.",
    ".h5": "It is HDF5: `keras.saving.load_model` or `load_weights`, or `h5py`.",
    ".keras": "Read it with `keras.saving.load_model`.",
}
"""Endings of files that are no pickles -> what reads them."""
