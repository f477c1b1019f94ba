"""What matters to what a call does, by the kind of call: arguments of its own, and what its hook knows of it beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.finding import Severity

if TYPE_CHECKING:
    from .overlapping import UnderWay

__all__ = ["LoadOptions", "SaveOptions", "StepOptions", "Told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Of ``read``, ``assign`` and ``restore``.

    Attributes
    ----------
    strict, assign: ``torch.nn.Module.load_state_dict``'s. skip_mismatch, by_name: Keras's ``load_weights``'s.
    makes: the part that the result is, or a function that takes the result apart into parts; ``None`` where the call makes no
        live objects.
    by_framework: only the framework reads this format: what came is held against what was asked for. items: the tree has the
        checkpoint's items at its top. nothing: the call gave its target back.
    piece: a read of some of a file that was looked at when it was opened.
    stored: ``Call.state`` comes out of bytes that were written once, though no file is known.
    deferred: variables that do not exist yet may be set later. bound: whether a variable has been given a value by now. alive:
        gives the parts, as long as they are there. by_place: how the framework finds an optimizer's state, in words. unset:
        variables beside the model that the restore has not set.
    weights: the call loads weights, and an optimizer's state only if it can.
    crossing: why values may cross, and what to do. because: why there is nothing to load, and how grave that is.
    outdated: layers of which compiled functions hold what they were before the load.
    """

    strict: bool = True
    assign: bool = False
    skip_mismatch: bool = False
    by_name: bool = False
    makes: str | Callable[[Any], Mapping[str, Any]] | None = None
    by_framework: bool = False
    items: bool = False
    nothing: bool = False
    piece: bool = False
    stored: bool = False
    deferred: bool = False
    bound: Callable[[Any], bool] | None = None
    alive: Callable[[], Mapping[str, Any] | None] | None = None
    by_place: str = ""
    unset: tuple[str, ...] = ()
    weights: bool = False
    crossing: tuple[str, str] | None = None
    because: tuple[str, Severity | None] = ("", None)
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """Of ``save``.

    ``force``: a folder of that name is deleted first. ``stream``: the file object that is written to. ``skipped``: why nothing
    was written. ``kept``: whether what was written in the background is still meant to be there. ``met``: saves of other
    threads under way in the same folder; the list grows while the call lasts. ``together``: all ranks of a job make this call,
    each writes its part of one checkpoint. ``moved``: of a save in the background, tensors that were written out of the program's
    own memory, and had changed by then; the list is whole when ``Call.finished`` returns.
    """

    force: bool = False
    stream: Any = None
    skipped: str | None = None
    kept: Callable[[], bool] | None = None
    met: list[UnderWay] | None = None
    together: bool = False
    moved: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """Of ``step``.

    ``reading``: a context in which live values can be read, ``None`` where there is none. ``when``: the moment, in words.
    ``made``: it is no step yet: variables were made.
    """

    reading: Callable[[], AbstractContextManager[Any]] | None = nullcontext
    when: str = "at the first step"
    made: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What is wrong with a call, where its hook itself knows it: the rule's slug, the severity, the message."""

    slug: str
    severity: Severity
    message: str
