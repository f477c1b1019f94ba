"""Restores that were put off: a checkpoint is restored into objects that have no variables yet, and what is made later takes
its values from it, or does not.

It is looked at when the variables have come to be and no step has moved them: after the model's first call, else before the
first step, else at the program's end. There training may have moved the values; then only what the framework itself never
bound counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._core.finding import Finding
from .._core.words import plural
from .._frameworks import live_catalog
from .._rules.registry import told_by
from .loading import HELD, OF_STATE
from .seen import Seen

if TYPE_CHECKING:
    from .guard import Guard
    from .loaded import Loaded
    from .loading import Load

__all__ = ["Deferred", "Open"]


@dataclass(slots=True)
class Open:
    """One restore that is not complete.

    ``seen``: the call. ``alive``: gives the objects by part, ``None`` once the program has let go of them. ``known``: tensors
    that were there at the call and were judged then. ``bound``: whether the framework has given a variable a value since.
    ``by_place``: how it finds an optimizer's state.
    """

    seen: Seen
    path: str
    alive: Callable[[], Mapping[str, Any] | None]
    known: frozenset[str]
    bound: Callable[[Any], bool] | None = None
    by_place: str = ""


class Deferred:
    """The restores that are open, and the looking at them. ``load``: opens the checkpoint and holds it against the objects."""

    def __init__(
        self, guard: Guard, load: Callable[[str, Mapping[str, Any], ExitStack], Load | None]
    ) -> None:
        self.guard, self._load = guard, load
        self._open: list[Open] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, one: Open) -> None:
        """It will be looked at."""
        self._open.append(one)

    def settle(self, when: str, *, end: bool = False) -> None:
        """Look at those whose variables exist by now; at the ``end`` at all."""
        waiting, self._open = self._open, []
        for one in waiting:
            seen = Seen(one.seen.api, "restore", one.seen.site, one.path)
            with self.guard.looking(seen):
                parts = one.alive()
                if parts is None:
                    continue
                if not end and not self._complete(one, parts):
                    self._open.append(one)
                    continue
                self._looked_at(one, parts, seen, when, end)
            if seen.sentence or seen.findings:
                self.guard.note(seen)

    def _complete(self, one: Open, parts: Mapping[str, Any]) -> bool:
        """Whether there are variables now that were not there before."""
        live = live_catalog(**parts)
        return not live.unbuilt and any(
            not v.virtual and v.spec.role in HELD and n not in one.known for n, v in live.variables.items()
        )

    def _looked_at(self, one: Open, parts: Mapping[str, Any], seen: Seen, when: str, end: bool) -> None:
        with ExitStack() as held:
            load = self._load(one.path, parts, held)
            if load is None:
                return
            loaded = load.after(known=one.known)
            if (loaded.later or loaded.unmade) and not end:
                known = one.known.union(loaded.restored, loaded.left, loaded.other)
                self._open.append(replace(one, known=known))
            wrong = [*loaded.left, *loaded.other]
            if end and one.bound is not None:
                wrong = [n for n in wrong if not _bound(load, n, one.bound)]
            if (
                not loaded.unmade
            ):  # at the call the optimizer had no state yet that could be held against the file's
                said = {(f.code, f.severity) for f in one.seen.findings}
                seen.findings += [
                    f for f in loaded.findings if f.code in OF_STATE and (f.code, f.severity) not in said
                ]
            if wrong or (end and loaded.pending):
                seen.findings += _told(one, load, loaded, wrong, when)
            elif not seen.findings and all(load.live[n].optimizer is not None for n in loaded.restored):
                return  # as was said at the call
            loaded.later = ()
            seen.sentence = (
                f"{when}: {loaded.sentence if loaded.total else 'state in the checkpoint is left over'}"
            )


def _bound(load: Load, name: str, bound: Callable[[Any], bool]) -> bool:
    held = getattr(load.live.variables[name], "held", None)
    return held is not None and bound(held)


def _shown(load: Load, name: str) -> str:
    """With the framework's own name, where several variables bear that one."""
    path = getattr(getattr(load.live.variables[name], "held", None), "path", name)
    return name if path == name else f"{path} ({name})"


def _told(one: Open, load: Load, loaded: Loaded, wrong: list[str], when: str) -> Iterable[Finding]:
    put_off = f"the restore of {one.seen.site} was put off until the variables exist, and {when} "
    if not wrong:
        yield told_by(
            "restore-still-open",
            f"{put_off}there are still none: nothing was restored into {', '.join(loaded.pending[:3])}",
            severity="warning",
        )
        return
    shown = ", ".join(_shown(load, name) for name in wrong[:3])
    crossed = next((n for n in wrong if loaded.other.get(n)), None)
    if crossed is not None:
        shown += f"; {crossed} holds the values of {loaded.other[crossed]}"
    if one.by_place and any(load.live[n].optimizer is not None for n in wrong):
        shown += f": {one.by_place}"
    yield told_by(
        "restore-still-open",
        f"{put_off}{len(wrong)} of {plural(loaded.total, 'tensor')} "
        f"{'does' if len(wrong) == 1 else 'do'} not hold the checkpoint's values: {shown}",
        tensors=tuple(wrong),
    )
    yield from (f for f in loaded.findings if f.slug == "duplicate-variable")
