"""``holdfast.Vault``: its own rehearsal, which saves, reads back and compares."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import HoldfastError
from .._vault.vault import Vault
from .failure import Failure
from .node import Node
from .pickle_why import a
from .report import Note

__all__ = ["VaultSaver"]

_PARTS = ("model", "optimizer", "scheduler", "scaler")


class VaultSaver:
    """``Vault(path).rehearse(model=..., optimizer=..., extra={...})`` with what a factory gave."""

    title = "holdfast.Vault.rehearse"

    def __init__(self, given: Any, folder: Path) -> None:
        """What has a word of its own (model, optimizer, scheduler, scaler) is passed by it, the rest of a dict as ``extra``."""
        self._folder = folder
        self.root = Node("saved", None, removable=False)
        for name, thing in _parts(given).items():
            path = name if name in _PARTS else f'extra["{name}"]'
            _add(Node(path, thing, self.root, data=name))
        self._tops = list(self.root.children)
        self.nbytes: int | None = None

    def phases(self) -> Iterator[str]:
        """A rehearsal saves and reads back."""
        yield "save"

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """See :class:`Saver`."""
        parts = {node.path: node.thing for node in self._tops if node.path in _PARTS and node not in removed}
        extra = {
            node.data: _pruned(node, removed)
            for node in self._tops
            if node.path not in _PARTS and node not in removed
        }
        if not parts:
            parts = {"model": {"nothing": np.zeros(1)}}  # a vault saves none without a live object
        place = self._folder / "vault"
        try:
            with Vault(place) as vault:
                found = vault.rehearse(**parts, **({"extra": extra} if extra else {}))
            if not removed:
                self.nbytes = found.nbytes
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def alone(self, node: Node) -> bool | None:
        """See :class:`Saver`."""
        return None

    def grow(self) -> None:
        """It stands already."""

    def suspects(self, failure: Failure) -> list[Node]:
        """See :class:`Saver`."""
        return []

    def gist(self, message: str) -> str:
        """Without the names of what is refused: the message lists all of them."""
        return re.sub(
            r"^(?:\w+ things?|one thing) cannot be saved.*",
            "a vault does not take it",
            message,
            flags=re.DOTALL,
        )

    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> tuple[str, str, str, str] | None:
        """The vault's own words: it names what it cannot take."""
        if not failure.trace or HoldfastError.__module__.partition(".")[0] not in failure.trace:
            return None
        kind = type(nodes[0].thing)
        what = a(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        if "lists and dicts of these" in failure.message:
            return (
                what,
                "a vault's `extra` takes tensors, numbers, texts, booleans, None, and lists and dicts of these",
                "Leave it out, or pass what it is made of; a function is named in code, and made again from there.",
                "unserialisable",
            )
        return (
            what,
            failure.message.splitlines()[0].rstrip(".") if failure.message else failure.type,
            "Pass what it is made of: tensors, numbers, texts, and lists and dicts of them.",
            "unserialisable",
        )

    def read(self) -> Iterator[str]:
        """In which ways the whole was read back, in words."""
        yield "the rehearsal, every value compared"

    def notes(self, saved: bool) -> Iterator[Note]:
        """None."""
        return iter(())


def _parts(given: Any) -> dict[str, Any]:
    if isinstance(given, dict) and "model" in given:
        return {name: thing for name, thing in given.items() if thing is not None}
    if type(given) in (tuple, list) and 0 < len(given) <= len(_PARTS):
        return {name: thing for name, thing in zip(_PARTS, given, strict=False) if thing is not None}
    return {"model": given}


def _add(node: Node) -> None:
    """Plain dicts and lists of what is passed as ``extra``, entry by entry."""
    waiting = [node] if node.path not in _PARTS else []
    while waiting:
        here = waiting.pop()
        if type(here.thing) is dict:
            entries = [
                (key, f'{here.path}["{key}"]' if isinstance(key, str) else f"{here.path}[{key!r}]")
                for key in here.thing
            ]
        elif type(here.thing) in (list, tuple):
            entries = [(n, f"{here.path}[{n}]") for n in range(len(here.thing))]
        else:
            continue
        waiting += [Node(path, here.thing[key], here, data=key) for key, path in entries]


def _pruned(node: Node, removed: frozenset[Node]) -> Any:
    if not node.children:
        return node.thing
    kept = [child for child in node.children if child not in removed]
    if type(node.thing) is dict:
        return {child.data: _pruned(child, removed) for child in kept}
    return type(node.thing)(_pruned(child, removed) for child in kept)
