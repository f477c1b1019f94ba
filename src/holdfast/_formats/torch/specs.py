"""Specs and faults of a torch checkpoint from the leaves that the walk found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from ..._core.drafts import draft_of
from ..._core.dtypes import nbytes_of
from ..._core.errors import HoldfastError
from ..._core.fault import Fault
from ..._core.spec import SpecDraft, Stored, TensorSpec
from ..._core.words import plural
from .leaves import Leaf
from .optimizers import Ownership, optimizer_name
from .read import Bank, read_tensor
from .roles import averaged_owner, may_be_special, role_of
from .tensors import Reader
from .views import NOTHING, WIDE, Storage, Tensor, bound
from .walk import Walk

__all__ = ["SpecBuilder", "names_by_storage", "unfold_nested"]

_StoredDraft = draft_of(Stored)
_PLAIN = ("Tensor", "Parameter")  # classes that say nothing
_HERE = ("cpu", "")  # device tags that say nothing
_UNFINISHED = (
    "Where it was saved here, the save ended before it wrote them (an exception, an interrupt) and closed the file: use the "
    "previous checkpoint, of which `holdfast doctor` on the folder tells whether it is whole. Where the file was fetched "
    "or put together, do that again from where it was whole."
)


def unfold_nested(leaves: list[Leaf], bank: Bank) -> list[Leaf]:
    """Nested tensors cut into parts: sizes and strides are small tensors of the file (torch/_utils.py)."""
    if not any(isinstance(leaf.part, Tensor) and "nested" in leaf.part.extra for leaf in leaves):
        return leaves
    made = []
    for leaf in leaves:
        part = leaf.part
        if not isinstance(part, Tensor) or "nested" not in part.extra:
            made.append(leaf)
            continue
        sizes, strides, offsets = part.extra["nested"]
        part.extra = {"nested": "buffer"}
        try:
            rows = _rows(sizes, bank), _rows(strides, bank)
            starts = _starts(offsets, bank, len(rows[0]))
        except (HoldfastError, ValueError) as error:
            part.problem = ("malformed", f"the sizes of a nested tensor cannot be read ({error})")
            made.append(leaf)
            continue
        for index, (shape, stride, start) in enumerate(zip(*rows, starts, strict=True)):
            piece = Tensor(part.storage, part.offset + start, shape, stride, part.dtype, part.requires_grad)
            piece.cls, piece.extra = part.cls, {"nested": f"part {index}"}
            bound(piece)
            suffix = f".{index}"
            made.append(
                Leaf(leaf.name + suffix, leaf.key + suffix, piece, leaf.home, leaf.local + suffix, leaf.kind)
            )
    return made


def _rows(tensor: Tensor | None, bank: Bank) -> list[tuple[int, ...]]:
    if tensor is None or prod(tensor.shape) > 1 << 20 or len(tensor.shape) != 2:
        raise ValueError("not a small matrix")
    return [tuple(int(n) for n in row) for row in read_tensor(tensor, bank)]


def _starts(offsets: Any, bank: Bank, count: int) -> list[int]:
    if isinstance(offsets, (list, tuple)):
        found = [n for n in offsets if type(n) is int]
    else:
        tensor = Reader().tensor(offsets)
        if tensor is None or prod(tensor.shape) > 1 << 20:
            raise ValueError("no offsets")
        found = [int(n) for n in read_tensor(tensor, bank).reshape(-1)]
    if len(found) != count:
        raise ValueError("offsets and sizes disagree")
    return found


def names_by_storage(on: Mapping[str, list[Leaf]]) -> dict[str, list[str]]:
    """Key of each storage -> the names of the tensors on it."""
    return {key: [leaf.name for leaf in leaves] for key, leaves in on.items()}


def _tensors(leaves: Iterable[Leaf]) -> list[Tensor]:
    return [leaf.part for leaf in leaves if isinstance(leaf.part, Tensor)]


class SpecBuilder:
    """Specs and faults from the leaves."""

    def __init__(
        self,
        walk: Walk,
        leaves: list[Leaf],
        homes: dict[str, list[Leaf]],
        averages: set[str],
        owned: list[Ownership],
        bank: Bank,
        file: str,
    ) -> None:
        self.walk, self.leaves, self.homes, self.averages, self.owned = walk, leaves, homes, averages, owned
        self.bank, self.file = bank, file
        self.storages: dict[str, Storage] = {}
        self.count: dict[Any, int] = {}
        self.on: dict[str, list[Leaf]] = {}
        self._unlike: dict[str, None] = {}  # storages that are not just one tensor
        self.special = True  # whether any name may need a close look to tell its role
        self.arrays_alone = all(type(leaf.part) is not Tensor for leaf in leaves)
        self._trouble: dict[tuple[str, str], list[str]] = {}
        self._devices: dict[str, list[str]] = {}
        self._without: list[str] = []
        self._ending = {
            o: n[:-1] for o, n in ((i, f"{optimizer_name(x)}/") for i, x in enumerate(walk.optimizers))
        }

    def specs(self) -> list[TensorSpec]:
        """A spec for each leaf, in order."""
        on, storages = self.on, self.storages
        for leaf in self.leaves:
            storage = leaf.part.storage if isinstance(leaf.part, Tensor) else None
            if storage is None:
                continue
            others = on.get(storage.key)
            if others is None:
                on[storage.key], storages[storage.key] = [leaf], storage
            else:
                others.append(leaf)
                if storage.nbytes > storages[storage.key].nbytes:
                    storages[storage.key] = storage
        for leaves in on.values():
            if len(leaves) > 1:
                for part in _tensors(leaves):
                    identity = part.identity
                    self.count[identity] = self.count.get(identity, 0) + 1
        self.special = may_be_special([leaf.name for leaf in self.leaves])
        return [self._spec(order, leaf) for order, leaf in enumerate(self.leaves)]

    def _spec(self, order: int, leaf: Leaf) -> TensorSpec:
        part = leaf.part
        extra: dict[str, Any] = {}
        spec = SpecDraft()
        spec.shape = part.shape
        spec.shares = spec.trainable = None
        spec.stored = spec.path = ()
        if type(part) is Tensor:
            dtype = part.dtype
            nbytes = part.span * part.itemsize
            storage = part.storage
            if (
                storage is not None
                and nbytes == storage.nbytes
                and storage.location in _HERE
                and part.is_contiguous
                and part.problem is None
                and part.extra is NOTHING
                and part.cls in _PLAIN
                and not part.conj
                and not part.neg
                and len(self.on[storage.key]) == 1
            ):  # the whole of a storage of its own, and nothing special about it, as nearly all are
                available, place = self.bank.extent(storage.key)
                if available is not None and nbytes <= available:
                    run = _StoredDraft()
                    run.file, run.offset, run.nbytes, run.extent = self.file, place, nbytes, None
                    run.__class__ = Stored
                    spec.stored = (run,)
                elif available is not None:
                    self._trouble.setdefault(("truncated", storage.key), []).append(leaf.name)
                elif nbytes:
                    self._trouble.setdefault(("part-missing", storage.key), []).append(leaf.name)
            else:
                if storage is not None:
                    self._unlike.setdefault(storage.key)
                spec.shares, spec.stored = self._tensor_facts(leaf, part, extra)
            if part.cls == "Parameter":
                spec.trainable = part.requires_grad
            if not (part.is_contiguous and part.problem is None and dtype in WIDE):
                nbytes = nbytes_of(part.shape, dtype)
        else:
            dtype = part.dtype_name  # type: ignore[union-attr]
            nbytes = nbytes_of(part.shape, dtype)
            extra["numpy"] = True
        role = role_of(leaf, dtype, self.averages, self.special, self.arrays_alone)
        spec.owner = spec.optimizer = spec.slot = None
        if leaf.optimizer is not None:
            spec.optimizer = self._ending[leaf.optimizer]
            spec.owner = self._owner(leaf, role, extra)
            if role == "slot":
                spec.slot = leaf.slot
        elif role == "average" and leaf.home in self.averages:
            spec.owner = averaged_owner(leaf, self.homes, self.averages)
        name, key = leaf.name, leaf.key
        spec.name, spec.key, spec.dtype, spec.role, spec.nbytes = name, key or name, dtype, role, nbytes
        aliases: tuple[str, ...] = (key,) if key != name else ()
        spec.aliases = (*aliases, name.replace("/", ".")) if "/" in name else aliases
        spec.dialect = "torch"
        spec.layout = spec.extent = None
        spec.order = order
        spec.attributes = extra or NOTHING
        return spec.done()

    def _owner(self, leaf: Leaf, role: str, extra: dict[str, Any]) -> str | None:
        position = leaf.position
        if position is None:
            return None
        extra["position"] = position
        found = self.owned[leaf.optimizer or 0]
        owner = found.proved.get(position)
        if owner is None and role == "slot":
            possible = found.possible.get(position)
            extra["owner_unproved"] = True
            if possible and len(possible) <= 16:
                extra["owner_candidates"] = possible
        return owner

    def _tensor_facts(
        self, leaf: Leaf, part: Tensor, extra: dict[str, Any]
    ) -> tuple[str | None, tuple[Stored, ...]]:
        if part.extra:
            extra.update(part.extra)
        if part.cls != "Tensor" and part.cls != "Parameter":
            extra["class"] = part.cls
        if part.conj:
            extra["conj"] = True
        if part.neg:
            extra["neg"] = True
        storage, problem = part.storage, part.problem
        if problem is not None:
            slug, text = problem
            if slug == "not-stored":
                self._without.append(leaf.name)
            else:
                self._trouble.setdefault((slug, text), []).append(leaf.name)
        if storage is None:
            return None, ()
        if storage.location and storage.location != "cpu":
            extra["device"] = storage.location
            self._devices.setdefault(storage.location, []).append(leaf.name)
        shares = None
        key, span, start = storage.key, part.span * part.itemsize, part.first * part.itemsize
        alone = len(self.on[key]) == 1
        if not alone and self.count[part.identity] > 1:
            shares = f"{key}+{start}:{part.shape}:{part.stride}"
        if not alone or span < storage.nbytes:
            extra["storage"] = key
            extra["storage_nbytes"] = storage.nbytes
        if not part.is_contiguous:
            extra["stride"] = list(part.stride)
        if problem is not None:
            return shares, ()
        available, place = self.bank.extent(key)
        if available is None:
            if span:
                self._trouble.setdefault(("part-missing", key), []).append(leaf.name)
            return shares, ()
        if start + span > available:
            self._trouble.setdefault(("truncated", key), []).append(leaf.name)
            return shares, ()
        return shares, (Stored(self.file, None if place is None else place + start, span),)

    # -- faults ------------------------------------------------------------------------------------------
    def faults(self) -> Iterable[Fault]:
        gone = {text: names for (slug, text), names in self._trouble.items() if slug == "part-missing"}
        if len(gone) > 1:
            yield self._never_written(gone)
        for (slug, text), names in self._trouble.items():
            if slug != "part-missing" or len(gone) == 1:
                yield self._fault(slug, text, names)
        if self._without:
            yield Fault(
                "not-stored",
                f"{len(self._without)} tensors are described without values (meta tensors)"
                if len(self._without) > 1
                else "a tensor is described without values (meta tensor)",
                file=self.file,
                tensor=self._without[0],
                tensors=tuple(self._without),
            )
        for device, names in self._devices.items():
            yield Fault(
                "device-tag",
                f"{plural(len(names), 'tensor')} saved from device {device}",
                file=self.file,
                tensor=names[0],
                seen=device,
                tensors=tuple(names),
                attributes={"device": device},
            )
        yield from self._dragging()

    def _fault(self, slug: str, text: str, names: list[str]) -> Fault:
        if slug == "truncated":
            have, want = self.bank.size(text), self.storages[text].nbytes
            return Fault(
                slug,
                f"storage {text} is shorter than the checkpoint says",
                file=self.file,
                offset=self.bank.place(text),
                tensor=names[0],
                seen=f"{have} bytes",
                expected=f"{want} bytes",
                tensors=tuple(names),
            )
        if slug == "part-missing":
            return Fault(
                slug,
                f"the bytes of storage {text} are not in the file",
                file=self.file,
                tensor=names[0],
                expected=f"storage {text}",
                tensors=tuple(names),
                attributes={"remedy": _UNFINISHED},
            )
        return Fault(
            slug, f"a tensor makes no sense: {text}", file=self.file, tensor=names[0], tensors=tuple(names)
        )

    def _never_written(self, gone: Mapping[str, Sequence[str]]) -> Fault:
        """Several storages that are not there have one reason: a save that ended before it came to them."""
        keys, names = [*gone], [name for every in gone.values() for name in every]
        return Fault(
            "part-missing",
            f"the bytes of {len(keys):,} of {len(self.storages):,} storages are not in the file: the save did not finish",
            file=self.file,
            tensor=names[0],
            expected=f"storages {', '.join(keys[:4])}{' ...' if len(keys) > 4 else ''}",
            tensors=tuple(names),
            attributes={"remedy": _UNFINISHED},
        )

    def _dragging(self) -> Iterable[Fault]:
        """Storages of which the file's tensors use less than half: views saved with the whole they were cut
        from.
        """
        for key in self._unlike:
            total, leaves = self.storages[key].nbytes, self.on[key]
            parts = _tensors(leaves)
            if total <= 2 * max([part.span * part.itemsize for part in parts]):
                continue
            covered, end = 0, 0
            for start, stop in sorted(
                (p.first * p.itemsize, (p.first + p.span) * p.itemsize) for p in parts if p.problem is None
            ):
                covered += max(0, stop - max(start, end))
                end = max(end, stop)
            if total > 2 * covered:
                names = [leaf.name for leaf in leaves]
                yield Fault(
                    "view-whole-storage",
                    f"{covered} bytes of a storage of {total} are used: a view saved with its whole storage",
                    file=self.file,
                    offset=self.bank.place(key),
                    tensor=names[0],
                    seen=total,
                    expected=covered,
                    tensors=tuple(names),
                    attributes={"storage_nbytes": total, "used": covered},
                )

    def step_of(self, index: int) -> int | None:
        """The number of updates: the highest plain ``step``, else the first counter tensor (a few bytes are
        read).
        """
        plain_steps = [
            v["step"] for v in self.walk.optimizers[index].values.values() if type(v.get("step")) is int
        ]
        if plain_steps:
            return max(plain_steps)
        for leaf in self.leaves:
            part = leaf.part
            if (
                leaf.optimizer == index
                and leaf.slot == "step"
                and isinstance(part, Tensor)
                and prod(part.shape) == 1
            ):
                try:
                    value = float(read_tensor(part, self.bank).reshape(-1)[0])
                except HoldfastError:
                    return None  # the tensor's own fault says why
                return int(value) if value == value and 0 <= value < 1 << 62 else None
        return None
