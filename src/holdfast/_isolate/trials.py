"""The saves that are tried: each once, counted, told before it begins, so that one that takes the process with it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from .failure import Failure, failure_of
from .node import Node
from .shrink import OutOfTrials

__all__ = ["MOST", "Saver", "Trials"]

MOST = 1000
Tell = Callable[..., None]


class Saver(Protocol):
    """One way of saving, of one thing."""

    title: str
    root: Node

    def phases(self) -> Iterable[str]:
        """What is tried, in order: ``save``, then ways of reading back."""

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """Save without ``removed`` (nothing removed: with the framework's own call, as the user would), and where ``phase`` says
        so read it back. Raises what it raises."""

    def alone(self, node: Node) -> bool | None:
        """Save this alone: whether that raises; ``None`` where there is no such thing as saving it alone."""

    def grow(self) -> None:
        """Make the tree below the root. Called once something fails."""

    def suspects(self, failure: Failure) -> list[Node]:
        """Nodes that look as if they were at fault, smallest ones."""

    def gist(self, message: str) -> str:
        """The part of a message that tells failures apart."""


class Trials:
    """Tries saves of one saver, each once. ``known``: how trials of an earlier process ended, by key; ``tell``: called with what
    is being done, before and after."""

    def __init__(
        self,
        saver: Saver,
        known: Mapping[str, Any] | None = None,
        tell: Tell = lambda **_: None,
        most: int = MOST,
    ) -> None:
        self.saver = saver
        self.count = 0
        self._known = dict(known or {})
        self._done: dict[tuple[str, frozenset[Node]], Failure | None] = {}
        self._tell = tell
        self._most = most

    def run(self, phase: str, removed: frozenset[Node] = frozenset()) -> Failure | None:
        """How the save without ``removed`` fails; ``None`` where it does not. Raises :class:`OutOfTrials`."""
        at = (phase, removed)
        if at not in self._done:
            words = "\n".join([phase, *sorted(node.path for node in removed)])
            key = hashlib.sha1(words.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()
            self._done[at] = self._outcome(key, phase, lambda: self.saver.attempt(removed, phase))
        return self._done[at]

    def alone(self, node: Node) -> bool | None:
        """Whether a save of ``node`` alone fails."""
        died = getattr(node.data, "error", None)
        if died is not None and died.kind != "error":
            return True  # asking it for its state has ended a process already
        failed: list[bool | None] = []
        key = hashlib.sha1(f"alone {node.path}".encode(), usedforsecurity=False).hexdigest()
        ended = self._outcome(key, "alone", lambda: failed.append(self.saver.alone(node)), counted=False)
        if ended is not None:
            self.count += 1
            return True
        if not failed or failed[0] is None:  # it went well in an earlier process
            return failed[0] if failed else False
        self.count += 1
        return failed[0]

    def _outcome(
        self, key: str, phase: str, attempt: Callable[[], object], counted: bool = True
    ) -> Failure | None:
        if counted:
            self.count += 1
        if key in self._known:
            known = self._known[key]
            return None if known is None else Failure.of_document(known)
        if self.count > self._most:
            raise OutOfTrials
        self._tell(event="trial", key=key, number=self.count, phase=phase)
        try:
            attempt()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the user's own code raises, SystemExit too
            failure = failure_of(error, phase, self.saver.gist)
            self._tell(event="ended", key=key, failure=failure.as_document())
            return failure
        self._tell(event="ended", key=key, failure=None)
        return None
