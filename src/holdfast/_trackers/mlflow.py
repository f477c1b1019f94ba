"""MLflow: a run (``mlflow.start_run()``), the module itself (its active run), or ``(MlflowClient, run id)``.

The active run is a thread's own (``mlflow.active_run`` in mlflow/tracking/fluent.py): ``mlflow.log_metric`` in another
thread would begin a run of its own. So the run's id and the tracking address are taken once, where the vault is made, and
everything goes through a client, which holds no state of a run (mlflow/tracking/client.py).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any

from .._core.errors import UsageError
from .base import CHECKPOINT, VERDICT, Tracker, is_of

__all__ = ["MLflowTracker", "recognised"]

_AT_ONCE = 1000
"""Metrics in one request (mlflow/utils/validation.py, ``MAX_METRICS_PER_BATCH``)."""
_NAME = 250
_TAG = 5000
_FOREIGN = re.compile(r"[^\w\-. :/]")
"""What a metric's name may not have (mlflow/utils/validation.py, ``_VALID_PARAM_AND_METRIC_NAMES``)."""
_STANDING = ("saved", "restored")
"""Verdicts that say what the run stands on: the tags name that checkpoint."""


class MLflowTracker(Tracker):
    """Numbers as metrics at their step. The newest checkpoint as the run's tags ``holdfast.checkpoint``, ``holdfast.record``
    and ``holdfast.verdict``; each one, with the numbers told of it, as an artifact ``holdfast/step-00001200.saved.json``."""

    name = "mlflow"

    def __init__(self, client: Any, run_id: str) -> None:
        self._client, self._run = client, run_id
        entities = import_module("mlflow.entities")
        self._metric, self._tag = entities.Metric, entities.RunTag

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """One request, and one for the artifact."""
        now = int(time.time() * 1000)
        metrics = (self._metric(_clean(name), value, now, step) for name, value in numbers.items())
        verdict = texts.get(VERDICT, "")
        tags = []
        if verdict.startswith(_STANDING):
            tags = [self._tag(name.replace("/", "."), text[:_TAG]) for name, text in texts.items()]
            tags.append(self._tag("holdfast.step", str(step)))
        for some in _in_parts(metrics):
            self._client.log_batch(self._run, metrics=some, tags=tags)
            tags = []
        if tags:
            self._client.log_batch(self._run, tags=tags)
        if texts:
            told = {name.rpartition("/")[2]: text for name, text in texts.items()}
            document = {"step": step, **told, "numbers": {n: _plain(v) for n, v in numbers.items()}}
            self._client.log_dict(self._run, document, f"holdfast/{_file(step, texts)}")


def _file(step: int, texts: Mapping[str, str]) -> str:
    folder = re.split(r"[/\\]", texts.get(CHECKPOINT, ""))[-1]
    front = folder if folder.startswith("step-") else f"step-{step:08d}"
    kind = re.split(r"[:(]", texts.get(VERDICT, "told"))[0].strip().replace(" ", "-")
    return f"{front}.{kind}.json"


def _plain(value: float) -> float | str:
    return value if value - value == 0 else str(value)  # JSON has no NaN


def _clean(name: str) -> str:
    """A name that MLflow takes: other characters as ``_``, no empty or climbing segments."""
    parts = (_FOREIGN.sub("_", part) for part in name.split("/"))
    return "/".join(part for part in parts if part.strip(". "))[:_NAME] or "_"


def _in_parts(metrics: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(metrics)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def recognised(given: Any) -> Tracker | None:
    """A tracker for MLflow's objects, else ``None``. Raises :class:`UsageError` where no run is told."""
    if isinstance(given, tuple):
        if len(given) == 2 and isinstance(given[1], str) and is_of(given[0], "mlflow"):
            return MLflowTracker(*given)
        return None
    if isinstance(given, ModuleType) and given.__name__ == "mlflow":
        given = given.active_run()
        if given is None:
            raise UsageError(
                "MLflow has no active run in this thread",
                remedy="`with mlflow.start_run() as run:` first, then Vault(..., trackers=[run]).",
            )
    elif not is_of(given, "mlflow"):
        return None
    run_id = getattr(getattr(given, "info", None), "run_id", None)
    if not isinstance(run_id, str):
        raise UsageError(
            "this object of MLflow says no run", found=type(given).__qualname__,
            expected="a run, or (client, run id)",
        )  # fmt: skip
    return MLflowTracker(sys.modules["mlflow"].MlflowClient(), run_id)
