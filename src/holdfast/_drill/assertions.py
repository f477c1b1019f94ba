"""Assertions about one's own saving and resuming."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["assert_resumes_exactly", "assert_roundtrip"]

Parts = Mapping[str, Any]
_WORDS = ("model", "optimizer", "scheduler", "scaler")


def assert_roundtrip(
    make: Callable[[], Any],
    save: Callable[[Path, Parts], Any] | None = None,
    load: Callable[[Path, Parts], Any] | None = None,
    *,
    train: Callable[[Parts], Any] | None = None,
    folder: Path | str | None = None,
) -> None:
    """What was saved is what fresh objects have after loading: every tensor bit for bit, every option, count and rate.

    ``make()`` gives live objects: a model, a tuple ``(model, optimizer, scheduler, scaler)``, or a dict by such words.
    ``train(parts)`` moves them before the save; the weights of the fresh ones are disturbed, so that one which is initialised
    alike in both is not taken for loaded. ``save(folder, parts)`` and ``load(folder, parts)`` are yours; by default a
    :class:`holdfast.Vault`'s. ``train`` and ``load`` may return a dict of new objects by part (JAX).

    Raises :class:`AssertionError` that names what differs.
    """
    with tempfile.TemporaryDirectory() as own:
        place = Path(folder) if folder is not None else Path(own)
        source = _parts(make())
        if train is not None:
            source = _replaced(source, train(source))
        wanted = _content(source)
        (save or _vault_save)(place, source)
        changed = [name for name in wanted if not _same(wanted[name], _content(source).get(name))]
        if changed:
            raise AssertionError(f"saving changed what was saved: {_some(changed)}")
        fresh = _disturbed(_parts(make()))
        fresh = _replaced(fresh, (load or _vault_load)(place, fresh))
        got = _content(fresh)
    missing = [name for name in wanted if name not in got]
    differs = [name for name in wanted if name in got and not _same(wanted[name], got[name])]
    if missing or differs:
        lines = [f"{len(differs) + len(missing)} of {len(wanted)} values are not what was saved:"]
        lines += [f"  {name}: {_shown(got[name])}, was {_shown(wanted[name])}" for name in differs[:8]]
        lines += [f"  {name}: not there after loading" for name in missing[:8]]
        raise AssertionError("\n".join(lines))


def assert_resumes_exactly(
    train: Callable[[Path, int], Any],
    *,
    steps: int,
    kill_at: Sequence[int] = (),
    folder: Path | str | None = None,
) -> None:
    """A training function that is interrupted and called again goes on as if it never had been.

    ``train(folder, steps)`` trains to ``steps`` steps in all, saves into the folder, and goes on from what lies there. It is
    called uninterrupted; then, for each of ``kill_at`` (by default two thirds of the way), in a new folder, where an exception
    ends it after that optimizer step, and again. Weights, optimizer, rates, batches, random state and loss are compared at
    every step, as ``holdfast drill`` does. That one kills a process of its own, and is the proof where this is the quick test.

    Raises :class:`AssertionError` that names the first divergence and its cause.
    """
    from .inprocess import faults_of_resuming
    from .judge import is_grave

    points = tuple(kill_at) or (max(1, steps * 2 // 3),)
    with tempfile.TemporaryDirectory() as own:
        found = faults_of_resuming(train, steps, points, Path(folder) if folder is not None else Path(own))
    grave = [(at, fault) for at, fault in found if is_grave(fault)]
    if grave:
        from .._rules.registry import rule_named

        lines = []
        for at, fault in grave:
            rule = rule_named(fault.slug)
            code = rule.code if rule is not None else fault.slug
            when = "after its end" if fault.attributes.get("finished") else f"killed after step {at}"
            lines.append(f"{when}: {code} {fault.message}")
            if rule is not None and rule.remedy:
                lines.append(f"  -> {rule.remedy}")
        raise AssertionError("does not resume exactly\n" + "\n".join(lines))


def _parts(made: Any) -> dict[str, Any]:
    if isinstance(made, Mapping) and set(made) & {*_WORDS, "ema"}:
        return dict(made)
    if type(made) in (tuple, list):
        return dict(zip(_WORDS, made, strict=False))
    return {"model": made}


def _replaced(parts: dict[str, Any], given: Any) -> dict[str, Any]:
    """With what a function returned in the place of objects that cannot be changed."""
    return {**parts, **given} if isinstance(given, Mapping) else parts


def _content(parts: Parts) -> dict[str, Any]:
    """Every value by name, copied."""
    from .._frameworks import live_catalog

    live = live_catalog(**parts)
    found: dict[str, Any] = {
        name: np.array(variable.read(), copy=True)
        for name, variable in live.variables.items()
        if variable.read is not None and not variable.virtual
    }
    return found | {name: setting.read() for name, setting in live.settings.items()}


def _disturbed(parts: dict[str, Any]) -> dict[str, Any]:
    """Fresh objects whose weights are no longer those that any initialisation gives."""
    from .._frameworks import live_catalog

    live = live_catalog(**parts)
    for name, variable in live.variables.items():
        if (
            variable.read is None
            or variable.write is None
            or variable.virtual
            or live[name].role not in ("weight", "buffer")
        ):
            continue
        array = np.array(variable.read(), copy=True)
        if array.dtype.kind in "fV":
            variable.write(np.ascontiguousarray(array + np.asarray(1, array.dtype)))
    live.finish()
    return _replaced(parts, live.result())


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return bool(a == b) or (a != a and b != b)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"{value.dtype}{list(value.shape)} beginning {value.reshape(-1)[:3].tolist()}"
    return str(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _vault_save(place: Path, parts: Parts) -> None:
    from .._vault.vault import Vault

    with Vault(place / "vault") as vault:
        vault.save(1, blocking=True, **parts)


def _vault_load(place: Path, parts: Parts) -> Any:
    from .._vault.vault import Vault

    with Vault(place / "vault") as vault:
        outcome = vault.restore(**parts)
    assert outcome is not None
    return {part: new for part in parts if (new := getattr(outcome, part, None)) is not None}
