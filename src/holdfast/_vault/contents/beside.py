"""What a run records with every save besides the state: probe, data contract, configuration.

Arrays of it lie in ``recorded.safetensors``, what JSON can say in sections of the record.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..._core.dtypes import dtype_of
from ..._core.errors import UsageError
from ..._core.plain import pack
from ..._core.spec import TensorSpec
from ..._record.probe import Probe, make_probe
from ..._record.secrets import without_secret_values
from ..._restore.data_contract import DataContract
from .given import Given
from .payload import Item, Payload

__all__ = ["RECORDED", "Beside", "put_arrays"]

RECORDED = "recorded.safetensors"
"""The file with arrays that are recorded and are no state."""
_FRONT = "recorded/"


@dataclass(frozen=True)
class Beside:
    """What :meth:`holdfast.Vault.record` was given.

    ``probe``: a batch, or a :class:`Probe` whose batch is taken. ``preprocess``, ``apply``: as for :func:`make_probe`.
    ``contract``: of the data that the run is trained on. ``config``: what the run was configured with, JSON-able.
    ``data``, ``fitted``: objects whose state each save captures, by name.
    """

    probe: Any = None
    preprocess: Callable[[Any], Any] | None = None
    apply: Callable[..., Any] | None = None
    contract: DataContract | None = None
    config: Any = None
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fitted: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.contract is not None and not isinstance(self.contract, DataContract):
            raise UsageError(
                "this is no data contract", found=type(self.contract).__name__,
                expected="what DataContract.from_batches(...) gives",
            )  # fmt: skip
        object.__setattr__(self, "config", None if self.config is None else _plain_config(self.config))

    @property
    def given(self) -> Given:
        """Objects whose state each save captures."""
        return Given(self.data, self.fitted)

    def take(self, model: Any, payload: Payload) -> dict[str, Any]:
        """Sections of the record for a save of ``model``; their arrays are put into ``payload``.

        The probe is run now, in inference mode; the model is as before. Raises :class:`UsageError` where the model cannot
        be called with the batch.
        """
        sections: dict[str, Any] = {}
        if self.probe is not None and model is not None:
            probe = self._probe_of(model).as_document()
            sections["probe"] = probe["about"]
            put_arrays(payload, "probe", probe["arrays"])
        if self.contract is not None:
            about, arrays = self.contract.as_record()
            sections["contract"] = about
            put_arrays(payload, "contract", arrays)
        return sections

    def _probe_of(self, model: Any) -> Probe:
        batch, preprocess = self.probe, self.preprocess
        if isinstance(batch, Probe):
            if preprocess is not None and batch.raw:
                batch = batch.given_raw()
            else:
                batch, preprocess = batch.given(), None
        return make_probe(model, batch, preprocess=preprocess, apply=self.apply)


def put_arrays(payload: Payload, part: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Let ``recorded.safetensors`` hold these as ``recorded/<part>/<name>``."""
    if arrays:
        payload.files.setdefault(RECORDED, []).extend(_items(f"{_FRONT}{part}/", arrays))


def _items(front: str, arrays: Mapping[str, np.ndarray]) -> Iterator[Item]:
    for name, values in arrays.items():
        spec = TensorSpec(front + name, values.shape, dtype_of(values.dtype), role="other", dialect="numpy")
        yield Item(spec, lambda values=values: values)  # type: ignore[misc]


def _plain_config(config: Any) -> Any:
    """A configuration as JSON says it, without what looks like a secret. Raises :class:`UsageError` for what cannot be."""
    bad: list[str] = []
    found = pack(_plainer(config), "config", bad)
    if bad:
        raise UsageError(
            "this configuration cannot be recorded", found="; ".join(bad[:5]),
            expected="numbers, texts, booleans, None, paths, and lists and dicts of these",
        )  # fmt: skip
    return without_secret_values(found)


def _plainer(value: Any, depth: int = 0) -> Any:
    """Dataclasses, namespaces, enumerations, paths and sets as dicts, lists and texts."""
    if depth > 50:
        return value  # refused as it is
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif isinstance(value, argparse.Namespace):
        value = vars(value)
    elif isinstance(value, Enum):
        value = value.value
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif hasattr(value, "to_dict") and not isinstance(value, (Mapping, type)):  # ml_collections, transformers
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plainer(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [_plainer(item, depth + 1) for item in value]
    return value
