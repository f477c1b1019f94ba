"""Holdfast makes sure that a training run gets back what it saved.

The public names are imported when they are first used; ``import holdfast`` itself loads nothing.
"""

from __future__ import annotations

from ._version import __version__

TYPE_CHECKING = False  # as typing's, which would be the dearest import of `holdfast --version`

if TYPE_CHECKING:
    from ._audit.report import AuditReport
    from ._core.catalog import Catalog
    from ._core.errors import (
        AmbiguousPath,
        AmbiguousTensor,
        CheckpointNotFound,
        ChecksumMismatch,
        DamagedCheckpoint,
        HoldfastError,
        LimitExceeded,
        NothingToRestore,
        NotReadable,
        NotRecognised,
        NotStored,
        PartMissing,
        PlanError,
        RestoreInterrupted,
        RestoreRefused,
        SaveFailed,
        SealError,
        Truncated,
        UnknownTensor,
        UsageError,
        VaultLocked,
    )
    from ._core.finding import CheckpointReport, Finding, Place, Report
    from ._core.plan import Edit, Plan
    from ._core.spec import OptimizerSpec, ParamGroup, TensorSpec
    from ._record.data.identity import data_identity
    from ._record.metric_history import MetricHistory
    from ._record.metrics import Metric
    from ._restore.data_contract import DataContract
    from ._restore.outcome import Outcome
    from ._storage.sink import Sink, SinkFile
    from ._trackers.base import Tracker
    from ._vault.coordinator import Coordinator
    from ._vault.folder.keep import Keep
    from ._vault.folder.listing import Checkpoint
    from ._vault.folder.saved import SavedStep
    from ._vault.handle import SaveHandle
    from ._vault.preparing.rehearse import Rehearsal
    from ._vault.vault import Vault

_HOME = {
    "Catalog": "_core.catalog",
    "TensorSpec": "_core.spec",
    "OptimizerSpec": "_core.spec",
    "ParamGroup": "_core.spec",
    "Finding": "_core.finding",
    "Place": "_core.finding",
    "Report": "_core.finding",
    "CheckpointReport": "_core.finding",
    **dict.fromkeys(
        (
            "HoldfastError",
            "CheckpointNotFound",
            "NotRecognised",
            "NotReadable",
            "AmbiguousPath",
            "DamagedCheckpoint",
            "Truncated",
            "ChecksumMismatch",
            "PartMissing",
            "LimitExceeded",
            "UnknownTensor",
            "AmbiguousTensor",
            "NotStored",
            "PlanError",
            "SealError",
            "UsageError",
            "RestoreInterrupted",
            "RestoreRefused",
            "NotProved",
            "SaveFailed",
            "VaultLocked",
            "NothingToRestore",
        ),
        "_core.errors",
    ),
    "open": "_api",
    "examine": "_api",
    "verify": "_api",
    "seal": "_api",
    "compare": "_api",
    "inspect": "_api",
    "check": "_api",
    "restore": "_api",
    "audit": "_api",
    "diagnose": "_api",
    "isolate": "_api",
    "Isolation": "_isolate.report",
    "Diagnosis": "_diagnose.diagnosis",
    "explaining": "_diagnose.explaining",
    "guard": "_guard.guarding",
    "AuditReport": "_audit.report",
    "Edit": "_core.plan",
    "Plan": "_core.plan",
    "Outcome": "_restore.outcome",
    "Vault": "_vault.vault",
    "Checkpoint": "_vault.folder.listing",
    "SaveHandle": "_vault.handle",
    "Keep": "_vault.folder.keep",
    "Metric": "_record.metrics",
    "MetricHistory": "_record.metric_history",
    "SavedStep": "_vault.folder.saved",
    "Probe": "_record.probe",
    "make_probe": "_record.probe",
    "data_identity": "_record.data.identity",
    "DataContract": "_restore.data_contract",
    "Coordinator": "_vault.coordinator",
    "Tracker": "_trackers.base",
    "Sink": "_storage.sink",
    "SinkFile": "_storage.sink",
    "Rehearsal": "_vault.preparing.rehearse",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if name in (
        "keras",
        "drill",
    ):  # modules; the one imports Keras, so it is no public name of `from holdfast import *`
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name in ("load_ipython_extension", "unload_ipython_extension"):  # of %load_ext, no public names
        home = "_guard.guarding"
    if home is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
