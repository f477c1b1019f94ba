"""What a catalog says of one tensor and of one optimizer, without touching a data byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from .dtypes import nbytes_of

__all__ = ["Role", "ROLES", "Extent", "Stored", "TensorSpec", "SpecDraft", "ParamGroup", "OptimizerSpec"]

Role = Literal[
    "weight",
    "buffer",
    "slot",
    "average",
    "gradient",
    "hyperparameter",
    "counter",
    "rng",
    "data-position",
    "metric",
    "other",
]
ROLES: tuple[Role, ...] = get_args(Role)

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of a whole a shard covers: per dimension a start and a length."""

    whole: tuple[int, ...]
    start: tuple[int, ...]
    length: tuple[int, ...]


@dataclass(frozen=True, slots=True, init=False)
class Stored:
    """A run of bytes that belongs to a tensor: file (as listed in ``Catalog.files``), offset and length in bytes.

    ``offset`` is ``None`` where the bytes are not one plain run (compressed or chunked); ``extent`` tells which part
    of the tensor lies here where it is not the whole.
    """

    file: str
    offset: int | None
    nbytes: int
    extent: Extent | None = None

    # Written out, as in TensorSpec.
    def __init__(self, file: str, offset: int | None, nbytes: int, extent: Extent | None = None) -> None:
        _put_file(self, file)
        _put_offset(self, offset)
        _put_nbytes(self, nbytes)
        _put_extent(self, extent)


