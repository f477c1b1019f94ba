"""What a save records besides the values: metrics with their meaning, environment and code, random state."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..._core.errors import HoldfastError
from ..._core.plain import pack, unpack
from ..._frameworks.accumulating import gathered, look_on
from ..._record.environment import environment
from ..._record.metrics import Metric, Metrics, as_metrics, meanings, metric_of, values_of
from ..._record.random_state import put_random_state, random_state
from .beside import Beside
from .given import Given
from .payload import Payload
from .stateful import states_taken, take_states

__all__ = ["CODE", "RESUME", "put_back", "record_beside", "recorded_metrics", "resume_of"]

LOG = logging.getLogger("holdfast.vault")

CODE = "code.diff"
"""The file with what was not committed, where git told."""
RESUME = "resume"
"""The section of ``state.json`` for what is no live object."""


def record_beside(
    payload: Payload,
    step: int,
    metrics: Metrics | None,
    *,
    by: str | None = None,
    beside: Beside | None = None,
    parts: Mapping[str, Any] | None = None,
    given: Given = Given(),  # noqa: B008 - it is frozen
    rank: int = 0,
) -> tuple[dict[str, Any], Callable[[], None]]:
    """Sections of the record for one save, and what its writer calls before it commits.

    Random state, states beside the model (``given``), and what ``beside`` has of the model among ``parts``, are taken at once,
    into the payload. The environment is asked in the writer's thread. ``by``: the metric that retention goes by; where it was
    measured at another step, a warning says so. Raises :class:`UsageError` for a metric that is no number, a state that cannot
    be saved, and where the probe cannot be run.
    """
    beside, parts = beside or Beside(), {k: v for k, v in (parts or {}).items() if v is not None}
    sections = beside.take(parts.get("model"), payload)
    # before the random state: a loader may draw when it is asked for the first time
    digests = take_states(payload, given, rank)
    look_on(parts)
    how = gathered(parts)
    if how is not None:
        LOG.warning("step %s is saved in the middle of a gradient accumulation: %s", step, how)
    resume = {"parts": sorted(parts), **({"accumulating": how} if how else {})}
    sections["resume"] = lambda: {**resume, **states_taken(payload)}
    named = as_metrics(metrics) if metrics is not None else ()
    if named:
        sections["metrics"] = values_of(named)
        sections["measured"] = meanings(named) or None
        _warn_of_another_step(named, step, by)
    bad: list[str] = []
    payload.attributes[RESUME] = {"random": pack(random_state(), "random", bad)}
    if bad:
        LOG.warning("random state is not saved whole: %s", "; ".join(bad))
    found: dict[str, Any] = {}

    def ask() -> None:
        digests()
        found.update(environment())
        if beside.config is not None:
            found["config"] = beside.config
        diff = found.get("code", {}).pop("diff", None)
        if diff is not None:
            payload.documents[CODE] = diff.encode()
            found["code"]["diff"] = CODE

    sections["environment"] = lambda: found or None
    return sections, ask


def recorded_metrics(sections: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The metrics in a record's sections."""
    known = sections.get("measured") or {}
    return tuple(metric_of(n, v, known.get(n)) for n, v in (sections.get("metrics") or {}).items())


def _warn_of_another_step(given: tuple[Metric, ...], step: int, by: str | None) -> None:
    for metric in given:
        if metric.name == by and metric.step is not None and metric.step != step:
            LOG.warning(
                "step %s is kept or dropped by %s, which was measured at step %s", step, by, metric.step
            )


def resume_of(path: str) -> Mapping[str, Any]:
    """The ``resume`` section of a step's ``state.json``; empty where an older version wrote it. Raises
    :class:`HoldfastError` for what no save writes."""
    try:
        document = json.loads(Path(path, "state.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HoldfastError("state.json cannot be read", file=path, found=str(error)) from error
    section = document.get(RESUME)
    found = unpack(section) if section is not None else {}
    return found if isinstance(found, Mapping) else {}


def put_back(path: str) -> list[str]:
    """Put the random state of a step back; gives what could not be, each with the reason."""
    found = resume_of(path).get("random")
    if not isinstance(found, Mapping):
        return ["random state: none was saved"]
    return put_random_state(found)
