"""Checkpoints that only their framework reads (Orbax's folders): the framework is asked, after the program's call.

The call runs first. Then what is stored (names, shapes, dtypes, by the framework's own account) is held against what the call
was asked for and what it gave, as for any other load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.finding import Finding
from .._core.words import plural
from .._examine.examine import run_rules
from .._examine.fold import fold
from .._examine.scan import scan_catalog
from .._frameworks.events import Call
from .._layouts.opening import the_one
from .._layouts.target import Target
from .._rules.registry import Subject, told_by
from .._storage import LocalFolder
from .loading import Load
from .seen import Seen
from .states import stored_after

if TYPE_CHECKING:
    from .loads import Loads

__all__ = ["ByFramework"]


class ByFramework:
    """The policy for ``restore`` and ``read`` calls with ``load.by_framework``."""

    def __init__(self, loads: Loads) -> None:
        self.loads, self.guard = loads, loads.guard

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the call out; see :class:`Guard`."""
        if call.kind == "read":
            return self._newest(call, run)
        if call.load.nothing:
            return self._nothing(call, run)
        seen = Seen.of(call)
        result = self.loads.carry_out(call, run, seen, lambda: self._begun(call))
        with self.guard.looking(seen), ExitStack() as held:
            self._after(call, seen, held)
        self.guard.note(seen)
        return result

    def _begun(self, call: Call) -> Load | None:
        """What was to be loaded into what, of a call that raised."""
        state = stored_after(call) if call.path is not None and Path(call.path).is_dir() else None
        if state is None or not state.parts:
            return None
        return Load(state.open(), str(state.path), state.parts, described=state.described)

    def _after(self, call: Call, seen: Seen, held: ExitStack) -> None:
        from .loads import facts_of

        state = stored_after(call)
        if state is None:
            return
        assert call.path is not None
        stored = held.enter_context(state.open())
        seen.sentence = f"{stored.attributes.get('writer')}; {plural(len(stored), 'tensor')}"
        self.loads.origins.note(state.given, call.path)
        values = value_findings(state.now() if state.now else stored, call.path)
        if state.parts and state.made:
            stored.asleep = True  # type: ignore[attr-defined]
            load = Load(stored, call.path, state.parts, described=state.described)
            stored.asleep = False  # type: ignore[attr-defined]
            loaded = load.after(state.made)
            if state.after is not None:
                state.after(loaded)
            seen.sentence = loaded.sentence
            seen.facts = facts_of(loaded)
            seen.findings += self.loads.new(loaded.findings, seen.site)
            if any(f.code == "T204" and f.severity == "error" for f in loaded.findings):
                values = [f for f in values if f.slug != "infinite" or not {*f.tensors} <= {*loaded.cast}]
        seen.findings += self.loads.new(values, call.path)
        if state.loose:
            self.loads.loose[call.path] = (seen, state.loose)

    # -- nothing found ---------------------------------------------------------------------------------------------
    def _nothing(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """The call gave its target back: a path that is not there is no error to it."""
        result = run(call.path)
        seen = Seen.of(call)
        with self.guard.looking(seen):
            seen.sentence = "nothing was loaded"
            place = Path(str(call.path))
            empty = not place.exists() or (place.is_dir() and not any(place.iterdir()))
            what = (
                f"there is nothing at {call.path}"
                if empty
                else f"{call.path} holds nothing that it takes for a checkpoint"
            )
            seen.findings += self.loads.new([told_by("nothing-loaded",
                f"{call.api} gave the target back as it was: {what}", file=call.path, severity="warning" if empty else None,
            )], seen.site)  # fmt: skip
        self.guard.note(seen)
        return result

    def _newest(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """``latest_step()`` gave nothing. In an empty folder a run begins; among checkpoints nobody sees them."""
        result = run(call.path)
        seen = Seen.of(call)
        with self.guard.looking(seen):
            unseen = unseen_steps(Path(str(call.path)))
            if result is None and unseen:
                seen.sentence = "found no step"
                seen.findings += self.loads.new([told_by("nothing-loaded",
                    f"{call.api} found no checkpoint in {call.path}, and there is {unseen}: what trains on now "
                    "begins at the initial values", file=call.path,
                    remedy="Look whether the step's name or prefix is another than the manager's, and whether its save ended.",
                )], str(call.path))  # fmt: skip
        if seen.findings:
            self.guard.note(seen)
        return result


def value_findings(stored: Catalog, path: str) -> list[Finding]:
    """What the rules say of the values in a catalog."""
    try:
        target = the_one(path)
    except HoldfastError:  # no file of its own
        target = Target(path=path, store=LocalFolder(Path.cwd()), main=None, format=None)
    stats = {n: s for n, s in scan_catalog(stored).items() if not isinstance(s, HoldfastError)}
    return list(fold(list(run_rules(Subject(target, stored, None, "full", [], stats), (), ()))))


def unseen_steps(folder: Path) -> str:
    """What lies in a folder that a manager finds no step in, in words; empty where there is nothing like a checkpoint."""
    if not folder.is_dir():
        return ""
    inside = sorted(one.name for one in folder.iterdir() if one.is_dir())
    cut_off = [name for name in inside if ".orbax-checkpoint-tmp" in name]
    whole = [
        name for name in inside if name not in cut_off and any(c.isdigit() for c in name)
        and any((folder / name / mark).exists() for mark in ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "default"))
    ]  # fmt: skip
    if whole:
        return f"{whole[-1]}, which it does not take for a step" + (
            f" (and {len(whole) - 1} more)" if len(whole) > 1 else ""
        )
    return f"{cut_off[-1]}, a save that was cut off" if cut_off else ""
