"""What a catalog says of one tensor and of one optimizer, without touching a data byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from .dtypes import nbytes_of

__all__ = ["Role", "ROLES", "Extent", "Stored", "TensorSpec", "ParamGroup", "OptimizerSpec"]

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

    # Written out, as a frozen dataclass's own takes twice as long, and a checkpoint has tens of thousands of tensors.
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
        _set_name(self, name)
        _set_shape(self, shape)
        _set_dtype(self, dtype)
        _set_key(self, key or name)
        _set_role(self, role)
        _set_owner(self, owner)
        _set_slot(self, slot)
        _set_optimizer(self, optimizer)
        _set_path(self, path)
        _set_aliases(self, aliases)
        _set_dialect(self, dialect)
        _set_layout(self, layout)
        _set_trainable(self, trainable)
        _set_order(self, order)
        _set_shares(self, shares)
        _set_extent(self, extent)
        _set_nbytes(self, nbytes_of(shape, dtype) if nbytes < 0 else nbytes)
        _set_stored(self, stored)
        _set_attributes(self, attributes)

    def with_(self, **changes: Any) -> TensorSpec:
        """A copy with some fields changed; ``path`` and ``nbytes`` follow ``name``, ``shape`` and ``dtype``."""
        if "name" in changes and "path" not in changes:
            changes["path"] = ()
        if ("shape" in changes or "dtype" in changes) and "nbytes" not in changes:
            changes["nbytes"] = nbytes_of(changes.get("shape", self.shape), changes.get("dtype", self.dtype))
        unknown = changes.keys() - _SLOTS.keys()
        if unknown:
            raise TypeError(f"a TensorSpec has no {', '.join(sorted(unknown))}")
        made = object.__new__(TensorSpec)  # dataclasses.replace takes five times as long
        for name, (get, put) in _SLOTS.items():
            put(made, changes[name] if name in changes else get(self))
        return made


# The slots' own setters, which a frozen class does not bar.
_put_file, _put_offset, _put_nbytes, _put_extent = (
    getattr(Stored, name).__set__ for name in Stored.__slots__
)
(
    _set_name,
    _set_shape,
    _set_dtype,
    _set_key,
    _set_role,
    _set_owner,
    _set_slot,
    _set_optimizer,
    _set_path,
    _set_aliases,
    _set_dialect,
    _set_layout,
    _set_trainable,
    _set_order,
    _set_shares,
    _set_extent,
    _set_nbytes,
    _set_stored,
    _set_attributes,
) = (getattr(TensorSpec, name).__set__ for name in TensorSpec.__slots__)
_SLOTS = {
    name: (getattr(TensorSpec, name).__get__, getattr(TensorSpec, name).__set__)
    for name in TensorSpec.__slots__
}
_get_path = TensorSpec.path.__get__  # type: ignore[attr-defined, misc]


def _path_of(spec: TensorSpec) -> tuple[str, ...]:
    """Canonical segments of the name; cut when first asked for."""
    found: tuple[str, ...] = _get_path(spec)
    if not found:
        found = tuple(spec.name.replace(".", "/").split("/"))
        _set_path(spec, found)
    return found


TensorSpec.path = property(_path_of, _set_path)  # type: ignore[assignment, misc]


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
