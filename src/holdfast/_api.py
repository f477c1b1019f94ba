"""The public functions. Each is a thin, lazy call into the room that does the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._audit.report import AuditReport
    from ._compare.delta import Delta
    from ._core.catalog import Catalog
    from ._core.fault import Progress
    from ._core.finding import Report
    from ._core.plan import Edit, Plan
    from ._diagnose.diagnosis import Diagnosis
    from ._isolate.report import Isolation
    from ._restore.outcome import Outcome

__all__ = [
    "audit",
    "check",
    "compare",
    "diagnose",
    "examine",
    "inspect",
    "isolate",
    "open",
    "restore",
    "seal",
    "verify",
]

AnyPath = Union[str, "os.PathLike[str]"]
"""What a path may be given as."""


def open(path: AnyPath) -> Catalog:
    """Open one stored checkpoint as a catalog: names, shapes, dtypes, roles; values are read when asked for.

    ``path`` may be a file, a TensorFlow prefix, a shard, an index, a ``checkpoint`` state file or a folder.
    Only headers are read; no framework is needed and nothing that the file contains is run.

    Where the layout allows, the arrays of ``read`` are the file's own pages, without a copy. As with ``numpy.memmap``, a
    program that saves over the file in place meanwhile takes these pages away, and touching them then ends the process;
    copy what must outlive the file. Holdfast's own commands and :func:`restore` read in the ordinary way.

    Raises :class:`CheckpointNotFound`; :class:`AmbiguousPath` where the path holds several checkpoints (it
    lists them); :class:`NotRecognised` for what is no checkpoint (the message says what it is: an HTML page,
    a Git-LFS pointer, zeros ...); :class:`NotReadable` for formats without a reader;
    :class:`DamagedCheckpoint` where nothing can be listed. What is wrong but can be read around is in
    ``catalog.faults``.
    """
    from ._layouts.opening import open_path

    return open_path(path, mapped=True)


def inspect(path: AnyPath) -> dict[str, Any]:
    """What ``holdfast inspect --format json`` prints for ``path``, as a dict (see ``schema_version`` in it).

    Shapes are lists of int, dtypes names such as ``"bfloat16"``, sizes in bytes. Costs what the headers cost,
    not the data. Raises like :func:`open`.
    """
    from ._render.document import inspect_document

    with open(path) as catalog:
        return inspect_document(catalog)


def verify(
    path: AnyPath,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal_file: AnyPath | None = None,
    recursive: bool = False,
) -> Report:
    """Check every byte of ``path`` that carries evidence: the format's own checksums, a seal, a recorded hash.

    ``jobs`` is the number of threads (``None``: as many as help); ``progress`` is called with byte counts;
    ``seal_file`` is a seal that lies elsewhere; ``recursive`` verifies every checkpoint below a folder. The
    report names what failed, and what has no evidence at all.
    Raises :class:`CheckpointNotFound`, and :class:`SealError` where ``seal_file`` cannot serve.
    """
    from ._examine.verifying import verify_path

    return verify_path(path, jobs=jobs, progress=progress, seal_file=seal_file, recursive=recursive)


def seal(
    path: AnyPath,
    seal_file: AnyPath | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
    model: Any = None,
) -> str:
    """Write the digests of the checkpoint at ``path`` beside it (``<name>.holdfast.json``); gives that path.

    ``seal_file`` puts the seal elsewhere. ``overwrite`` replaces a seal that says otherwise; ``force`` seals
    (and records) a checkpoint whose own checksums fail. ``jobs`` is the number of threads (``None``: as many
    as help); ``progress`` is called with byte counts. ``model`` is the live model that was saved: classes and
    settings of its layers and digests of your own code are recorded too, so that a changed activation, stride or
    ``forward`` is seen later although all tensors fit.

    Raises :class:`SealError` where the checkpoint is damaged already, is not that of ``model``, changes meanwhile or another seal
    stands, and what :func:`open` raises.
    """
    from ._integrity.seal import seal_path

    live = None
    if model is not None:
        from ._frameworks import live_catalog

        live = live_catalog(model=model)
    return seal_path(
        path, seal_file, overwrite=overwrite, force=force, jobs=jobs, progress=progress, live=live
    )


def examine(
    path: AnyPath | Iterable[AnyPath] | None = None,
    depth: str = "full",
    *,
    model: Any = None,
    optimizer: Any = None,
    gradients: Any = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
    recursive: bool = False,
    scheduler: Any = None,
    scaler: Any = None,
) -> Report:
    """Examine the checkpoints at ``path`` (or at several): verdict, proof and findings of each.

    ``depth`` is ``"header"`` (headers alone), ``"structure"`` (small tensors too) or ``"full"`` (all evidence,
    all values). ``select`` and ``ignore`` take codes, beginnings of codes (``"N"``, ``"T2"``) or slugs;
    ``recursive`` takes every checkpoint below a folder. ``jobs`` is the number of threads (``None``: as many
    as help); ``progress`` is called with byte counts. No framework is imported, nothing of a file is run.

    Without a path, ``model`` and ``optimizer`` are a live pair (with ``scheduler`` and ``scaler``, where there are
    such), and the question is whether the next ``apply_gradients`` or ``step`` will run; ``gradients`` are those it
    will be given (a list in the order of the trainable weights, or a tree like the parameters). Nothing is built,
    stepped or drawn.

    Raises :class:`CheckpointNotFound`, and :class:`UsageError` for a depth or code that does not exist, for
    objects of an unknown kind, and for a path together with live objects (that is :func:`check`); damage is in
    the report and never raised.
    """
    from ._core.errors import UsageError
    from ._examine.examine import examine as run

    if any(part is not None for part in (model, optimizer, scheduler, scaler)):
        if path is not None:
            raise UsageError(
                "a path and live objects together",
                remedy="holdfast.check(path, model=...) holds them together.",
            )
        from ._examine.check import examine_live

        return examine_live(
            model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler, gradients=gradients
        )
    if path is None:
        raise UsageError("nothing to examine", expected="a path, or model= and optimizer=")
    return run(
        path, depth=depth, select=select, ignore=ignore, jobs=jobs, progress=progress, recursive=recursive
    )


def compare(a: Any, b: Any, depth: str = "structure") -> Delta:
    """Compare two checkpoints across formats: typed differences, and the plan that makes ``a`` into ``b``.

    ``a`` and ``b`` are paths, open catalogs or live models (did that load take?): ``a`` what is there, ``b`` what is
    expected. ``depth`` is
    ``"header"`` (names, shapes, dtypes), ``"structure"`` (also samples of the values) or ``"full"`` (every
    value, with distances).

    Raises :class:`UsageError` for another depth, and what :func:`open` raises for a path.
    """
    from ._compare.compare import compare as run

    return run(a, b, depth=depth)


def check(
    path: AnyPath,
    *,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    scaler: Any = None,
    gradients: Any = None,
    allow: Iterable[str | Edit] | str = (),
    plan: Plan | str | Iterable[str] | None = None,
    depth: str = "structure",
    target: Mapping[str, str] | None = None,
    preprocess: Any = None,
    **others: Any,
) -> Report:
    """Will the checkpoint at ``path`` load into these live objects, what will be wrong, will the next step run?

    ``model`` is a live model of any framework or a nested dict of numpy arrays; ``optimizer``, ``scheduler``,
    ``scaler`` and ``others`` are what is to be restored with it. Only what is passed counts: other state in the
    file is told, and is no fault. All differences are in the report at once, each with what the framework's own
    loader would do and the edit that settles it; ``report.checkpoints[0].attributes["plan"]`` has all edits.
    ``allow`` and ``plan`` are edits taken as given. ``depth`` is how far the file itself is examined.
    ``target`` names other versions that are to read it (``{"keras": "3.15.0"}``); ``gradients`` are those of the
    next step, as for :func:`examine`. ``preprocess`` (fitted objects by name, or one) is held against what a step of a
    vault holds of it (D503, D504).

    Nothing is changed and nothing is built. Raises what :func:`open` raises where nothing lies at ``path``,
    :class:`PlanError` for edits that cannot be carried out, :class:`UsageError` for objects of an unknown kind.
    """
    from ._examine.check import check as run

    report = run(
        path,
        allow=allow,
        plan=plan,
        depth=depth,
        gradients=gradients,
        target=target,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        scaler=scaler,
        **others,
    )
    if preprocess is None:
        return report
    from ._restore.fitted import with_preprocessing

    return with_preprocessing(report, path, preprocess, model)


def restore(
    path: AnyPath,
    *,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    scaler: Any = None,
    allow: Iterable[str | Edit] | str = (),
    plan: Plan | str | Iterable[str] | None = None,
    rollback: bool | None = None,
    build_with: Any = None,
    verify: bool = True,
    jobs: int | None = None,
    progress: Progress | None = None,
    prove: bool = False,
    preprocess: Any = None,
    apply: Any = None,
    data: Any = None,
    metrics: Any = None,
    **others: Any,
) -> Outcome:
    """Restore live objects from the checkpoint at ``path``: exactly, or not at all.

    ``model``, ``optimizer``, ``scheduler``, ``scaler`` and ``others`` are live objects, as in :func:`check`; what
    is passed is what is restored (as in :func:`check`): all its weights, buffers, optimizer slots, averages
    and counters must be in the checkpoint with the same shape and dtype, and nothing of theirs may be left over,
    unless an edit says so: in ``allow`` (``["drop:head.*", "keep-live:lora.*", "cast:*:f32->bf16"]``), or in a
    ``plan``.
    A hyperparameter that the code now configures otherwise needs ``hyper:NAME=checkpoint|live|VALUE``.

    Every byte with evidence (a seal, the format's checksums) is verified while it is read (``verify``
    set to ``False`` leaves that out). Signals wait during the assignment. ``rollback`` keeps the old values, so that a
    failure leaves the live objects as they were; ``False`` does not, and a failure names what changed; ``None``
    keeps them where memory or the temporary folder has room. ``build_with`` is an input (a batch, or its shape)
    with which an unbuilt model is built first, random state put back. ``jobs`` is the number of threads;
    ``progress`` is called with byte counts.

    ``prove``: replay the probe of a vault's checkpoint (:meth:`Vault.record`) on the restored model, from the raw batch
    through ``preprocess`` where it has one; ``apply`` is a function of model and batch, for a model that cannot be called (a
    JAX tree). ``data``, ``preprocess`` (fitted objects by name, or one) and ``metrics`` are put where they stood when a
    vault's checkpoint was saved, as in :meth:`Vault.restore`.

    The outcome's ``summary`` is one sentence; JAX values are immutable, so ``outcome.model`` and
    ``outcome.optimizer`` are the restored objects there.

    Raises :class:`RestoreRefused` (nothing changed; all findings, and the plan that would settle them),
    :class:`RestoreInterrupted` (failed half-way without rollback), :class:`ChecksumMismatch` (damage met while
    reading; rolled back), :class:`NotProved` (restored exactly, and the model computes something else), :class:`PlanError`,
    :class:`UsageError`, and what :func:`open` raises.
    """
    if data is not None or metrics is not None or preprocess is not None:
        from ._vault.restoring.putting_back import restore_with_states as run

        beside = {"data": data, "preprocess": preprocess, "metrics": metrics, "prove": prove, "apply": apply}
        others |= {name: given for name, given in beside.items() if given is not None}
    elif prove:
        from ._restore.proving import restore_and_prove as run

        others |= {"apply": apply}
    else:
        from ._restore.engine import restore as run

    return run(
        path,
        allow=allow,
        plan=plan,
        rollback=rollback,
        build_with=build_with,
        verify=verify,
        jobs=jobs,
        progress=progress,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        scaler=scaler,
        **others,
    )


def audit(
    path: AnyPath,
    *,
    evaluate: Any = None,
    model: Any,
    metrics: Any = None,
    probe: Any = None,
    preprocess: Any = None,
    apply: Any = None,
    data: Any = None,
    contract: Any = None,
    loaded: bool = False,
    steps: int = 6,
    allow: Iterable[str | Edit] | str = (),
    plan: Plan | str | Iterable[str] | None = None,
    build_with: Any = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Does the checkpoint at ``path`` measure as it was logged, and if not, why?

    ``model`` is restored first, and its digests compared: a fault in the state is never judged by a metric. Then
    ``evaluate(model)`` measures it again. It returns a dict of metrics by name; beside them it may hand out ``batches``
    (rows of: samples, dict of metrics), ``outputs`` (samples, classes) and ``labels``, with which more causes can be tested.
    It is called several times where something differs, and the model is put back after each call.

    Recorded metrics are those of the checkpoint's record; ``metrics`` gives others (numbers by name, or :class:`Metric`
    objects), as for a checkpoint of another tool. ``probe`` is one that is not in the record; ``preprocess`` turns its raw
    batch into the model's input, and where it was fitted, or is a dict of fitted objects, is held against what was saved;
    ``apply`` is a function of model and batch, for a model that cannot be called (a JAX tree). ``data`` (a batch or a
    loader) is held against the data contract of the record, or ``contract``. With ``loaded`` the model is judged as your own code
    loaded it: nothing is restored, its tensors are compared with the checkpoint's.
    ``steps`` is how many neighbouring checkpoints of the run may be tried. ``allow``, ``plan``, ``build_with``, ``jobs`` and
    ``progress`` are those of :func:`restore`.

    The report's ``summary`` is one sentence, ``rows`` hold each metric with its causes. Raises what :func:`open` raises,
    :class:`PlanError`, and :class:`UsageError` where ``evaluate`` raises or returns no metrics. A restore that is refused is
    in the report and is not raised.
    """
    from ._audit.asked import Asked
    from ._audit.audit import audit as run

    asked = Asked(
        evaluate=evaluate,
        model=model,
        metrics=metrics,
        probe=probe,
        preprocess=preprocess,
        apply=apply,
        data=data,
        contract=contract,
        loaded=loaded,
        steps=steps,
        allow=allow,
        plan=plan,
        build_with=build_with,
        jobs=jobs,
        progress=progress,
    )
    return run(path, asked)


