"""All rows of the restore matrix, of the frameworks that are installed."""

from __future__ import annotations

from importlib.util import find_spec

from harness import Row


def rows() -> list[Row]:
    """Every row; a framework that is not installed has none (the test says so by name)."""
    found: list[Row] = []
    from numpy_rows import ROWS as numpy_rows

    found += numpy_rows
    if find_spec("torch") is not None:
        from torch_file_rows import ROWS as torch_file_rows
        from torch_rows import ROWS as torch_rows
        from torch_wrapped_rows import ROWS as torch_wrapped_rows

        found += torch_rows + torch_file_rows + torch_wrapped_rows
    if find_spec("tensorflow") is not None:
        from keras_mirrored_rows import ROWS as keras_mirrored_rows
        from keras_rows import ROWS as keras_rows
        from keras_sharded_rows import ROWS as keras_sharded_rows
        from tensorflow_rows import ROWS as tensorflow_rows

        found += keras_rows + keras_sharded_rows + keras_mirrored_rows + tensorflow_rows
    if find_spec("jax") is not None:
        from jax_rows import ROWS as jax_rows

        found += jax_rows
    return found
