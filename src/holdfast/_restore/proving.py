"""Does the restored model compute what it computed when it was saved? The probe replayed, and the first layer that computes
otherwise joined with what differs there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.errors import NotProved, UsageError
from .._core.fault import Fault
from .._core.finding import Finding
from .._examine.fit import fit
from .._frameworks import LiveCatalog, live_catalog
from .._integrity.architecture import modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import open_path, the_one
from .._layouts.target import Target
from .._record.environment import environment
from .._record.environment_changes import environment_changes
from .._record.probe import Divergence, Probe, Replay, replay
from .._rules.facts import findings_of
from .engine import restore
from .outcome import Outcome
from .recorded import probe_of

__all__ = ["Proved", "function_differences", "prove", "restore_and_prove", "what_changed"]


@dataclass(frozen=True, slots=True)
class Proved:
    """What replaying a probe showed: the replay, one sentence, and ``D501`` or ``D502`` where something differs."""

    replay: Replay
    summary: str
    findings: tuple[Finding, ...] = ()


def prove(
    probe: Probe,
    model: Any,
    target: Target,
    *,
    differences: Sequence[Difference] = (),
    tensors: Iterable[str] = (),
    preprocess: Callable[[Any], Any] | None = None,
    apply: Callable[..., Any] | None = None,
    same_setup: bool = True,
) -> Proved:
    """Replay ``probe`` on ``model``. ``differences``: those of the architecture between record (A) and live model (B), see
    :func:`function_differences`; ``tensors``: live names whose values are not the checkpoint's. Raises
    :class:`UsageError` where the model cannot be run on the batch."""
    done = replay(probe, model, preprocess=preprocess, apply=apply, same_setup=same_setup)
    first = done.first
    if first is None:
        layers = f"{done.layers} layer outputs" if done.layers else "the outputs"
        return Proved(done, f"the probe gives the same: {layers} within tolerance ({done.tolerance.why})")
    path = first.path or "the model"
    evidence = {"distance": first.far, "tolerance": done.tolerance.why}
    if first.where == "preprocess":
        text = (
            f"preprocessing gives something else for the recorded raw batch: field `{path}`: {first.message}"
        )
        more = [d for d in done.divergences if d.where != "preprocess"]
        if more:  # the model was fed the recorded batch, so this is a fault of its own
            text += f"; with the recorded batch the model diverges at `{more[0].path}` too"
        fault = Fault("preprocessing-differs", text, attributes=evidence)
        return Proved(done, text, findings_of([fault], target))
    where = "diverges at" if first.where == "layer" else "every layer agrees, and the outputs differ at"
    changes = [(_paths(d), what_changed(d)) for d in differences] or list(_settings(probe, done))
    why = _why(first, changes, list(tensors))
    text = f"{where} `{path}`{f' ({first.class_name})' if first.class_name else ''}: {why} ({first.message})"
    evidence |= {"layer": first.path, "before": first.before, "diverging": len(done.divergences)}
    fault = Fault("probe-diverges", text, attributes=evidence)
    return Proved(done, text, findings_of([fault], target))


def restore_and_prove(
    path: str | os.PathLike[str],
    *,
    preprocess: Callable[[Any], Any] | None = None,
    apply: Callable[..., Any] | None = None,
    restored: Callable[[], object] = lambda: None,
    **given: Any,
) -> Outcome:
    """Restore, then replay the checkpoint's probe on the restored model; ``restored`` is called in between.

    Raises :class:`UsageError` (nothing changed) where the checkpoint holds no probe or no model was passed,
    :class:`NotProved` where the model computes something else, and what :func:`holdfast.restore` raises.
    """
    target = the_one(path)
    if given.get("model") is None:
        raise UsageError("prove=True without a model", expected="model=")
    with open_path(target.path) as stored:
        seal = find_seal(target)
        record = seal.record if seal is not None else None
        probe = probe_of(record, stored)
        step = stored.attributes.get("step")  # of a vault
    if probe is None:
        raise UsageError(
            "this checkpoint holds no probe, so that nothing can be proved by it", file=target.path,
            remedy="Record one from now on: vault.record(probe=batch). Until then restore without prove=True; "
            "holdfast.audit(...) measures recorded metrics again.",
        )  # fmt: skip
    outcome = restore(path, **given)
    restored()
    then = record.environment if record is not None else None
    same = not any(change.matters for change in environment_changes(then, environment()))
    with open_path(target.path) as stored:
        stored.modules = modules_of(stored, seal)
        differences = function_differences(stored, live_catalog(model=outcome.model))
    proved = prove(
        probe, outcome.model, target, differences=differences, preprocess=preprocess, apply=apply, same_setup=same
    )  # fmt: skip
    outcome = replace(
        outcome, step=outcome.step if step is None else step, proved=proved.summary,
        findings=(*outcome.findings, *proved.findings),
    )  # fmt: skip
    if not proved.replay.agrees:
        raise NotProved(proved.summary, proved.findings, outcome, file=target.path)
    return outcome


def function_differences(stored: Catalog, live: LiveCatalog) -> tuple[Difference, ...]:
    """``T218``, ``T219`` and ``T225`` between a checkpoint (its ``modules`` are those of its record) and a live model, paired as
    a restore pairs them."""
    if not stored.modules or not live.modules:
        return ()
    return tuple(d for d in fit(stored, live).delta.differences if d.code in ("T218", "T219", "T225"))


def what_changed(difference: Difference) -> str:
    """A difference of function in a few words: ``eps 1e-05 became 1e-06``."""
    settings = difference.evidence.get("settings")
    if settings:
        return ", ".join(
            f"{key} {_shown(row['a'])} became {_shown(row['b'])}" for key, row in settings.items()
        )
    if difference.code == "T219":
        return "its source code is another one"
    return difference.message


Changes = Sequence[tuple[frozenset[Any], str]]
"""Paths of layers, and what changed there."""


def _paths(difference: Difference) -> frozenset[Any]:
    return frozenset({difference.a, difference.b, *difference.evidence.get("modules", ())})


def _settings(probe: Probe, done: Replay) -> Iterator[tuple[frozenset[Any], str]]:
    """Changes between the settings that the probe itself keeps and those met now."""
    for path, now in done.settings.items():
        was = probe.settings.get(path)
        if was is None:
            continue
        told = [f"{was['class']} became {now['class']}"] if was["class"] != now["class"] else []
        before, after = was["config"], now["config"]
        told += [
            f"{key} {_shown(before.get(key))} became {_shown(after.get(key))}"
            for key in dict.fromkeys((*before, *after))
            if before.get(key) != after.get(key)
        ]
        if not told and None not in (was["code"], now["code"]) and was["code"] != now["code"]:
            told.append("its source code is another one")
        if told:
            yield frozenset({path}), ", ".join(told)


def _why(first: Divergence, changes: Changes, tensors: list[str]) -> str:
    """What differs at the layer, in words."""
    here = {first.path, first.before} | ({None} if not first.path else set())
    parts = [text for paths, text in changes if not here.isdisjoint(paths)]
    inside = [name for name in tensors if _within(name, first.path)]
    if inside:
        shown = ", ".join(f"`{name}`" for name in inside[:3])
        parts.append(f"its tensors are not the checkpoint's: {shown}" + (" ..." if len(inside) > 3 else ""))
        return "; ".join(parts)
    if not parts and changes:
        paths, text = changes[0]
        where = next((path for path in sorted(filter(None, paths))), None)
        parts.append(f"nothing differs there itself; {f'at `{where}`' if where else 'in the model'} {text}")
    elif not parts:
        parts.append(
            "settings and code are not known to differ, so that library versions or devices are left"
        )
    return "; ".join([*parts, "tensors identical"])


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _within(name: str, path: str) -> bool:
    """Whether a tensor is one of a layer; the model's own name, or the collection, may stand before it."""
    fronts = (f"{path}.", f"{path}/", f"{path.replace('.', '/')}/")
    return not path or name.startswith(fronts) or name.partition("/")[2].startswith(fronts)
