"""From a saver to the report: try the whole, shrink what fails, prove what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, Protocol

from .._core.errors import UsageError
from .failure import Failure
from .node import Node
from .pickle_why import a
from .report import Culprit, Isolation, Note
from .shrink import Found, OutOfTrials, proved_suspects, shrink
from .trials import MOST, Saver, Tell, Trials

__all__ = ["TellingSaver", "isolated"]

_PROVED_ALONE = 12
_ROUNDS = 20


class TellingSaver(Saver, Protocol):
    """A saver that can tell what is wrong."""

    nbytes: int | None

    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> tuple[str, str, str, str] | None:
        """What a culprit is, why it fails, what to do, and the label of its cause."""

    def read(self) -> Iterable[str]:
        """In which ways the whole was read back, in words; asked for where it was."""

    def notes(self, saved: bool) -> Iterable[Note]:
        """What is worth knowing beside."""


def isolated(
    saver: TellingSaver,
    target: str,
    save: str,
    *,
    known: Mapping[str, Any] | None = None,
    tell: Tell = lambda **_: None,
    most: int = MOST,
) -> Isolation:
    """Try ``saver`` and find what is at fault. ``known``, ``tell``, ``most``: see :class:`Trials`."""
    begin = perf_counter()
    trials = Trials(saver, known, tell, most)
    found: list[Found] = []
    first: Failure | None = None
    complete = True
    for phase in saver.phases():
        gone = _nodes(found)
        failure = trials.run(phase, gone)
        if failure is None:
            continue
        _refuse_place(failure)
        first = first or failure
        saver.grow()
        try:
            found += _search(saver, trials, phase, gone, failure)
        except OutOfTrials:
            complete = False
            break
        if any(not node.removable for one in found for node in one.nodes):
            break  # it is the whole itself
        if trials.run(phase, _nodes(found)) is not None:
            complete = False
            break
    culprits = []
    for number, one in enumerate(found):
        alone = trials.alone(one.nodes[0]) if len(one.nodes) == 1 and number < _PROVED_ALONE else None
        culprits.append(_culprit(saver, one, alone, complete))
    verdict: Any = "saved" if first is None else "not-saved" if first.phase == "save" else "not-read-back"
    return Isolation(
        target,
        save,
        saver.title,
        verdict,
        tuple(culprits),
        tuple(saver.notes(first is None)) if all(c.kind == "error" for c in culprits) else (),
        first.line if first is not None else "",
        first.trace if first is not None else "",
        trials.count,
        saver.nbytes,
        perf_counter() - begin,
        complete,
        tuple(saver.read()) if first is None else (),
    )


_PLACE = re.compile(
    r"No space left on device|Disk quota exceeded|Read-only file system|File too large|errno = (?:27|28|30|122)\\b",
    re.I,
)


def _refuse_place(failure: Failure) -> None:
    """Raise :class:`UsageError` where the disk is at fault and nothing of what is saved."""
    if _PLACE.search(failure.message):
        raise UsageError(
            "the scratch folder does not take the save",
            found=failure.line[:300],
            remedy="--folder DIR names another disk. If this is the error that you look for: `holdfast diagnose`.",
        )


def _nodes(found: Iterable[Found]) -> frozenset[Node]:
    """What is to be left out so that the rest is saved: of things that fail together all but the first."""
    return frozenset(n for one in found for n in (one.nodes if len(one.nodes) == 1 else one.nodes[1:]))


def _search(
    saver: TellingSaver, trials: Trials, phase: str, gone: frozenset[Node], failure: Failure
) -> list[Found]:
    def tried(removed: frozenset[Node]) -> Failure | None:
        return trials.run(phase, gone | removed)

    suspects: list[Node] = []
    now: Failure | None = failure
    for _ in range(
        _ROUNDS
    ):  # a failure may hide another: what looks at fault is left out, and the next one is looked at
        assert now is not None
        new = [n for n in saver.suspects(now) if n.removable and n not in gone and n not in suspects]
        if not new:
            break
        suspects += new
        now = tried(frozenset(suspects))
        if now is None:
            break
    return proved_suspects(saver.root, suspects, tried) or shrink(saver.root, tried, failure)


def _culprit(saver: TellingSaver, found: Found, alone: bool | None, complete: bool) -> Culprit:
    node, failure = found.nodes[0], found.failure
    told = saver.tell(found.nodes, failure) or _by_knowledge(failure, node)
    what, why, remedy, cause = told
    together = tuple(n.path for n in found.nodes) if len(found.nodes) > 1 else ()
    without = complete and node.parent is not None
    return Culprit(
        node.path,
        what,
        why,
        remedy,
        cause,
        failure.line,
        failure.phase,
        alone,
        without if without else None,
        tuple(node.also),
        together,
        failure.trace,
        failure.kind,
    )


def _by_knowledge(failure: Failure, node: Node) -> tuple[str, str, str, str]:
    """What ``holdfast diagnose`` says of it, so that nothing is explained twice."""
    from .._diagnose.diagnose import diagnose

    kind = type(node.thing)
    what = (
        a(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        if node.thing is not None
        else "it"
    )
    doing = "saving it" if failure.phase == "save" else "reading it back"
    if failure.kind == "hang":
        return (
            what,
            f"{doing} does not come to an end",
            "The stack below says what it waits for.",
            "concurrency",
        )
    if failure.kind == "crash":
        return (
            what,
            f"{doing} ends the process ({failure.type})",
            "The stack below says where; save its state by itself.",
            "other",
        )
    known = diagnose(failure.trace or failure.line, files=False)
    if known.causes and known.causes[0].confidence >= 0.5:
        first = known.causes[0]
        return what, first.why, first.remedy, first.label
    return (
        what,
        f"it raises {failure.line}",
        "Save its state (tensors and plain values), not the object.",
        "unserialisable",
    )
