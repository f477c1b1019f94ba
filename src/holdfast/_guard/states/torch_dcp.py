"""What a distributed checkpoint of PyTorch's holds, as its own metadata tells, and the values in its files.

Holdfast has no reader for these folders. Every tensor, or piece of one, lies in its file as ``torch.save`` wrote it, a zip
archive with the CRC-32 of what is in it, which ``dcp.load`` does not look at. Facts: torch/distributed/checkpoint/filesystem.py
(``_write_item``: ``torch.save`` into the stream, offset and length into ``storage_data``; ``FileSystemReader.read_metadata``),
metadata.py, _nested_dict.py (``flatten_state_dict``: names joined by dots).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..._core.catalog import Catalog
from ..._core.errors import HoldfastError, NotStored
from ..._core.fault import Fault
from ..._core.finding import Finding
from ..._core.spec import Role, TensorSpec
from ..._frameworks.events import Call
from ..._frameworks.live import LiveCatalog, Variable
from ..._frameworks.torch.owning import living
from ..._frameworks.torch.tensors import dtype_name, is_lazy, is_split, part_here, to_numpy
from ..._rules.registry import rule_named
from . import State

if TYPE_CHECKING:
    from ..loaded import Loaded

__all__ = ["afterwards"]

_SMALL = 64


@dataclass(frozen=True, slots=True)
class _Asked:
    """This rank's part of a tensor that is split over ranks: where it begins on each axis, its shape, the shape of the whole."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    whole: tuple[int, ...]

    def meets(self, at: Sequence[int], sizes: Sequence[int]) -> bool:
        """Whether a stored piece has elements of it."""
        return all(max(a, o) < min(a + s, o + n) for a, s, o, n in zip(at, sizes, *self._axes, strict=True))

    def here(self, at: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
        """Where in this part a stored piece goes."""
        return tuple(
            slice(max(a - o, 0), min(a + s - o, n)) for a, s, o, n in zip(at, sizes, *self._axes, strict=True)
        )

    def there(self, at: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
        """Which elements of a stored piece go there."""
        return tuple(
            slice(max(o - a, 0), min(o + n - a, s)) for a, s, o, n in zip(at, sizes, *self._axes, strict=True)
        )

    @property
    def _axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.offsets, self.sizes


class DcpCatalog(Catalog):
    """The tensors of a folder. While ``asleep`` only single numbers are read."""

    format = "torch-dcp"
    asleep = False

    def __init__(self, folder: Path, metadata: Any, asked: Mapping[str, _Asked] | None = None) -> None:
        """``asked``: of tensors that are split over ranks, this rank's part."""
        self._folder, self._data = folder, metadata.storage_data
        self._tensors = {n: m for n, m in metadata.state_dict_metadata.items() if hasattr(m, "chunks")}
        self._asked = {
            n: one for n, one in (asked or {}).items()
            if n in self._tensors and tuple(self._tensors[n].size) == one.whole
        }  # fmt: skip
        self.broken: dict[str, str] = {}
        specs = [
            TensorSpec(
                name, self._asked[name].sizes if name in self._asked else tuple(m.size), dtype_name(m.properties.dtype),
                dialect="torch", order=order, role=_role(name),
            )
            for order, (name, m) in enumerate(self._tensors.items())
        ]  # fmt: skip
        super().__init__(specs, files=(str(folder),), attributes={"writer": "torch.distributed.checkpoint"})

    def has_part(self, name: str) -> bool:
        """Whether this rank's part of it is what is read."""
        return name in self._asked

    def read(self, name: str) -> np.ndarray:
        """The values, put together from the pieces; of a tensor that is split over ranks, this rank's part."""
        known, asked = self._tensors[name], self._asked.get(name)
        if self.asleep and self[name].nbytes > _SMALL:
            raise NotStored("its values are not looked at yet", tensor=name)
        pieces = [
            (index.offset, info)
            for index, info in self._data.items()
            if index.fqn == name and not getattr(info, "transform_descriptors", None)
        ]
        if not pieces:
            raise NotStored("its pieces are written in another way", tensor=name)
        if len(pieces) == 1 and asked is None:
            return to_numpy(self._piece(name, pieces[0][1]))
        if asked is None:
            asked = _Asked((0,) * len(known.size), tuple(known.size), tuple(known.size))
        lies = {tuple(c.offsets): tuple(c.sizes) for c in known.chunks}
        found = torch.empty(asked.sizes, dtype=known.properties.dtype)
        for offset, info in pieces:
            at = tuple(offset or (0,) * len(known.size))
            if at in lies and not asked.meets(at, lies[at]):
                continue
            piece = self._piece(name, info)
            found[asked.here(at, piece.shape)] = piece[asked.there(at, piece.shape)]
        return to_numpy(found)

    def _piece(self, name: str, info: Any) -> torch.Tensor:
        try:
            with (self._folder / info.relative_path).open("rb") as file:
                file.seek(info.offset)
                data = io.BytesIO(file.read(info.length))
            with zipfile.ZipFile(data) as archive:
                bad = archive.testzip()
            if bad is not None:
                self.broken[name] = f"{info.relative_path}, at byte {info.offset}"
            data.seek(0)
            found = torch.load(data, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, zipfile.BadZipFile, EOFError) as error:
            raise NotStored(f"its piece cannot be read: {error}", tensor=name) from error
        assert isinstance(found, torch.Tensor)
        return found.detach()


def afterwards(call: Call) -> State | None:
    """What the folder of a ``dcp.load`` holds, and what it was loaded into."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    assert call.path is not None
    folder = Path(call.path)
    if not (folder / ".metadata").is_file():
        return None
    metadata = FileSystemReader(folder).read_metadata()
    live: dict[str, torch.Tensor] = {}
    asked: dict[str, _Asked] = {}
    unseen: list[str] = []
    for name, value in _leaves(call.state):
        part = _part(value)
        if part is not None:
            live[name], asked[name] = part_here(value), part
        elif type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided:
            live[name] = value
        else:
            unseen.append(name)
    for name in unseen:
        metadata.state_dict_metadata.pop(name, None)  # neither of the two is looked at
    stored = DcpCatalog(folder, metadata, asked)
    return State(
        lambda: stored, {"model": live}, path=call.path, made={"model": live}, given=[call.state],
        described=partial(_described, {n: one.whole for n, one in asked.items() if not stored.has_part(n)}),
        after=partial(_after, stored, call.path), loose=_loose(live),
    )  # fmt: skip


def _part(value: Any) -> _Asked | None:
    """What this rank holds of a tensor that is split over ranks (a ``DTensor``), by the protocol that ``dcp`` itself goes by
    (torch/distributed/tensor/_api.py, ``__create_chunk_list__``); ``None`` for others."""
    if not is_split(value):
        return None
    chunks = value.__create_chunk_list__()
    assert len(chunks) == 1  # of a DTensor
    return _Asked(tuple(chunks[0].offsets), tuple(chunks[0].sizes), tuple(value.shape))


def _leaves(state: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Tensors by the names that ``flatten_state_dict`` gives them; of what has a state dict of its own, that."""
    if not isinstance(state, (Mapping, list, tuple)) and hasattr(state, "state_dict"):
        state = state.state_dict()
    if isinstance(state, torch.Tensor):
        yield ".".join(path), state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(state, (list, tuple)):
        for index, value in enumerate(state):
            yield from _leaves(value, (*path, str(index)))


def _role(name: str) -> Role:
    """Statistics and an optimizer's state are not judged as weights are."""
    return (
        "buffer"
        if ".state." in name or name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        else "weight"
    )


def _described(wholes: Mapping[str, tuple[int, ...]], model: Mapping[str, torch.Tensor]) -> LiveCatalog:
    """The tensors by their names alone: whose state they are does not matter to what goes by names. ``wholes``: shapes of those
    that are split over ranks, and that the checkpoint has not, or in another shape."""
    variables = [
        Variable(
            TensorSpec(
                name, wholes.get(name, tuple(t.shape)), dtype_name(t.dtype), dialect="torch", order=order, role=_role(name)
            ),
            partial(to_numpy, t), None,
        )
        for order, (name, t) in enumerate(model.items())
    ]  # fmt: skip
    return LiveCatalog(variables, framework="torch")


def _loose(live: Mapping[str, torch.Tensor]) -> str:
    """The class of a living model that has tensors of these names, where these are not its own but copies; else empty."""
    places = {t.data_ptr() for t in live.values() if t.device.type != "meta"}
    found = ""
    for module in living(torch.nn.Module):
        own = [part_here(p) for p in module.parameters()] if "_modules" in module.__dict__ else []
        if any(not is_lazy(p) and p.device.type != "meta" and p.data_ptr() in places for p in own):
            return ""
        if own and not found:
            keys = [*module.state_dict()]
            fronts = {n[: -len(keys[0])] for n in live if n.endswith(keys[0])}
            if any(all(front + key in live for key in keys) for front in fronts):
                found = type(module).__name__
    return found


def _after(stored: DcpCatalog, path: str, loaded: Loaded) -> None:
    """Pieces whose checksum is not right: ``dcp.load`` takes them as they are."""
    for name in stored:  # those that were only sampled, or not asked for, were read all the same
        if name in loaded.restored or name in loaded.other:
            try:
                stored.read(name)
            except HoldfastError:
                continue
    if not stored.broken:
        return
    rule = rule_named("checksum")
    assert rule is not None
    names = tuple(stored.broken)
    told: Finding = rule.from_fault(
        Fault(
            "checksum", f"the CRC-32 of {names[0]} is not that of its bytes ({stored.broken[names[0]]})",
            file=path, tensor=names[0], tensors=names,
        )
    )  # fmt: skip
    loaded.findings = [*loaded.findings, told]
