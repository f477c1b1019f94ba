"""The data contract as people use it: learned of honest batches, kept with the checkpoint, held against other batches."""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import CheckpointNotFound, HoldfastError, UsageError
from .._core.fault import Fault
from .._core.finding import Finding
from .._core.words import plural
from .._integrity.atomic import write_whole
from .._integrity.seal import find_seal
from .._layouts.opening import open_path, the_one
from .._record.data.contract import Learned
from .._record.random_state import put_random_state, random_state

if TYPE_CHECKING:  # a run imports this to save: learning and checking are imported where they are done
    from .._record.data.shifts import Shift

__all__ = ["DataContract", "contract_at", "faults_of_shifts"]

_FORMAT = "holdfast data contract"
_LARGEST = 1 << 28


class DataContract(Learned):
    """What a model was fed: names and order of the fields, shapes, dtypes, ranges, mean, deviation and quantiles, the share
    of NaN, the values of labels and tokens, the label map, and the preprocessing's settings.

    :meth:`from_batches` learns it, ``vault.record(contract=...)`` keeps it with every save, :meth:`of` gives it back, and
    :meth:`check` holds other data against it. Of the data itself it keeps numbers of at most 1,024 samples for each field
    (of a table these are rows of it) and up to 10,000 values of labels and tokens: treat it as you treat the data.

    ``fields``: each field by name, in order. ``batches``: how many were looked at. ``labels``: the label map.
    """

    @classmethod
    def from_batches(
        cls,
        source: Any,
        most: int | None = None,
        *,
        transform: Any = None,
        labels: Mapping[str, int] | Sequence[str] | None = None,
    ) -> DataContract:
        """Learn of honest batches, as the model is fed them.

        ``source``: an array, a table (a data frame, a structured array), a tuple or dict of arrays, or what gives such
        batches one by one: a list, a generator, a torch ``DataLoader``, a ``tf.data.Dataset``, a Keras ``PyDataset``.
        ``most``: how many batches are looked at; 1,000, or as many as hold 262,144 samples, where it is not given. An
        iterator is not asked for more than that. Global random generators are as before, and so is that of a
        ``DataLoader``; what a ``tf.data`` shuffle draws is its own.

        ``transform``: the preprocessing (a function, a torchvision pipeline, a fitted estimator, a Keras layer); its
        settings and the code that you wrote are kept, not the object. ``labels``: the label map, ``{"cat": 0, ...}``, or
        names in order.

        Let it be data that was shuffled, and 1,000 samples or more; 16 at least. Raises :class:`UsageError` where there are
        fewer, or where batches do not have the same fields.
        """
        from .._frameworks.transforms import describe_transform
        from .._record.data.learning import learn_fields

        with _random_state_kept(source):
            fields, batches, container, complete = learn_fields(source, most)
        described = None if transform is None else describe_transform(transform)
        return cls(fields, batches, container, _label_map(labels), described, complete)

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> DataContract:
        """The contract that a step of a vault holds; of a run's folder, that of its newest step.

        Raises :class:`UsageError` where none was recorded, and what :func:`holdfast.open` raises.
        """
        found = contract_at(path)
        if found is None:
            raise UsageError(
                "this checkpoint holds no data contract", file=os.fspath(path),
                remedy="Record one from now on: vault.record(contract=DataContract.from_batches(loader)).",
            )  # fmt: skip
        return found

    # -- holding data against it -------------------------------------------------------------------------------------
    def check(
        self,
        source: Any,
        most: int | None = None,
        *,
        transform: Any = None,
        labels: Mapping[str, int] | Sequence[str] | None = None,
    ) -> tuple[Finding, ...]:
        """What is not as the contract says: D findings, the gravest first; none where all is well.

        ``source``: a batch or a loader, as for :meth:`from_batches`; 64 samples are plenty, fewer than 16 show little. Of
        a loader at most ``most`` batches are looked at, 64 by default, and not more than hold 4,096 samples. Each
        finding's ``evidence`` has ``field``, ``effect`` (standard deviations between samples, or a share), ``seen`` and
        ``expected``; ``likely`` where the cause was found by undoing it. ``transform`` and ``labels``: those in use here,
        held against those of training.

        A batch of one class, or rows next to each other in sorted data, is no honest sample of shuffled data, and is told.
        Raises :class:`UsageError` for what has no fields or no samples.
        """
        from .._record.data.shifts import shifts
        from .._rules.facts import findings_of

        with _random_state_kept(source):
            found = shifts(self, source, most)
        if transform is not None:
            found = [*self._transform_shifts(transform), *found]
        if labels is not None:
            found = [*self._label_shifts(_label_map(labels) or {}), *found]
        return findings_of(faults_of_shifts(found))

    def _transform_shifts(self, transform: Any) -> list[Shift]:
        from .._frameworks.transforms import describe_transform, transform_changes
        from .._record.data.shifts import Shift

        if self.transform is None:
            raise UsageError(
                "this contract knows no preprocessing",
                expected="DataContract.from_batches(..., transform=...)",
            )
        changes = transform_changes(self.transform, describe_transform(transform))
        if not changes:
            return []
        shown = "; ".join(_change(*change) for change in changes[:3])
        more = f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
        return [
            Shift(
                "transform", "", f"the preprocessing is another: {shown}{more}", float(len(changes)),
                {path: now for path, _, now in changes[:20]}, {path: before for path, before, _ in changes[:20]},
            )
        ]  # fmt: skip

    def _label_shifts(self, now: dict[str, int]) -> list[Shift]:
        from .._record.data.shifts import Shift

        if self.labels is None:
            raise UsageError(
                "this contract knows no label map", expected="DataContract.from_batches(..., labels=...)"
            )
        other = [n for n in {**self.labels, **now} if self.labels.get(n) != now.get(n)]
        if not other:
            return []
        parts = [
            f"{name} is {now[name]}, and was {self.labels[name]}" if name in now and name in self.labels
            else f"{name} is new" if name in now else f"{name} is not there"
            for name in other[:4]
        ]  # fmt: skip
        total = len({**self.labels, **now})
        text = f"the label map is another for {len(other)} of {total} classes: {'; '.join(parts)}"
        return [
            Shift("label-map", "", text, len(other) / total,
                  {n: now.get(n) for n in other[:20]}, {n: self.labels.get(n) for n in other[:20]})
        ]  # fmt: skip

    # -- for people --------------------------------------------------------------------------------------------------
    def summary(self) -> str:
        """The contract in a few lines, for people."""
        from .contract_text import contract_text

        return contract_text(self, self.fingerprint)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<DataContract of {plural(self.batches, 'batch', 'batches')}: {', '.join(list(self.fields)[:8])}>"

    @property
    def fingerprint(self) -> str | None:
        """A digest of the preprocessing's class, settings and your code; ``None`` where none was given."""
        from .._frameworks.transforms import fingerprint_of

        return None if self.transform is None else fingerprint_of(self.transform)

    # -- as a file ---------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as one JSON file, atomically. Raises :class:`HoldfastError` where that cannot be."""
        about, arrays = self.as_record()
        document = {
            "format": _FORMAT,
            "version": 1,
            "contract": about,
            "arrays": {name: _packed(values) for name, values in arrays.items()},
        }
        try:
            write_whole(Path(path), (json.dumps(document, ensure_ascii=False) + "\n").encode(), replace=True)
        except HoldfastError as error:
            raise HoldfastError(
                "the data contract cannot be written", file=os.fspath(path), found=error.message
            ) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DataContract:
        """Read what :meth:`save` wrote. Raises :class:`CheckpointNotFound`, or :class:`UsageError` for another file."""
        file = os.fspath(path)
        try:
            if Path(path).stat().st_size > _LARGEST:
                raise UsageError("this is no data contract", file=file, found="a file of more than 256 MB")
            document = json.loads(Path(path).read_text("utf-8"))
            if not isinstance(document, dict) or document.get("format") != _FORMAT:
                raise UsageError("this is no data contract", file=file, expected=_FORMAT)
            if document.get("version") != 1:
                raise UsageError(
                    "this data contract is of a later version",
                    file=file,
                    found=document.get("version"),
                    expected=1,
                )
            arrays = {str(name): _unpacked(row) for name, row in document["arrays"].items()}
            return cls.from_record(document["contract"], arrays)
        except FileNotFoundError:
            raise CheckpointNotFound("there is no such file", file=file) from None
        except UsageError as error:
            raise UsageError(error.message, file=file, found=error.found, expected=error.expected) from error
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            zlib.error,
        ) as error:
            raise UsageError("this is no data contract", file=file, found=str(error)[:200]) from error


