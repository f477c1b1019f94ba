"""What holds the state of an object beside the model: JSON for what is small, arrays for the rest, and back, exactly.

Marks beyond those of :mod:`holdfast._core.plain`, each a mapping with one of these keys: ``$ref`` (an array, by name),
``$fortran`` (one whose memory runs by columns: sums over it round differently), ``$str`` (an array of fixed-width texts),
``$objects`` (an array of mixed values), ``$time``, ``$sparse`` (scipy's compressed matrices), ``$blob`` (many bytes), ``$tuple``,
``$set``, ``$slice``, ``$range``, ``$dtype``, ``$type`` (a number type), ``$named`` (a function, by name only), ``$torch``,
``$jax``, ``$tensorflow`` (their tensors), ``$file``, ``$part`` (an object with a state of its own).
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, UsageError
from ..._core.plain import pack, unpack

__all__ = ["LARGEST_FILE", "Captured", "Draft", "File", "class_of", "owner_of"]

LARGEST_FILE = 64 << 20
"""Bytes of one file that is saved beside the state (a vocabulary, a tokenizer)."""
_INLINE = 64
_BYTES = 1024
_DEEPEST = 60
_AS_THEY_ARE = frozenset({int, str, bool, type(None)})
_NUMBERS = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "complex": complex,
    "bytes": bytes,
    "object": object,
}


@dataclass(frozen=True)
class Captured:
    """The state of one object, of no library.

    Attributes
    ----------
    kind: how it was taken (``state-dict``, ``sklearn``, ``tf-iterator``, ``plain`` ...). of: the object's class.
    about: what JSON holds. arrays: name -> numpy array. files: name -> bytes.
    """

    kind: str
    of: str
    about: Any
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def state(self) -> Any:
        """The state as its library takes it: nests of numbers, texts, bytes, numpy arrays, and tensors of the libraries that
        are imported. Raises :class:`HoldfastError` for what no save writes."""
        return self.value(self.about)

    def put_into(self, thing: Any) -> Any:
        """Put this state into ``thing``; gives the object to go on with (see :func:`put_back`)."""
        from .kinds import put_back

        return put_back(thing, self, type(thing).__name__)

    def __repr__(self) -> str:
        return f"<the state of a {self.of}: put_into(...) puts it back>"

    def value(self, about: Any, part: Callable[[Captured], Any] = lambda inner: inner) -> Any:
        """What a piece of ``about`` says; ``part`` makes the objects within it."""
        if isinstance(about, list):
            return [self.value(item, part) for item in about]
        if not isinstance(about, dict):
            return about
        mark = next((key for key in about if key.startswith("$")), None)
        if mark is None:
            return {key: self.value(item, part) for key, item in about.items()}
        reader = _READ.get(mark)
        try:
            return unpack(about) if reader is None else reader(self, about, part)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise HoldfastError("a state that no save of Holdfast writes", found=str(about)[:80]) from error

    def part(self, about: Any) -> Captured:
        """The state of an object within this one."""
        inner = about["$part"]
        return Captured(inner["kind"], inner["class"], inner["about"], self.arrays, self.files)


@dataclass(frozen=True)
class File:
    """A small file of a state."""

    name: str
    data: bytes


class Draft:
    """A state while it is taken: everything is copied at once, as the objects go on."""

    def __init__(self, other: Callable[[Any, str, Draft], Any]) -> None:
        """``other`` says what an object of no plain kind is, or raises :class:`UsageError`."""
        self.arrays: dict[str, np.ndarray] = {}
        self.files: dict[str, bytes] = {}
        self._other = other

    def add(self, value: Any, path: str, depth: int = 0) -> Any:
        """``value`` as ``about`` holds it. Raises :class:`UsageError` naming what has no state that can be saved."""
        if isinstance(value, np.generic) and not isinstance(value, (str, bytes)):
            return {"$array0": self._array(np.asarray(value), path), "scalar": True}
        if value is None or isinstance(value, (bool, int, float, complex)):
            return pack(_plain(value), path, [])
        if isinstance(value, str):
            return str(value)
        if depth > _DEEPEST:
            raise UsageError("nested too deeply, or in a circle", found=path)
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value)
            return (
                pack(data, path, [])
                if len(data) <= _BYTES
                else {"$blob": self._keep(np.frombuffer(data, np.uint8), path)}
            )
        if isinstance(value, File):
            return {"$file": self._file(value)}
        if isinstance(value, (list, tuple)):
            if type(value) is list and _all_plain(value):
                return list(value)
            items = [self.add(item, f"{path}/{n}", depth + 1) for n, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        for recognise, write in _WRITE:
            if recognise(value):
                return write(self, value, path)
        return self._other(value, path, self)

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> Any:
        if _all_texts(value) and _all_plain(value.values()):
            return dict(value)
        rows = [(key, self.add(item, f"{path}/{key}", depth + 1)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {str(key): item for key, item in rows}
        return {"$pairs": [[self.add(key, f"{path}/keys", depth + 1), item] for key, item in rows]}

    def _keep(self, array: np.ndarray, path: str) -> str:
        name, n = path, 1
        while name in self.arrays:
            n += 1
            name = f"{path}~{n}"
        self.arrays[name] = np.array(array, order="C", copy=True)
        return name

    def _array(self, value: np.ndarray, path: str) -> Any:
        if value.dtype.kind in "US":
            texts = [pack(text, path, []) for text in value.reshape(-1).tolist()]
            return {"$str": texts, "dtype": value.dtype.str, "shape": list(value.shape)}
        if value.dtype.kind in "mM":
            return {"$time": self._array(value.astype("i8"), path), "dtype": value.dtype.str}
        if value.dtype.names is not None:
            raise UsageError("an array of records cannot be saved", found=path)
        if value.dtype.hasobject:
            items = [self.add(item, f"{path}/{n}") for n, item in enumerate(value.reshape(-1).tolist())]
            return {"$objects": items, "shape": list(value.shape)}
        if value.flags.f_contiguous and not value.flags.c_contiguous:
            return {"$fortran": self._array(np.ascontiguousarray(value), path)}
        packed = pack(value, path, []) if value.size <= _INLINE else None
        return packed if packed is not None else {"$ref": self._keep(value, path)}

    def _file(self, value: File) -> str:
        if len(value.data) > LARGEST_FILE:
            raise UsageError(
                "this file is too large to be saved beside the state", found=f"{value.name}: {len(value.data):,} bytes",
                expected=f"at most {LARGEST_FILE:,} bytes",
            )  # fmt: skip
        name, n = value.name, 1
        while name in self.files:
            n += 1
            name = f"{n}-{value.name}"
        self.files[name] = bytes(value.data)
        return name

    def _torch(self, value: Any, path: str) -> Any:
        torch = sys.modules["torch"]
        held = value.detach().cpu()
        word = str(held.dtype).removeprefix("torch.")
        about: dict[str, Any] = {"dtype": word, "shape": list(held.shape)}
        try:
            return {"$torch": self._array(held.numpy(), path), **about}
        except (TypeError, RuntimeError):  # bfloat16 and others that numpy has not
            raw = held.contiguous().reshape(-1).view(torch.uint8).numpy()
            return {"$torch": self._array(raw, path), **about, "raw": True}

    def _jax(self, value: Any, path: str) -> Any:
        jax = sys.modules["jax"]
        if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            return {"$jax": self._array(np.asarray(jax.random.key_data(value)), path),
                    "key": str(jax.random.key_impl(value))}  # fmt: skip
        return {"$jax": self._array(np.asarray(value), path)}

    def _tensorflow(self, value: Any, path: str) -> Any:
        return {"$tensorflow": self._array(np.asarray(value), path)}

    def _sparse(self, value: Any, path: str) -> Any:
        rows = value.tocsr()
        return {
            "$sparse": value.format,
            "data": self._array(rows.data, f"{path}/data"),
            "indices": self._array(rows.indices, f"{path}/indices"),
            "indptr": self._array(rows.indptr, f"{path}/indptr"),
            "shape": [int(n) for n in rows.shape],
            "matrix": not hasattr(value, "_is_array") and "array" not in type(value).__name__,
        }

    def _set(self, value: Any, path: str) -> Any:
        items = [self.add(item, f"{path}/{n}") for n, item in enumerate(sorted(value, key=repr))]
        return {"$set": items, "frozen": isinstance(value, frozenset)}

    def _rest(self, value: Any, path: str) -> Any:
        if isinstance(value, slice):
            return {"$slice": [self.add(v, path) for v in (value.start, value.stop, value.step)]}
        if isinstance(value, range):
            return {"$range": [value.start, value.stop, value.step]}
        if isinstance(value, np.dtype):
            return {"$dtype": value.str}
        if isinstance(value, type):
            return {"$type": class_of(value, of_instance=False)}
        return {"$named": _name_of(value)}


def _plain(value: Any) -> Any:
    """A number of a subclass (an enumeration's) as the number."""
    kinds: tuple[Any, ...] = (bool, int, float, complex)
    return next((kind(value) for kind in kinds if isinstance(value, kind)), None)


def _all_plain(values: Iterable[Any]) -> bool:
    """Whether nothing is to be done: vocabularies are long, and each save captures them."""
    return set(map(type, values)) <= _AS_THEY_ARE


def _all_texts(keys: Iterable[Any]) -> bool:
    return set(map(type, keys)) <= {str} and not any(key[:1] == "$" for key in keys)


def owner_of(value: Any) -> str:
    """The library that an object's class comes from, by its module."""
    return str(type(value).__module__ or "").partition(".")[0]


def class_of(value: Any, *, of_instance: bool = True) -> str:
    """The class's name with its module."""
    cls = type(value) if of_instance else value
    return f"{cls.__module__}.{cls.__qualname__}"


def _name_of(function: Any) -> str:
    return f"{getattr(function, '__module__', None) or 'numpy'}.{getattr(function, '__qualname__', function.__name__)}"


def _of(library: str, name: str) -> Callable[[Any], bool]:
    def recognise(value: Any) -> bool:
        module = sys.modules.get(library)
        cls = getattr(module, name, None) if module is not None else None
        return isinstance(cls, type) and isinstance(value, cls)

    return recognise


def _is_tensorflow(value: Any) -> bool:
    return _of("tensorflow", "Tensor")(value) or _of("tensorflow", "Variable")(value)


def _is_sparse(value: Any) -> bool:
    return owner_of(value) == "scipy" and hasattr(value, "tocsr") and hasattr(value, "format")


_WRITE: tuple[tuple[Callable[[Any], bool], Callable[[Draft, Any, str], Any]], ...] = (
    (lambda v: isinstance(v, np.ndarray), Draft._array),
    (_of("torch", "Tensor"), Draft._torch),
    (_of("jax", "Array"), Draft._jax),
    (_is_tensorflow, Draft._tensorflow),
    (_is_sparse, Draft._sparse),
    (lambda v: isinstance(v, (set, frozenset)), Draft._set),
    (lambda v: isinstance(v, (slice, range, np.dtype, type, np.ufunc)), Draft._rest),
    (lambda v: isinstance(v, (types.FunctionType, types.BuiltinFunctionType)), Draft._rest),
)

Part = Callable[[Captured], Any]


def _read_torch(c: Captured, about: Any, part: Part) -> Any:
    array = np.asarray(c.value(about["$torch"]))
    torch = sys.modules.get("torch")
    if torch is None:
        return array
    held = torch.from_numpy(np.array(array, copy=True))
    dtype = getattr(torch, about["dtype"])
    return (held.view(dtype) if about.get("raw") else held.to(dtype)).reshape(about["shape"])


def _read_jax(c: Captured, about: Any, part: Part) -> Any:
    array = c.value(about["$jax"])
    jax = sys.modules.get("jax")
    if jax is None:
        return array
    return jax.random.wrap_key_data(array, impl=about["key"]) if "key" in about else jax.numpy.asarray(array)


def _read_tensorflow(c: Captured, about: Any, part: Part) -> Any:
    array = c.value(about["$tensorflow"])
    tf = sys.modules.get("tensorflow")
    return array if tf is None else tf.constant(array)


def _read_sparse(c: Captured, about: Any, part: Part) -> Any:
    from scipy import sparse

    make = sparse.csr_matrix if about["matrix"] else sparse.csr_array
    rows = make(
        (c.value(about["data"]), c.value(about["indices"]), c.value(about["indptr"])),
        shape=tuple(about["shape"]),
    )
    return rows.asformat(about["$sparse"])


def _read_str(c: Captured, about: Any, part: Part) -> Any:
    dtype = np.dtype(about["dtype"])
    if dtype.kind not in "US":
        raise ValueError("not texts")
    return np.array([unpack(text) for text in about["$str"]], dtype).reshape(about["shape"])


def _read_objects(c: Captured, about: Any, part: Part) -> Any:
    array = np.empty(len(about["$objects"]), object)
    for n, item in enumerate(about["$objects"]):
        array[n] = c.value(item, part)
    return array.reshape(about["shape"])


def _read_type(c: Captured, about: Any, part: Part) -> Any:
    module, _, name = about["$type"].rpartition(".")
    if (
        module == "numpy"
        and isinstance(found := getattr(np, name, None), type)
        and issubclass(found, np.generic)
    ):
        return found
    if module == "builtins" and name in _NUMBERS:
        return getattr(builtins, name)
    raise ValueError("not a number type")


def _read_named(c: Captured, about: Any, part: Part) -> Any:
    name = about["$named"].rpartition(".")[2]
    found = getattr(np, name, None)
    if about["$named"].startswith("numpy.") and isinstance(found, np.ufunc):
        return found
    raise HoldfastError("a function is saved by name only, and cannot be made again", found=about["$named"])


def _read_set(c: Captured, about: Any, part: Part) -> Any:
    items = [c.value(item, part) for item in about["$set"]]
    return frozenset(items) if about.get("frozen") else set(items)


_READ: dict[str, Callable[[Captured, Any, Part], Any]] = {
    "$ref": lambda c, a, p: np.array(c.arrays[a["$ref"]], copy=True),
    "$array0": lambda c, a, p: np.asarray(c.value(a["$array0"]))[()],
    "$fortran": lambda c, a, p: np.asfortranarray(c.value(a["$fortran"])),
    "$blob": lambda c, a, p: c.arrays[a["$blob"]].tobytes(),
    "$str": _read_str,
    "$time": lambda c, a, p: np.asarray(c.value(a["$time"])).view(np.dtype(a["dtype"])),
    "$objects": _read_objects,
    "$tuple": lambda c, a, p: tuple(c.value(item, p) for item in a["$tuple"]),
    "$pairs": lambda c, a, p: {c.value(key, p): c.value(item, p) for key, item in a["$pairs"]},
    "$set": _read_set,
    "$slice": lambda c, a, p: slice(*(c.value(v) for v in a["$slice"])),
    "$range": lambda c, a, p: range(*a["$range"]),
    "$dtype": lambda c, a, p: np.dtype(a["$dtype"]),
    "$type": _read_type,
    "$named": _read_named,
    "$torch": _read_torch,
    "$jax": _read_jax,
    "$tensorflow": _read_tensorflow,
    "$sparse": _read_sparse,
    "$file": lambda c, a, p: c.files[a["$file"]],
    "$part": lambda c, a, p: p(c.part(a)),
}
