"""Tensors out of one numpy array file: plain arrays, the fields of structured ones, what a pickled one holds.

Used for lone ``.npy`` files and for the members of an ``.npz``. An object array is a pickle; it is never
unpickled. The inert machine that reads PyTorch's pickles lists the plain arrays in it.

Format facts: numpy/lib/format.py; for pickled arrays numpy/core/src/multiarray/methods.c (``array_reduce``,
``array_setstate``: ``_reconstruct(ndarray, (0,), b'b')`` then the state ``(version, shape, dtype, is_fortran,
bytes)``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field

import numpy as np

from ..._core.dtypes import dtype_of
from ..._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotStored, Truncated
from ..._core.fault import Fault
from ..._core.roles import guess_role
from ..._core.spec import Stored, TensorSpec
from ..._storage import Source
from .header import NpyHeader, read_npy_header

__all__ = ["NpyArray"]

_ROOM = 32 << 20  # bytes that anything compressed may take at once, beside twice what is stored of it
_TEXTS = 1 << 16


@dataclass(slots=True)
class NpyArray:
    """One array file and the tensors in it.

    ``opener`` gives a source that covers exactly the file (or member), ``size`` is its length; ``beginning``
    is that source or its first bytes, enough for the header, and is not kept: an archive may hold tens of
    thousands. ``base`` is the offset in ``file``, ``None`` where it is compressed; ``member``: the archive's
    member, ``None`` for a file of its own.
    """

    opener: Callable[[], Source]
    beginning: InitVar[Source]
    size: int
    name: str
    file: str
    base: int | None = 0
    packed: int = 0  # stored bytes of a compressed member
    member: str | None = None
    header: NpyHeader = field(init=False)
    specs: list[TensorSpec] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _fields: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of structured arrays
    _inside: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self, beginning: Source) -> None:
        """Raises :class:`DamagedCheckpoint` where the header cannot be read."""
        self.header = read_npy_header(beginning)
        if self.header.is_object:
            self._list_pickle()
            return
        self._check_size()
        self.specs.extend(self._leaves(self.name, self.header.dtype, ()))

    @property
    def _label(self) -> str:
        """The file, and the member in it, for errors."""
        return self.file if self.member is None else f"{self.file}:{self.member}"

    # -- listing
    # ---------------------------------------------------------------------------------------------------
    def _leaves(self, name: str, dtype: np.dtype, path: tuple[str, ...]) -> Iterator[TensorSpec]:
        if dtype.names is not None and dtype_of(dtype) != "complex32":
            for part in dtype.names:
                yield from self._leaves(f"{name}.{part}", dtype[part], (*path, part))
            return
        kind, inner = dtype, ()
        while kind.subdtype is not None:
            kind, more = kind.subdtype
            inner = (*inner, *more)
        if kind.names is not None and dtype_of(kind) != "complex32":
            # A sub-array of structures: its fields, each with the sub-array's shape.
            for part in kind.names:
                yield from self._leaves(f"{name}.{part}", np.dtype((kind[part], inner)), (*path, part))
            return
        shape = self.header.shape + inner
        attributes = {}
        if self.header.fortran and len(shape) > 1:
            attributes["order"] = "F"
        if kind.byteorder == ">" or (kind.byteorder == "=" and not np.little_endian):
            attributes["byteorder"] = "big"
        if kind.kind in "SU":
            attributes["stored_dtype"] = kind.str
        text = dtype_of(kind)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        offset = None if self.base is None or path else self.base + self.header.start
        if path:
            self._fields[name] = path
        yield TensorSpec(
            name=name,
            shape=shape,
            dtype=text,
            role=guess_role(name, text, shape),
            dialect="numpy",
            nbytes=count * kind.itemsize,
            stored=(Stored(self.file, offset, count * kind.itemsize),),
            attributes=attributes,
        )

    def _check_size(self) -> None:
        have, need = self.size - self.header.start, self.header.nbytes
        if have < need:
            message = f"the data are cut off: {need - have} of {need} bytes are missing"
            self.faults.append(
                Fault(
                    "truncated",
                    f"{self.name!r}: {message}",
                    file=self._label,
                    offset=self.size,
                    tensor=self.name,
                    seen=have,
                    expected=need,
                    tensors=tuple(s.name for s in self._leaves(self.name, self.header.dtype, ())),
                    attributes={"missing": need - have},
                )
            )
        elif have > need:
            self.faults.append(
                Fault(
                    "trailing-bytes",
                    f"{self.name!r}: {have - need} bytes follow the array",
                    file=self._label,
                    offset=self.header.start + need,
                    seen=have,
                    expected=need,
                )
            )

    # -- reading
    # ---------------------------------------------------------------------------------------------------
    def read(self, spec: TensorSpec) -> np.ndarray:
        """The values: little-endian, strings as objects of bytes (unicode as UTF-8, trailing NULs dropped
        like numpy).

        A view of the file's bytes where order and byte order allow.
        """
        if self.header.is_object:
            value = self._inside.get(spec.key)
            if value is None:
                raise NotStored(
                    "the array is a pickle of Python objects; Holdfast runs no pickle",
                    file=self._label,
                    tensor=spec.name,
                )
            return _plain(value)
        return _plain(self._raw(spec))

    def _raw(self, spec: TensorSpec) -> np.ndarray:
        """The values as stored. Raises :class:`Truncated`, :class:`DamagedCheckpoint`."""
        header = self.header
        if self.size - header.start < header.nbytes:
            raise Truncated(
                "the array's data are cut off",
                file=self._label,
                offset=self.size,
                tensor=spec.name,
                expected=f"{header.nbytes} bytes",
                found=f"{self.size - header.start}",
            )
        try:
            if header.nbytes and self.base is None:
                flat = self._inflated()
            elif header.nbytes:
                flat = np.frombuffer(self.opener().view(header.start, header.nbytes), header.dtype.base)
            else:
                flat = np.empty(0, header.dtype.base)
            shape = header.shape + header.dtype.shape
            array = flat.reshape(shape, order="F" if header.fortran else "C")
            for part in self._fields.get(spec.key, ()):
                array = array[part]
        except (ValueError, TypeError) as error:
            raise DamagedCheckpoint(
                f"no array can have this shape: {error}", file=self._label, tensor=spec.name
            ) from error
        return array

    def _inflated(self) -> np.ndarray:
        """All elements of a compressed member, inflated piece by piece into place."""
        header = self.header
        flat = np.empty(header.nbytes // max(1, header.dtype.base.itemsize), header.dtype.base)
        room, at = flat.view(np.uint8).data, 0
        for chunk in self.opener().chunks(header.start, header.nbytes):
            room[at : at + len(chunk)] = chunk
            at += len(chunk)
        return flat

    def pieces(self, spec: TensorSpec, limit: int) -> Iterator[np.ndarray]:
        """The elements in C order as flat arrays; what lies in C order is read, inflated and converted piece
        by piece.

        A compressed array in Fortran order has no pieces: it must be held whole, and raises
        :class:`LimitExceeded` where it is far larger than what is stored of it.
        """
        header = self.header
        width = header.dtype.itemsize
        if header.is_object or width == 0 or self.size - header.start < header.nbytes:
            yield self.read(spec).reshape(-1)
        elif header.fortran and len(header.shape) > 1:
            if self.base is None:
                self._demand_room(spec)
            yield from map(_plain, _in_c_order(self._raw(spec), limit))
        else:
            rows = max(1, limit // width)
            if spec.dtype == "string":
                rows = min(rows, _TEXTS)  # as Python objects they take ten times their bytes and more
            for chunk in self.opener().chunks(header.start, header.nbytes, step=rows * width):
                part = np.frombuffer(chunk, header.dtype)
                for name in self._fields.get(spec.key, ()):
                    part = part[name]
                yield _plain(part.reshape(-1))

    def _demand_room(self, spec: TensorSpec) -> None:
        most = _ROOM + 2 * self.packed
        if self.header.nbytes > most:
            raise LimitExceeded(
                "a compressed array in Fortran order, far larger than what is stored of it, must be held whole",
                file=self._label,
                tensor=spec.name,
                expected=f"at most {most} bytes",
                found=f"{self.header.nbytes}",
                remedy="`Catalog.read` reads it if you have the memory.",
            )

    # -- pickles
    # ---------------------------------------------------------------------------------------------------
    def _list_pickle(self) -> None:
        start = self.header.start
        whole = TensorSpec(
            name=self.name,
            shape=self.header.shape,
            dtype="object",
            role="other",
            dialect="numpy",
            nbytes=0,
            stored=(Stored(self.file, None if self.base is None else self.base + start, self.size - start),),
            attributes={"pickled": True},
        )
        found: list[tuple[str, np.ndarray]] = []
        try:
            from .pickled import arrays_in_pickle

            found = arrays_in_pickle(self.opener().slice(start, self.size - start), self.faults)
        except HoldfastError as error:
            self.faults.append(
                Fault(
                    "malformed",
                    f"{self.name!r}: {error.message}",
                    self._label,
                    error.offset,
                    self.name,
                )
            )
        for path, value in found:
            name = f"{self.name}.{path}" if path else self.name
            text = dtype_of(value.dtype)
            self._inside[name] = value
            self.specs.append(
                TensorSpec(
                    name=name,
                    shape=value.shape,
                    dtype=text,
                    role=guess_role(name, text, value.shape),
                    dialect="numpy",
                    nbytes=value.nbytes,
                    stored=(Stored(self.file, None, value.nbytes),),
                    attributes={"pickled": True},
                )
            )
        if not found:
            self.specs.append(whole)
            self.faults.append(
                Fault(
                    "not-stored",
                    f"{self.name!r} is an object array: a pickle, whose values only running it could give",
                    file=self._label,
                    offset=start,
                    tensor=self.name,
                    tensors=(self.name,),
                )
            )


def _in_c_order(array: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    """The elements in C order as flat copies of about ``limit`` bytes."""
    row = array.nbytes // max(1, array.shape[0])
    if 0 < row <= limit:
        step = limit // row
        for start in range(0, array.shape[0], step):
            yield array[start : start + step].reshape(-1)
    else:
        step = max(1, limit // max(1, array.dtype.itemsize))
        for start in range(0, array.size, step):
            yield np.asarray(array.flat[start : start + step])


def _plain(array: np.ndarray) -> np.ndarray:
    """Little-endian; strings as objects of bytes."""
    kind = array.dtype.kind
    if kind == "S":
        return np.array(array.tolist(), dtype=object).reshape(array.shape)
    if kind == "U":
        flat = [text.encode("utf-8", "surrogatepass") for text in array.reshape(-1).tolist()]
        out = np.empty(len(flat), dtype=object)
        out[:] = flat
        return out.reshape(array.shape)
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
        return array.astype(array.dtype.newbyteorder("<"))
    return array