@contextmanager
def _random_state_kept(source: Any) -> Iterator[None]:
    """Let a run go on as if its data had not been looked at: a loader that shuffles draws from the global generators, or from
    one of its own."""
    own = {
        id(g): g
        for g in (getattr(at, "generator", None) for at in (source, getattr(source, "sampler", None)))
    }
    states: list[tuple[Any, Any]] = [
        (g, g.get_state())
        for g in own.values()
        if g is not None and hasattr(g, "get_state") and hasattr(g, "set_state")
    ]
    # not TensorFlow's: setting its seed starts kernels anew, and its data sets draw nothing of it when they are read
    before = {name: state for name, state in random_state().items() if name in ("python", "numpy", "torch")}
    try:
        yield
    finally:
        put_random_state(before)
        for generator, state in states:
            generator.set_state(state)


def contract_at(path: str | os.PathLike[str]) -> DataContract | None:
    """The contract of the checkpoint at a path, or ``None`` where none was recorded. Raises what :func:`holdfast.open`
    raises, and :class:`UsageError` for one that makes no sense."""
    from .recorded import contract_of

    target = the_one(path)
    seal = find_seal(target)
    if seal is None or seal.record is None or not seal.record.contract:
        return None
    with open_path(target.path) as stored:
        return contract_of(seal.record, stored)


