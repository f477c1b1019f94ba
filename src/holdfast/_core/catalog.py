"""The catalog: an ordered mapping from tensor names to specs, with lazy reads.

A checkpoint on disk is a catalog; a live model with its optimizers is one too. Everything that compares, examines or
restores works on this type and on nothing else.
"""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from .dtypes import carrier
from .errors import AmbiguousTensor, HoldfastError, UnknownTensor
from .fault import Check, Fault
from .spec import OptimizerSpec, TensorSpec
from .words import plural

if TYPE_CHECKING:
    from .modules import ModuleSpec

__all__ = ["Catalog"]

T = TypeVar("T")


class Catalog(Mapping[str, TensorSpec]):
    """An ordered mapping name -> :class:`TensorSpec`.

    Look-up (``catalog[name]``, ``read(name)``, ``name in catalog``) takes a name, a raw key or an alias; a key or
    alias that several tensors bear raises :class:`AmbiguousTensor`. Iteration yields names, each once.

    Attributes
    ----------
    format: name of the format (``"tf-bundle"``), or ``"live"``.
    files: paths of all files that belong to the checkpoint, the main one first.
    attributes: what the checkpoint says of itself beside the tensors: writer versions, epoch, step, configuration;
        JSON-able where possible.
    optimizers: tuple of :class:`OptimizerSpec`.
    faults: what the reader noticed and could read around.
    modules: what the model is made of besides its tensors, where the checkpoint tells (:class:`ModuleSpec`).
    lookups: layers with a vocabulary that the configuration does not list (those of a user's own class), by the path under
        which Keras saves them; of a live model all that have one. Their terms begin with the special tokens.
    pickle_globals: ``module.name`` of all that its pickles import, the harmless ones too.
    """

    format: str = ""
    modules: tuple[ModuleSpec, ...] = ()
    lookups: Mapping[str, ModuleSpec] = MappingProxyType({})
    pickle_globals: tuple[str, ...] = ()

    def __init__(
        self,
        specs: Iterable[TensorSpec],
        *,
        files: Iterable[str] = (),
        attributes: Mapping[str, Any] | None = None,
        optimizers: Iterable[OptimizerSpec] = (),
        faults: Iterable[Fault] = (),
    ) -> None:
        self._others: dict[str, list[str]] | None = None
        self.clashes: list[tuple[TensorSpec, TensorSpec]] = []
        given = list(specs)
        self._specs: dict[str, TensorSpec] = {spec.name: spec for spec in given}
        if len(self._specs) != len(given):  # some name stands twice: the second bearer gets a free one
            self._specs.clear()
            for spec in given:
                first = self._specs.get(spec.name)
                if first is not None:
                    self.clashes.append((first, spec))
                    spec = spec.with_(name=self._free_name(spec))
                self._specs[spec.name] = spec
        self.files: tuple[str, ...] = tuple(files)
        self.attributes: Mapping[str, Any] = MappingProxyType(dict(attributes or {}))
        self.optimizers: tuple[OptimizerSpec, ...] = tuple(optimizers)
        self.faults: tuple[Fault, ...] = tuple(faults)

    def _free_name(self, spec: TensorSpec) -> str:
        """A name for a tensor whose own is taken: its key where that is free, else a counted name."""
        if spec.key != spec.name and spec.key not in self._specs:
            return spec.key
        count = 2
        while f"{spec.name}#{count}" in self._specs:
            count += 1
        return f"{spec.name}#{count}"

    # -- mapping ---------------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    # Mapping's own views look every name up again.
    def values(self) -> ValuesView[TensorSpec]:
        return self._specs.values()

    def items(self) -> ItemsView[str, TensorSpec]:
        return self._specs.items()

    def __contains__(self, name: object) -> bool:
        return name in self._specs or (isinstance(name, str) and name in self._other_names())

    def __getitem__(self, name: str) -> TensorSpec:
        spec = self._specs.get(name)
        if spec is not None:
            return spec
        found = self._other_names().get(name)
        if found is None:
            near = difflib.get_close_matches(name, list(self._specs)[:5000], n=3)
            raise UnknownTensor(
                "no tensor of that name",
                file=self.files[0] if self.files else None,
                tensor=name,
                remedy=f"Did you mean {' or '.join(map(repr, near))}?" if near else None,
            )
        if len(found) > 1:
            raise AmbiguousTensor(
                "several tensors answer to that key", tensor=name, found=", ".join(found[:5])
            )
        return self._specs[found[0]]

    @overload
    def get(self, name: str) -> TensorSpec | None: ...
    @overload
    def get(self, name: str, default: T) -> TensorSpec | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The tensor of that name, key or alias, else ``default``; also where several answer to it.

        Mapping's own would make the error first, and with it a search for near misses among thousands of names.
        """
        spec = self._specs.get(name)
        if spec is not None:
            return spec
        found = self._other_names().get(name, ())
        return self._specs[found[0]] if len(found) == 1 else default

    def _other_names(self) -> dict[str, list[str]]:
        if self._others is None:
            others: dict[str, list[str]] = {}
            for spec in self._specs.values():
                for other in {spec.key, *spec.aliases}:
                    if other not in self._specs:
                        others.setdefault(other, []).append(spec.name)
            self._others = others
        return self._others

    # -- reading ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def read(self, name: str) -> np.ndarray:
        """The tensor's values as a numpy array (ml_dtypes where numpy lacks the type; objects of bytes for strings).

        Zero-copy and read-only where the layout allows. Raises :class:`UnknownTensor`, :class:`NotStored`,
        :class:`DamagedCheckpoint`.
        """

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        """The tensor's elements in C order as flat arrays of about ``limit`` bytes at most.

        For scans and digests that must not hold a whole tensor: where :meth:`stretch` tells how to read a part, no
        more than a piece is held; else the tensor is read and cut.
        """
        spec = self[name]
        stretch = self.stretch(spec.name) if spec.nbytes > limit else None
        if stretch is not None:
            dtype = carrier(spec.dtype)
            step = max(1, limit // dtype.itemsize) * dtype.itemsize
            for start in range(0, spec.nbytes, step):
                try:
                    data = stretch(start, min(step, spec.nbytes - start))
                except HoldfastError as error:
                    error.tensor = error.tensor or spec.name
                    raise
                yield np.frombuffer(data, dtype)
            return
        flat = self.read(name).reshape(-1)
        step = max(1, limit // max(1, flat.dtype.itemsize))
        if flat.dtype == object:
            step = min(step, 1 << 16)  # texts: what is made of them takes ten times their pointers
        if flat.size == 0:
            return
        for start in range(0, flat.size, step):
            yield flat[start : start + step]

    def stretch(self, name: str) -> Callable[[int, int], memoryview] | None:
        """How to read a part of a tensor: a function of a first byte and a count.

        Only where its elements lie in one run of a file, in C order, as :meth:`read` would give them (whole bytes,
        little-endian, not compressed), and nothing is known to be wrong with them; else ``None``.
        """
        return None

    def checks(self) -> Iterator[Check]:
        """The integrity evidence that the files themselves carry (checksums of the format), as units to run."""
        return iter(())

    def vocabulary(self, layer: str) -> list[Any]:
        """The terms that a layer of the model looks up (Keras: ``StringLookup``, ``IntegerLookup``, ``TextVectorization``), in
        their order, as its ``set_vocabulary`` takes them. ``layer``: its name, with those of the
        models around it where several layers have one name (``encoder/words``).

        Raises :class:`UnknownTensor` with the layers whose terms are known: a ``.keras`` file keeps them, weights alone do not.
        """
        lookups = [*self.modules, *self.lookups.values()]
        known = {module.path: module for module in reversed(lookups) if module.terms is not None}
        found = [path for path in known if path == layer] or [p for p in known if p.endswith(f"/{layer}")]
        if len(found) != 1:
            raise (AmbiguousTensor if found else UnknownTensor)(
                "several layers have that name"
                if found
                else "no vocabulary of a layer of that name is kept here",
                file=self.files[0] if self.files else None,
                expected=", ".join(found or known) or "a `.keras` file of a model that looks terms up",
                found=repr(layer),
            )
        module = known[found[0]]
        terms = module.terms() if module.terms is not None else ()
        numbers = str(module.config.get("vocabulary_dtype", "")).startswith("int")
        return [int(term) for term in terms] if numbers else list(terms)

    # -- life ------------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Let go of files. Arrays already handed out stay valid."""

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.files[0] if self.files else "memory"
        return f"<{type(self).__name__} {self.format} {where}: {plural(len(self), 'tensor')}>"

    # -- sums ------------------------------------------------------------------------------------------------------
    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, tied ones counted once."""
        seen: set[str] = set()
        total = 0
        for spec in self._specs.values():
            if spec.shares is not None:
                if spec.shares in seen:
                    continue
                seen.add(spec.shares)
            total += spec.nbytes
        return total
