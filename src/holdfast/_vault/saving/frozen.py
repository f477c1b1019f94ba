"""Which tensors of a save lie in which file: what training leaves as it is has files of its own.

The first save goes by what is known beforehand: weights that are not trainable, and what the caller names. Every later one
goes by content: each of these is digested where it is, and compared with the parent step's record. What has not changed
stays in the file in which it lies; what has changed is written with all that is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..._core.roles import BUFFER_WORDS, last_word
from ..._integrity.digest import digest_array
from ..._integrity.workers import Shared, run_all
from ..._record.schema import Record, TensorRecord
from ..contents.payload import MODEL, Item, Payload, stored_bytes

__all__ = ["INDEX", "TRAINED", "Split", "frozen_files", "index_of", "split"]

TRAINED = "model-trained.safetensors"
"""Not ``model.safetensors``: whoever finds that beside an index takes it for the whole model
(transformers/modeling_utils.py looks for ``SAFE_WEIGHTS_NAME`` first)."""
INDEX = "model.safetensors.index.json"
_FROZEN = "model-frozen"
_LEAST = 16 << 10
_SHARE = 50
"""A file of its own is for at least so many bytes, and one part in so many of all."""
_MANY_BYTES = 8 << 20
_THREADS = 2


class Split(NamedTuple):
    """The files of a save: ``files`` with all items of each; of them ``same`` are what the parent step has under the
    same name; ``fresh`` hold frozen tensors and must be written."""

    files: dict[str, list[Item]]
    same: tuple[str, ...]
    fresh: tuple[str, ...]


def frozen_files(record: Record | None) -> Mapping[str, Mapping[str, object]]:
    """The files of frozen tensors that a record tells of, each with what it tells."""
    found = (record.incremental or {}).get("frozen") if record is not None else None
    return found if isinstance(found, Mapping) else {}


def split(payload: Payload, parent: Record | None) -> Split:
    """Share the model's tensors out to files; ``parent`` is the record of the step that this save continues."""
    items = payload.files.get(MODEL, [])
    known = frozen_files(parent)
    candidates = [item for item in items if _sure(item, payload) or _perhaps(item)]
    rows = {row.name: row for row in parent.tensors} if parent is not None else {}
    like = [item for item in candidates if _described(item, rows)]
    still = {
        item.spec.name
        for item, digest in zip(like, _digests(like, payload), strict=True)
        if digest == rows[item.spec.name].digest
    }
    homes = {item.spec.name: rows[item.spec.name].stored[0].file for item in like}
    kept = _whole_files([item for item in like if item.spec.name in still], rows, known)
    gone = _moving(candidates, homes, still, known)
    files: dict[str, list[Item]] = {TRAINED: []}
    sure: list[Item] = []
    perhaps: list[Item] = []
    eligible = {item.spec.name for item in candidates}
    for item in items:
        name = item.spec.name
        home = homes.get(name)
        if name in still and home in kept:
            files.setdefault(str(home), []).append(item)
        elif name not in eligible or name in gone:
            files[TRAINED].append(item)
        elif _sure(item, payload) or name in still:
            sure.append(item)
        else:
            perhaps.append(item)
    least = max(_LEAST, payload.nbytes // _SHARE)
    fresh = []
    for group in (sure, perhaps):
        if sum(stored_bytes(item.spec) for item in group) >= least:
            fresh.append(_unused(files))
            files[fresh[-1]] = group
        else:
            files[TRAINED] += group
    if len(files) == 1:
        return Split({MODEL: items} if items else {}, (), ())
    order = {item.spec.name: n for n, item in enumerate(items)}
    files[TRAINED].sort(key=lambda item: order[item.spec.name])
    return Split({f: found for f, found in files.items() if found}, tuple(sorted(kept)), tuple(fresh))


def index_of(files: Mapping[str, Sequence[Item]]) -> bytes:
    """``model.safetensors.index.json`` over these files (huggingface_hub/serialization/_base.py: ``metadata.total_size``
    and ``weight_map``)."""
    total = sum(stored_bytes(item.spec) for items in files.values() for item in items)
    places = {item.spec.name: file for file, items in files.items() for item in items}
    document = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return (json.dumps(document, indent=2) + "\n").encode()


def _sure(item: Item, payload: Payload) -> bool:
    """Whether a tensor is known not to be trained."""
    spec = item.spec
    return spec.name in payload.frozen or (spec.trainable is False and spec.role == "weight")


def _perhaps(item: Item) -> bool:
    """Whether it may be one that never changes: a table or mask that a module keeps, a ``tf.Variable`` that is not
    trained. Statistics of normalisation are none."""
    spec = item.spec
    return spec.trainable is False and spec.role == "buffer" and last_word(spec.name) not in BUFFER_WORDS


def _described(item: Item, rows: Mapping[str, TensorRecord]) -> bool:
    """Whether the parent's record has this tensor, with the same names on the same bytes."""
    row = rows.get(item.spec.name)
    if row is None or len(row.stored) != 1:
        return False
    for spec in (item.spec, *item.others):
        found = rows.get(spec.name)
        if (
            found is None
            or found.stored != row.stored
            or (found.dtype, tuple(found.shape)) != (spec.dtype, tuple(spec.shape))
        ):
            return False
    return True


def _whole_files(
    still: list[Item], rows: Mapping[str, TensorRecord], known: Mapping[str, object]
) -> frozenset[str]:
    """Files of frozen tensors that hold nothing but what is still the same."""
    names = {spec.name for item in still for spec in (item.spec, *item.others)}
    lying = {row.stored[0].file for row in rows.values() if len(row.stored) == 1 and row.name in names}
    broken = {place.file for row in rows.values() if row.name not in names for place in row.stored}
    return frozenset(lying & known.keys() - broken)


def _moving(
    candidates: list[Item], homes: Mapping[str, str], still: set[str], known: Mapping[str, object]
) -> set[str]:
    """What changes though it is not trained, and so goes with what is: codebooks, averages. Where most of a file has
    changed, other weights were loaded, and they are as frozen as those before."""
    changed: dict[str, list[Item]] = {}
    total: dict[str, int] = {}
    for item in candidates:
        home = homes.get(item.spec.name)
        if home is not None:
            total[home] = total.get(home, 0) + stored_bytes(item.spec)
            if item.spec.name not in still:
                changed.setdefault(home, []).append(item)
    return {
        item.spec.name
        for home, items in changed.items()
        if home not in known or 2 * sum(stored_bytes(i.spec) for i in items) <= total[home]
        for item in items
    }


def _unused(files: Mapping[str, object]) -> str:
    n = 1
    while (name := f"{_FROZEN}{f'-{n}' if n > 1 else ''}.safetensors") in files:
        n += 1
    return name


def _digests(items: list[Item], payload: Payload) -> list[str]:
    """Digests of the values as they will be written; several at once, as hashing lets other threads run."""

    def digest(item: Item) -> str:
        known = payload.digests.get(item.spec.name)
        return digest_array(np.asarray(item.read())) if known is None else known

    if sum(stored_bytes(item.spec) for item in items) < _MANY_BYTES:
        return [digest(item) for item in items]
    found = [""] * len(items)

    def task(number: int, _: memoryview) -> None:
        found[number] = digest(items[number])

    # not an executor, which takes no work once the main thread has ended
    run_all([partial(task, number) for number in range(len(items))], _THREADS, Shared())
    return found
