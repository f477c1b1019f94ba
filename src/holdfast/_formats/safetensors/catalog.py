"""safetensors: one header, one buffer, zero-copy reads. The format has no checksum, so there is no evidence
to check.

Format facts: huggingface/safetensors, README ("Format") and ``safetensors/src/tensor.rs`` (``Dtype``,
``validate``); ``bindings/python/py_src/safetensors/torch.py`` (``save_model`` records dropped duplicates in
``__metadata__``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.dtypes import DTYPES, carrier, itemsize_bits
from ..._core.effort import most_tensors
from ..._core.errors import DamagedCheckpoint, LimitExceeded
from ..._core.fault import Fault
from ..._core.roles import guess_role
from ..._core.spec import Stored, TensorSpec
from ..._core.words import plural
from ..._storage import Source, Store
from ..flat_optax import optax_state
from ..registry import Format
from ..tree_paths import by_path
from .header import MAX_HEADER, Header, read_header

__all__ = ["DTYPE_NAMES", "FORMATS", "SafetensorsCatalog", "open_safetensors", "recognise_safetensors"]

DTYPE_NAMES = {
    "BOOL": "bool",
    "F4": "float4_e2m1fn",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
"""The format's dtype words (``tensor.rs`` ``enum Dtype``) -> our names. F8_E4M3 is what torch calls
float8_e4m3fn.
"""

_DIALECTS = {"pt": "torch", "tf": "tensorflow", "flax": "jax", "jax": "jax", "np": "numpy", "mlx": "mlx"}
_WRITERS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX", "numpy": "numpy", "mlx": "MLX"}
_MAX_RANK = 64  # numpy's limit


def recognise_safetensors(source: Source) -> bool:
    """Whether the file begins with a plausible header length and a JSON object of tensor entries."""
    head = source.head()
    if len(head) < 10:
        return False
    (length,) = struct.unpack_from("<Q", head)
    text = head[8:].lstrip(b" \t\r\n")
    if not text.startswith(b"{"):
        return False
    inside = text[1:].lstrip(b" \t\r\n")
    if not inside.startswith((b'"', b"}")) and inside:
        return False
    if any(word in text for word in (b'"data_offsets"', b'"__metadata__"', b'"dtype"')):
        return True  # also where the length is damaged: open() tells so
    return 2 <= length <= min(MAX_HEADER, source.size - 8)


def open_safetensors(source: Source, store: Store) -> Catalog:
    """Open by reading the header alone.

    Raises :class:`DamagedCheckpoint` (or :class:`Truncated`, :class:`LimitExceeded`) where no tensor can be
    listed.
    """
    return SafetensorsCatalog(source)


_LEAST = 72
"""Bytes of the header's entry for a tensor of one letter and one element, and the element's own."""


class SafetensorsCatalog(Catalog):
    """A safetensors file. ``attributes`` holds the strings of ``__metadata__``."""

    format = "safetensors"

    def __init__(self, source: Source) -> None:
        header = read_header(source)
        self._source, self._start = source, header.start
        most = most_tensors(source.size, _LEAST)
        if len(header.entries) > most:
            raise LimitExceeded(
                "more tensors than an honest file of that size holds",
                file=source.name,
                offset=8,
                expected=f"at most {most}",
                found=len(header.entries),
            )
        self._bad: dict[str, str] = {}
        faults = list(header.faults)
        metadata = _metadata(header, source, faults)
        dialect = _DIALECTS.get(metadata.get("format", ""), "")
        names = {name for name, _ in header.entries}
        kept = {a: k for a, k in metadata.items() if k in names and a not in names and a != "format"}
        aliases: dict[str, list[str]] = {}
        for dropped, name in kept.items():
            aliases.setdefault(name, []).append(dropped)
        specs, optimizers = optax_state(by_path(self._specs_of(header, dialect, aliases, faults)))
        attributes: dict[str, Any] = metadata
        if kept:
            attributes = {k: v for k, v in metadata.items() if k not in kept}
        if kept:
            attributes["aliases"] = kept
        if dialect:
            attributes.setdefault("writer", f"safetensors ({_WRITERS[dialect]})")
        super().__init__(
            specs, files=(source.name,), attributes=attributes, optimizers=optimizers, faults=faults
        )

    def _specs_of(
        self, header: Header, dialect: str, aliases: Mapping[str, list[str]], faults: list[Fault]
    ) -> Iterator[TensorSpec]:
        file, start = self._source.name, header.start
        spans: list[tuple[int, int, str]] = []
        for order, (name, entry) in enumerate(header.entries):
            problem = _problem(entry)
            if problem is not None:
                faults.append(
                    Fault("malformed", f"entry {name!r}: {problem}", file, 8, name, tensors=(name,))
                )
                continue
            dtype = DTYPE_NAMES.get(entry["dtype"])
            shape = tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            spans.append((begin, end, name))
            if dtype is None:
                dtype = entry["dtype"]
                text = f"a dtype that no version of the format has: {dtype!r}"
                self._bad[name] = text
                faults.append(
                    Fault("malformed", f"{name!r} has {text}", file, 8, name, seen=dtype, tensors=(name,))
                )
            elif prod(shape) * DTYPES[dtype].bits != (end - begin) * 8:
                bits = prod(shape) * DTYPES[dtype].bits
                text = f"shape and dtype take {bits / 8:g} bytes, its offsets {end - begin}"
                self._bad[name] = text
                faults.append(
                    Fault(
                        "malformed",
                        f"{name!r}: {text}",
                        file,
                        start + begin,
                        name,
                        seen=end - begin,
                        expected=f"{bits / 8:g}",
                        tensors=(name,),
                    )
                )
            yield TensorSpec(
                name=name,
                shape=shape,
                dtype=dtype,
                role=guess_role(name, dtype, shape),
                aliases=tuple(aliases.get(name, ())),
                dialect=dialect,
                order=order,
                nbytes=end - begin,
                stored=(Stored(file, start + begin, end - begin),),
            )
        if not header.cut:
            _check_tiling(spans, start, self._source, faults)

    def read(self, name: str) -> np.ndarray:
        """Zero-copy and read-only; types under eight bits are unpacked, lowest bits first."""
        spec = self[name]
        problem = self._bad.get(spec.key)
        stored = spec.stored[0]
        assert stored.offset is not None
        if problem is not None:
            raise DamagedCheckpoint(problem, file=self._source.name, offset=stored.offset, tensor=spec.name)
        view = self._source.view(stored.offset, stored.nbytes)
        try:
            bits = itemsize_bits(spec.dtype)
            if bits < 8:
                return (
                    unpack_bits(np.frombuffer(view, np.uint8), bits, prod(spec.shape))
                    .view(carrier(spec.dtype))
                    .reshape(spec.shape)
                )
            return np.frombuffer(view, carrier(spec.dtype)).reshape(spec.shape)
        except ValueError as error:
            raise DamagedCheckpoint(
                f"no array can have this shape: {error}",
                file=self._source.name,
                offset=stored.offset,
                tensor=spec.name,
            ) from error

    def stretch(self, name: str) -> Callable[[int, int], memoryview] | None:
        """See :meth:`Catalog.stretch`."""
        spec = self[name]
        first = spec.stored[0].offset
        if first is None or spec.key in self._bad or itemsize_bits(spec.dtype) < 8:
            return None
        return lambda start, count: self._source.view(first + start, count)

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        """See :meth:`Catalog.pieces`; types under eight bits are unpacked piece by piece."""
        spec = self[name]
        bits = itemsize_bits(spec.dtype) if spec.key not in self._bad else 8
        if bits >= 8:
            yield from super().pieces(name, limit)
            return
        stored = spec.stored[0]
        assert stored.offset is not None
        step, count = max(8, limit // 8 * 8), prod(spec.shape)
        for start in range(0, count, step):
            some = min(step, count - start)
            view = self._source.view(stored.offset + start * bits // 8, -(-some * bits // 8))
            yield unpack_bits(np.frombuffer(view, np.uint8), bits, some).view(carrier(spec.dtype))

    def close(self) -> None:
        self._source.close()


def _metadata(header: Header, source: Source, faults: list[Fault]) -> dict[str, str]:
    """The strings of ``__metadata__``; what is not string -> string is reported and dropped."""
    given = header.metadata
    if given is None:
        return {}
    if not isinstance(given, dict):
        faults.append(
            Fault(
                "malformed", "__metadata__ is no object of strings", source.name, 8, seen=type(given).__name__
            )
        )
        return {}
    odd = [key for key, value in given.items() if not isinstance(value, str)]
    if odd:
        faults.append(
            Fault(
                "malformed",
                f"__metadata__ holds a value that is no string ({odd[0]!r}); the format's own reader "
                "refuses the whole file",
                file=source.name,
                offset=8,
                seen=type(given[odd[0]]).__name__,
                expected="strings only",
                attributes={"keys": odd[:100]},
            )
        )
        return {key: value for key, value in given.items() if isinstance(value, str)}
    return given


def _problem(entry: Any) -> str | None:
    """What makes an entry unusable, or ``None``."""
    if not isinstance(entry, dict):
        return "is no object"
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str):
        return "has no dtype"
    if not isinstance(shape, list) or len(shape) > _MAX_RANK:
        return "has no usable shape"
    for size in shape:
        if type(size) is not int or not 0 <= size < 1 << 63:
            return f"has an impossible dimension: {size!r}"[:100]
    if not isinstance(offsets, list) or len(offsets) != 2:
        return "has no usable data_offsets"
    if type(offsets[0]) is not int or type(offsets[1]) is not int:
        return "has no usable data_offsets"
    if not 0 <= offsets[0] <= offsets[1] < 1 << 63:
        return f"has impossible data_offsets: {offsets}"[:100]
    return None


def _check_tiling(spans: list[tuple[int, int, str]], start: int, source: Source, faults: list[Fault]) -> None:
    """Hold the spans against the rule that they cover the buffer exactly, and against the file's size."""
    holes: list[tuple[int, int]] = []
    overlaps: list[tuple[str, str, int]] = []
    at, last = 0, ""
    for begin, end, name in sorted(spans):
        if begin > at:
            holes.append((at, begin))
        elif begin < at and end > begin:
            overlaps.append((last, name, begin))
        if end > at:
            at, last = end, name
    size = source.size - start
    if holes:
        total = sum(e - b for b, e in holes)
        faults.append(
            Fault(
                "hole",
                f"{plural(total, 'byte')} of the buffer, in {plural(len(holes), 'gap')}, of no tensor",
                file=source.name,
                offset=start + holes[0][0],
                seen=total,
                expected=0,
                attributes={"gaps": [[start + b, e - b] for b, e in holes[:100]]},
            )
        )
    if overlaps:
        first, second, place = overlaps[0]
        faults.append(
            Fault(
                "overlap",
                f"{first!r} and {second!r} claim the same bytes"
                + (f", and {plural(len(overlaps) - 1, 'further pair')}" if len(overlaps) > 1 else ""),
                file=source.name,
                offset=start + place,
                tensor=second,
                attributes={"pairs": [[a, b] for a, b, _ in overlaps[:100]]},
            )
        )
    if at > size:
        lost = tuple(name for begin, end, name in spans if end > size and end > begin)
        faults.append(
            Fault(
                "truncated",
                f"the file is cut off: {at - size} of {start + at} bytes are missing, {len(lost)} of "
                f"{plural(len(spans), 'tensor')} "
                f"wholly or partly beyond the end",
                file=source.name,
                offset=source.size,
                seen=source.size,
                expected=start + at,
                tensors=lost,
                attributes={"missing": at - size},
            )
        )
    elif at < size:
        faults.append(
            Fault(
                "trailing-bytes",
                f"{plural(size - at, 'byte')} after the last tensor; the format's own reader refuses such a file",
                file=source.name,
                offset=start + at,
                seen=source.size,
                expected=start + at,
            )
        )