def _label_map(labels: Mapping[Any, Any] | Sequence[str] | None) -> dict[str, int] | None:
    """Name -> number, of a mapping in either direction or of names in order."""
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        pairs: Iterable[tuple[Any, Any]] = labels.items()
        if labels and all(isinstance(value, str) for value in labels.values()):
            pairs = [(value, key) for key, value in labels.items()]  # id2label
    elif isinstance(labels, (str, bytes)):
        pairs = [(labels, labels)]
    else:
        pairs = [(name, n) for n, name in enumerate(labels)]
    try:
        found = {str(name): int(number) for name, number in pairs}
    except (TypeError, ValueError) as error:
        raise UsageError(
            "this is no label map", found=repr(labels)[:100], expected='{"cat": 0, "dog": 1}'
        ) from error
    return found


def _change(path: str, before: Any, now: Any) -> str:
    front, _, word = path.rpartition(".")
    where = f"{front}: " if front else ""
    if word == "code":
        return f"{where}its code is another"
    if word == "class":
        return f"{front or 'it'} is {now or 'not there'}, and was {before or 'not there'}"
    if word == "steps":
        return f"{where}the steps are {_shown(now)}, and were {_shown(before)}"
    return f"{where}{word} {_shown(before)} became {_shown(now)}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        shown = [
            _shown(item).rpartition(".")[2] if isinstance(item, str) else _shown(item) for item in value[:8]
        ]
        return f"[{', '.join(shown)}{', ...' if len(value) > 8 else ''}]"
    return "not there" if value is None else str(value)


def faults_of_shifts(found: Iterable[Shift]) -> list[Fault]:
    """Shifts as facts that the D rules tell, one for each kind: what a mistake does to thirty columns is one mistake. The
    field on which the effect is largest stands for all."""
    groups: dict[str, list[Shift]] = {}
    for shift in found:
        groups.setdefault(shift.kind, []).append(shift)
    return [_fault(max(group, key=lambda s: s.effect), [s.name for s in group]) for group in groups.values()]


def _fault(shift: Shift, names: list[str]) -> Fault:
    others = [name for name in names if name != shift.name]
    more = (
        f"; and so are {len(others)} more: {', '.join(others[:3])}{' ...' if len(others) > 3 else ''}"
        if others
        else ""
    )
    evidence = {
        "field": shift.name or None,
        "fields": names if others else None,
        "effect": round(float(shift.effect), 6),
        "likely": shift.likely or None,
        **shift.details,
    }
    return Fault(
        f"data-{shift.kind}",
        shift.message + more,
        seen=shift.seen,
        expected=shift.expected,
        attributes=evidence,
    )


def _packed(values: np.ndarray) -> dict[str, Any]:
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    data = base64.b64encode(zlib.compress(little.tobytes(), 6)).decode()
    return {"dtype": values.dtype.name, "shape": list(values.shape), "zlib": data}


def _unpacked(row: Mapping[str, Any]) -> np.ndarray:
    """Raises ``ValueError`` or ``zlib.error`` for what :func:`_packed` never makes; no more is unpacked than fits."""
    shape = tuple(int(n) for n in row["shape"])
    dtype = np.dtype({"float32": "<f4", "float64": "<f8"}[row["dtype"]])
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > _LARGEST:
        raise ValueError(f"an array of {size} bytes")
    data = zlib.decompressobj().decompress(base64.b64decode(row["zlib"], validate=True), size + 1)
    if len(data) != size:
        raise ValueError("an array does not have the length that its shape says")
    return np.frombuffer(data, dtype).reshape(shape).copy()
