"""Which way each tensor takes from the file into the live model.

``direct``: its stored bytes are its values, and the live memory can be written: read there. ``scratch``: its stored
bytes are its values, but they must be converted, or handed to the framework. ``decoded``: the reader must make the
values (compressed, strided, big-endian, put together from slices, texts).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import carrier, dtype_of, known
from .._core.errors import DamagedCheckpoint, PlanError, UsageError
from .._core.spec import TensorSpec
from .._integrity.places import SMALL, mapping_of
from .._storage import Source
from .._storage.local import placing

__all__ = ["as_bytes", "fits", "let_go", "same_dtype", "same_file"]

_SAMPLE = 4096


def same_dtype(a: str, b: str) -> bool:
    """Whether two dtype names mean the same values in the same bytes (``string`` and ``object`` both are texts)."""
    return a == b or {a, b} == {"string", "object"}


def fits(array: np.ndarray, spec: TensorSpec, tensor: str) -> np.ndarray:
    """``array`` in C order. Raises :class:`PlanError` where its shape or dtype is not the live tensor's."""
    found = dtype_of(array.dtype)
    wanted = dtype_of(carrier(spec.dtype)) if known(spec.dtype) else spec.dtype
    if tuple(array.shape) != tuple(spec.shape) or not same_dtype(found, wanted):
        raise PlanError(
            "the values do not fit the live tensor",
            tensor=tensor,
            expected=f"{wanted}{list(spec.shape)}",
            found=f"{found}{list(array.shape)}",
            remedy="Add the edit that settles it (cast:, slice:, transpose: ...) to the plan.",
        )
    return np.ascontiguousarray(array).reshape(spec.shape)


def as_bytes(array: np.ndarray) -> memoryview:
    """The memory of a C-contiguous, writable array as bytes. Raises :class:`UsageError` for any other."""
    if not (array.flags.c_contiguous and array.flags.writeable and not array.dtype.hasobject):
        raise UsageError("live memory that cannot be written as plain bytes", found=str(array.dtype))
    return array.reshape(-1).view(np.uint8).data


def let_go(array: np.ndarray) -> None:
    """Give back the pages that reading a mapped file brought in: they come again from the cache when touched. So a
    restore that decodes one mapped tensor after the other does not hold them all."""
    mapping = mapping_of(array)
    if mapping is None or array.flags.writeable or not hasattr(mmap, "MADV_DONTNEED"):
        return
    with suppress(ValueError, OSError):  # closed meanwhile, or nothing to give back
        mapping.madvise(mmap.MADV_DONTNEED)


def _copied(view: memoryview) -> bytes | None:
    """The bytes of a page or two that may be a mapped file's, ``None`` where the file has lost them: the kernel, asked to
    write them to a pipe, says so (``EFAULT``, man 2 write), where touching them would end the process."""
    inlet, outlet = os.pipe()
    try:
        os.write(outlet, view)  # a pipe holds 16 pages
        return os.read(inlet, len(view))
    except OSError:
        return None
    finally:
        os.close(inlet)
        os.close(outlet)


def same_file(catalog: Catalog, runs: Sequence[tuple[str, Source, int, int]]) -> None:
    """Compare a few KiB of what the reader holds open with what is opened now: a file that another one has replaced
    under the same name would be read at the places of the old one. Raises :class:`DamagedCheckpoint`."""
    asked: dict[str, int] = {}
    for tensor, source, offset, length in sorted(runs, key=lambda run: -run[3]):
        if asked.setdefault(source.name, 0) >= 3:
            continue
        asked[source.name] += 1
        if length > SMALL:
            with placing():
                array = catalog.read(tensor)
        else:
            array = catalog.read(tensor)
        at = (length - min(length, _SAMPLE)) // 2
        held = _copied(array.reshape(-1).view(np.uint8)[at : at + _SAMPLE].data)
        let_go(array)
        if held != source.read(offset + at, min(length, _SAMPLE)):
            raise DamagedCheckpoint(
                "the file was replaced or changed since it was opened",
                file=source.name,
                offset=offset + at,
                tensor=tensor,
                remedy="Wait until the program that writes it has finished, then restore again.",
            )