def diagnose(
    given: str | BaseException,
    *,
    checkpoint: AnyPath | Iterable[AnyPath] | None = None,
    folder: AnyPath | None = None,
    files: bool = True,
) -> Diagnosis:
    """What does this error mean, and what is to be done?

    ``given``: a traceback or log as it was printed (colours, launchers' prefixes and several ranks do not matter), or an
    exception. The causes come best first, each with how sure it is, why, and what to do. With ``checkpoint`` (one path or
    several) they are tested on it: a cause turns from likely to proved or refuted. Without, paths in the text that exist here
    are looked at (relative ones from ``folder``, by default the working folder), unless ``files`` is false. Nothing that a
    file contains is run.

    Raises nothing for what it cannot explain: ``causes`` is empty then, and ``note`` says what to collect. Texts that are no
    checkpoint failure have ``is_checkpoint_failure`` false.
    """
    from ._diagnose.diagnose import diagnose as run

    return run(given, checkpoint=checkpoint, folder=folder, files=files)


def isolate(
    given: Any,
    save: str | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    timeout: float = 600.0,
    folder: AnyPath | None = None,
    most: int = 1000,
) -> Isolation:
    """Which part of ``given`` is it that cannot be saved, and what is wrong with it?

    ``given``: what is saved (a model, a checkpoint dict, a ``tf.train.Checkpoint``), or a text ``"module:factory"`` that names a
    function which gives it, called with ``kwargs``. ``save``: ``"torch"``, ``"keras"`` (``.keras``), ``"keras-weights"``
    (``.weights.h5``), ``"keras-h5"``, ``"tf"``, ``"savedmodel"``, ``"orbax"`` or ``"vault"``; by default as fits.

    It is really saved, with the framework's own call, into a scratch folder (below ``folder``, by default the temporary one), and
    read back. Where that fails, parts are left out until the smallest remains: without it the save passes. ``most``: how many
    saves are tried at the most. Objects are left as they are. A factory's are saved in another process, each save within
    ``timeout`` seconds, so that one which hangs or crashes is found out as well; objects are saved in this one.

    Raises :class:`UsageError` where the factory fails, ``save`` is not known, or does not take such an object.
    """
    if isinstance(given, str):
        from ._isolate.process import isolate_elsewhere

        where = os.fspath(folder) if folder is not None else None
        return isolate_elsewhere(
            given, save, arguments=kwargs or {}, timeout=timeout, folder=where, most=most
        )
    from ._isolate.here import isolate_here

    where = os.fspath(folder) if folder is not None else None
    return isolate_here(given, save, timeout=timeout, folder=where, most=most)
