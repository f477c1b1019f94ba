"""What differs first after resuming, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .._core.fault import Fault
from .align import align
from .causes import Causes
from .compare import Loose, differing
from .runs import Record, Run

__all__ = ["beyond_the_end", "is_grave", "judge", "loose_of"]


def is_grave(fault: Fault) -> bool:
    """Whether the run does not resume exactly because of it."""
    grave = str(fault.attributes.get("severity", "error")) == "error"
    return grave and fault.slug not in ("drill-not-reproducible", "drill-metrics")


def loose_of(one: Run, other: Run, upto: int) -> Loose:
    """What two uninterrupted runs of the same script do not agree in, over their first ``upto`` steps."""
    found = Loose()
    for k in range(1, upto + 1):
        a, b = one.at(k), other.at(k)
        if a is None or b is None:
            continue
        for name, names in differing(a, b).items():
            if names == [""] or name in ("weights", "buffers", "slots", "left"):
                found.fields.add(name)
            else:
                found.names.setdefault(name, set()).update(names)
    return found


def judge(reference: Run, before: Run, resumed: Run, loose: Loose) -> list[Fault]:
    """Why a resumed run (already aligned) is not the uninterrupted one: faults, the first divergence first; none where it is.

    ``before`` is the process that was killed: what it did beyond its last save is what the resumed one must do again. A fault
    that bears the severity ``warning`` had no consequence within the drill.
    """
    start = resumed.offset
    saves = [save for save in before.whole if save["k"] + before.offset <= start]
    silent: Fault | None = None
    logged: Fault | None = None
    for k in range(start + 1, resumed.last + 1):
        expected, found = before.at(k) or reference.at(k), resumed.at(k)
        if expected is None or found is None:
            continue
        causes = Causes(reference, resumed, saves[-1] if saves else None, loose, k, expected, found)
        differs = differing(expected, found, _at(loose, causes.first))
        if differs.keys() <= {"rng", "logs"}:  # neither touches training by itself
            if "rng" in differs:
                silent = silent or causes.random(differs["rng"])
            if "logs" in differs:
                logged = logged or causes.remembered("logs", differs["logs"])
        else:
            return [*causes.of(differs, silent), *([logged] if logged is not None else ())]
    late = list(_later(reference, resumed, loose))
    if silent is not None:
        text = f"{silent.message}; within the drill nothing depended on it"
        late.append(replace(silent, message=text, attributes={**silent.attributes, "severity": "warning"}))
    return late if logged is None else [*late, logged]


def beyond_the_end(finished: Run, again: Run) -> list[Fault]:
    """Whether a run that had ended trains beyond its end when it is started once more: a fault, or none.

    Steps between its last checkpoint and its end are made again by right, and so are all of them where it has taken its
    checkpoint away. Where it cannot be told from where it went on, nothing is said.
    """
    if not again.steps:
        return []
    numbers = [step["n"] for step in finished.steps if "n" in step]
    if numbers and "n" in again.steps[-1]:
        beyond = bool(again.steps[-1]["n"] > max(numbers))
    else:
        where = align(finished, finished, again)
        start = where.step if where.how == "weights" else _loaded_save(finished, again)
        beyond = where.how != "anew" and start is not None and start + len(again.steps) > finished.last
    if not beyond:
        return []
    k = finished.last + 1
    text = f"the run had ended after step {finished.last}; started again it makes step {k}, and goes on beyond its end"
    return [
        Fault("drill-length", text, expected=finished.last, attributes={"step": k, "finished": True}),
    ]


def _loaded_save(finished: Run, again: Run) -> int | None:
    """After which step the checkpoint was saved that a process has loaded; ``None`` where that cannot be told. Programs write
    beside a name and rename: the name that was written to then begins like it, or it is the only one."""
    loaded = tuple(load["path"] for load in again.loads)
    paths = {save["path"] for save in finished.saved}
    wanted = {path for path in paths if path.startswith(loaded)} or (
        paths if loaded and len(paths) == 1 else set()
    )
    return max((save["k"] for save in finished.saved if save["path"] in wanted), default=None)


def _at(loose: Loose, first: bool) -> Loose:
    """What a step computes may not be reproducible; what the first one after resuming begins with is compared with the very
    process that was killed, and must be the same."""
    return Loose(loose.fields & {"loss", "logs", "left"}, loose.names) if first else loose


def _later(reference: Run, resumed: Run, loose: Loose) -> Iterator[Fault]:
    """What no single step shows: another length, other saves."""
    start = resumed.offset
    if resumed.ended and resumed.last != reference.last:
        more = resumed.last - reference.last
        k = min(resumed.last, reference.last) + 1
        took = f"{abs(more)} step{'s' if abs(more) != 1 else ''} {'more' if more > 0 else 'fewer'}"
        text = (
            f"step {k}: the resumed run took {took} ({resumed.last} in all, {reference.last} uninterrupted)"
        )
        yield Fault("drill-length", text, seen=resumed.last, expected=reference.last,
                    attributes={"step": k, "resumed_after": start})  # fmt: skip
        return
    wanted = {_save(save, 0) for save in reference.saved if save["k"] > start}
    made = {_save(save, start) for save in resumed.saved if save["k"] > 0}
    if not resumed.ended:
        wanted = {(k, path) for k, path in wanted if k < resumed.last}
        made = {(k, path) for k, path in made if k < resumed.last}
    extra, gone = sorted(made - wanted), sorted(wanted - made)
    if (extra or gone) and not loose:
        k, path = (extra or gone)[0]
        did = "writes" if extra else "does not write"
        text = f"step {k}: the resumed run {did} {path} after it, unlike the uninterrupted one: what decides over it (the best "
        yield Fault("drill-best", f"{text}value so far, a patience) was not restored", seen=[k for k, _ in extra],
                    expected=[k for k, _ in gone], attributes={"step": k, "resumed_after": start})  # fmt: skip


def _save(save: Record, offset: int) -> tuple[int, str]:
    return int(save["k"]) + offset, str(save["path"]).removesuffix(".tmp")