@dataclass(frozen=True, slots=True, init=False)
class TensorSpec:
    """One tensor of a catalog.

    Attributes
    ----------
    name: what its author would call it, from the file's own evidence (state-dict path, object path, layer names).
    shape: tuple of int, the logical shape. dtype: a name of :mod:`holdfast._core.dtypes`.
    key: the raw name as stored. aliases: other names that mean the same stored tensor.
    path: canonical segments of the name; cut when first asked for.
    role: one of :data:`ROLES`. owner: for slots, averages and gradients the *name* of the weight, where it is proved.
    slot: the optimizer's word for the slot (``"exp_avg"``, ``"momentum"``), for role ``slot``.
    optimizer: name of the :class:`OptimizerSpec` a slot, counter or hyperparameter belongs to.
    dialect: whose naming (``torch``, ``keras``, ``tensorflow``, ``jax``, ``numpy``).
    layout: kernel axis order where known (``io``, ``oi``, ``hwio``, ``oihw``, ...).
    trainable: ``None`` where the file does not tell. order: the recorded position, ``None`` where there is none.
    shares: an identifier common to all tensors that are views of the same elements (tied weights).
    extent: which part of the whole this tensor is, for shards of a distributed save.
    nbytes: bytes of the dense tensor (as stored for strings). stored: where the bytes lie.
    attributes: what else the file says of this tensor (scale and zero point, stride, requires_grad, ...).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    key: str = ""
    role: Role = "weight"
    owner: str | None = None
    slot: str | None = None
    optimizer: str | None = None
    path: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    dialect: str = ""
    layout: str | None = None
    trainable: bool | None = None
    order: int | None = None
    shares: str | None = None
    extent: Extent | None = None
    nbytes: int = -1
    stored: tuple[Stored, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    # Written out, as a frozen dataclass's own takes four times as long, and a checkpoint has tens of thousands of
    # tensors: the plain assignments of a draft are the fastest that Python has.
    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        key: str = "",
        role: Role = "weight",
        owner: str | None = None,
        slot: str | None = None,
        optimizer: str | None = None,
        path: tuple[str, ...] = (),
        aliases: tuple[str, ...] = (),
        dialect: str = "",
        layout: str | None = None,
        trainable: bool | None = None,
        order: int | None = None,
        shares: str | None = None,
        extent: Extent | None = None,
        nbytes: int = -1,
        stored: tuple[Stored, ...] = (),
        attributes: Mapping[str, Any] = _EMPTY,
    ) -> None:
        _put_class(self, SpecDraft)
        made: SpecDraft = self  # type: ignore[assignment]
        made.name, made.shape, made.dtype = name, shape, dtype
        made.key = key or name
        made.role = role
        made.owner = owner
        made.slot = slot
        made.optimizer = optimizer
        made.path = path
        made.aliases = aliases
        made.dialect = dialect
        made.layout = layout
        made.trainable = trainable
        made.order = order
        made.shares = shares
        made.extent = extent
        made.nbytes = nbytes_of(shape, dtype) if nbytes < 0 else nbytes
        made.stored = stored
        made.attributes = attributes
        made.__class__ = TensorSpec  # type: ignore[assignment]

    def with_(self, **changes: Any) -> TensorSpec:
        """A copy with some fields changed; ``path`` and ``nbytes`` follow ``name``, ``shape`` and ``dtype``."""
        if "name" in changes and "path" not in changes:
            changes["path"] = ()
        if ("shape" in changes or "dtype" in changes) and "nbytes" not in changes:
            changes["nbytes"] = nbytes_of(changes.get("shape", self.shape), changes.get("dtype", self.dtype))
        unknown = changes.keys() - _SLOTS
        if unknown:
            raise TypeError(f"a TensorSpec has no {', '.join(sorted(unknown))}")
        made = self.draft()
        for name, value in changes.items():
            setattr(made, name, value)
        return made.done()

    def draft(self) -> SpecDraft:
        """A copy that may still be changed."""
        made = SpecDraft()
        made.name = self.name
        made.shape = self.shape
        made.dtype = self.dtype
        made.key = self.key
        made.role = self.role
        made.owner = self.owner
        made.slot = self.slot
        made.optimizer = self.optimizer
        made.path = _get_path(self)
        aliases = _get_aliases(self)
        made.aliases = (
            aliases if type(aliases) is tuple else self.aliases
        )  # a function would take the new name
        made.dialect = self.dialect
        made.layout = self.layout
        made.trainable = self.trainable
        made.order = self.order
        made.shares = self.shares
        made.extent = self.extent
        made.nbytes = self.nbytes
        made.stored = self.stored
        made.attributes = self.attributes
        return made


class SpecDraft:
    """A :class:`TensorSpec` in the making, for readers of tens of thousands of tensors: its slots are assigned one by
    one, every one of them, and then ``done()`` makes it the spec. That takes a quarter of the time of a call with
    twenty arguments. ``path`` is ``()`` unless it is known. ``aliases`` may be a function that makes them of the spec
    when they are first asked for."""

    __slots__ = TensorSpec.__slots__  # the same layout is what lets one class take the other's place

    name: str
    shape: tuple[int, ...]
    dtype: str
    key: str
    role: Role
    owner: str | None
    slot: str | None
    optimizer: str | None
    path: tuple[str, ...]
    aliases: tuple[str, ...] | Callable[[TensorSpec], tuple[str, ...]]
    dialect: str
    layout: str | None
    trainable: bool | None
    order: int | None
    shares: str | None
    extent: Extent | None
    nbytes: int
    stored: tuple[Stored, ...]
    attributes: Mapping[str, Any]

    def done(self) -> TensorSpec:
        """This very object as the frozen spec."""
        self.__class__ = TensorSpec  # type: ignore[assignment]
        return self  # type: ignore[return-value]


# The slots' own setters, which a frozen class does not bar.
_put_file, _put_offset, _put_nbytes, _put_extent = (
    getattr(Stored, name).__set__ for name in Stored.__slots__
)
_put_class = object.__dict__["__class__"].__set__  # the way around the frozen class's own ``__setattr__``
_SLOTS = frozenset(TensorSpec.__slots__)
_get_aliases = TensorSpec.aliases.__get__  # type: ignore[attr-defined, misc]
_put_aliases = TensorSpec.aliases.__set__  # type: ignore[attr-defined, misc]
_get_path = TensorSpec.path.__get__  # type: ignore[attr-defined, misc]
_put_path = TensorSpec.path.__set__  # type: ignore[attr-defined, misc]


def _path_of(spec: TensorSpec) -> tuple[str, ...]:
    """Canonical segments of the name; cut when first asked for."""
    found: tuple[str, ...] = _get_path(spec)
    if not found:
        found = tuple(spec.name.replace(".", "/").split("/"))
        _put_path(spec, found)
    return found


TensorSpec.path = property(_path_of, _put_path)  # type: ignore[assignment, misc]


def _aliases_of(spec: TensorSpec) -> tuple[str, ...]:
    """The other names; made when first asked for, where the draft was given a function that makes them."""
    found = _get_aliases(spec)
    if type(found) is not tuple:
        found = tuple(found(spec) if callable(found) else found)
        _put_aliases(spec, found)
    return found


TensorSpec.aliases = property(_aliases_of, _put_aliases)  # type: ignore[assignment, misc]


@dataclass(frozen=True, slots=True)
class ParamGroup:
    """One parameter group: which weights, and the hyperparameters as configured and as current.

    ``owners`` are tensor names where proved; ``positions`` the recorded indices where the file holds only those.
    ``configured`` are values given at construction (``initial_lr``, a Keras config), ``current`` those in force when
    the checkpoint was written. A file that holds only one kind leaves the other empty.
    """

    owners: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    configured: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    current: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """One optimizer of a catalog.

    ``class_name`` is ``None`` where the file does not tell; ``class_likely`` then names what its slots suggest.
    ``slots`` are slot names in recorded order; ``step`` the number of updates, where recorded.
    """

    name: str
    class_name: str | None = None
    class_likely: str | None = None
    groups: tuple[ParamGroup, ...] = ()
    slots: tuple[str, ...] = ()
    step: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def learning_rate(self) -> Any:
        """The current learning rate of the first group that tells one, or ``None``."""
        for group in self.groups:
            for values in (group.current, group.configured):
                for key in ("lr", "learning_rate"):
                    if key in values:
                        return values[key]
        return None