def unpack_bits(packed: np.ndarray, bits: int, count: int) -> np.ndarray:
    """``count`` elements of ``bits`` (< 8) bits each out of ``packed`` uint8, lowest bits first, one uint8
    per element.

    The order is that of ``torch.float4_e2m1fn_x2`` (first element in the low nibble); the format itself fixes
    none.
    """
    if bits in (1, 2, 4):  # elements that do not straddle bytes: shifted out, in no more room than they take
        each = 8 // bits
        split = np.empty((packed.size, each), np.uint8)
        for place in range(each):
            np.right_shift(packed, place * bits, out=split[:, place])
        split &= (1 << bits) - 1
        return split.reshape(-1)[:count]
    out, whole = np.empty(count, np.uint8), 8 * bits
    weights = (1 << np.arange(bits)).astype(np.uint8)
    step = 1 << 16  # elements at a time, a multiple of eight: they begin and end at bytes
    for start in range(0, count, step):
        some = min(step, count - start)
        first = start // 8 * whole // 8
        part = np.unpackbits(packed[first : first + -(-some * bits // 8)], bitorder="little")
        out[start : start + some] = (part[: some * bits].reshape(some, bits) * weights).sum(
            axis=1, dtype=np.uint8
        )
    return out


FORMATS: tuple[Format, ...] = (
    Format(
        "safetensors",
        "safetensors",
        recognise_safetensors,
        open_safetensors,
        suffixes=(".safetensors", ".sft"),
        family="numpy",
    ),
)
