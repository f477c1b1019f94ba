"""The files of a checkpoint by their names in its folder, and which of their bytes belong to which tensor."""

from __future__ import annotations

from .._core.catalog import Catalog
from .._layouts.target import Target
from .regions import Run

__all__ = ["Names"]

_NOT_PART = ("checkpoint",)  # TensorFlow's state file: it belongs to the run and changes with each save


class Names:
    """Maps what a catalog calls its files (paths as typed) to names in the target's store.

    ``of_store``: all files of the checkpoint that are there, the main one first; the state file of a run is
    left out, it changes with the next save. ``missing``: those that are not there. ``outside``: those that
    lie elsewhere.
    """

    def __init__(self, target: Target, catalog: Catalog | None) -> None:
        self._target = target
        self._of_shown: dict[str, str] = {}
        self.outside: list[str] = []
        listed = [self._inside(file) for file in catalog.files] if catalog is not None else []
        self.of_store: list[str] = []
        self.missing: list[str] = []
        main = [target.main] if target.main is not None else []
        for name in dict.fromkeys([*main, *listed, *target.parts]):
            if name.rpartition("/")[2] in _NOT_PART and name != target.main:
                continue
            if target.store.is_folder(name):
                continue
            (self.of_store if target.store.exists(name) else self.missing).append(name)
        self._runs: dict[str, list[tuple[str, int, int]]] = {}
        self._by_file: dict[str, list[Run]] = {}
        self._checked: dict[str, list[tuple[str, int, int]]] = {}
        self._plain: set[str] = set()
        known = set(self.of_store)
        for spec in catalog.values() if catalog is not None else ():
            for stored in spec.stored:
                name = self.name_of(stored.file)
                if stored.offset is None or name not in known:
                    continue
                self._runs.setdefault(spec.name, []).append((name, stored.offset, stored.nbytes))
                self._by_file.setdefault(name, []).append(Run(stored.offset, stored.nbytes, spec.name))
            if len(spec.stored) == 1 and spec.stored[0].offset is not None and spec.stored[0].extent is None:
                self._plain.add(spec.name)
        self._add_checked(catalog, known)

    def _add_checked(self, catalog: Catalog | None, known: set[str]) -> None:
        """Tensors that are not stored as plain runs are still named by the ranges of their own checksums."""
        if catalog is None:
            return
        for check in catalog.checks():
            name = self.name_of(check.file)
            if check.tensor is None or check.tensor in self._runs or name not in known:
                continue
            if check.tensor in catalog:
                offset, length = check.span() if check.span is not None else (check.offset, check.nbytes)
                self._by_file.setdefault(name, []).append(Run(offset, length, check.tensor))
                self._checked.setdefault(check.tensor, []).append((name, offset, length))

    def _inside(self, shown: str) -> str:
        known = self._of_shown.get(shown)
        if known is not None:
            return known
        store = self._target.store
        prefix = store.shown("")
        if store.path not in ("", ".") and shown.startswith(prefix):
            name = shown[len(prefix) :]
        elif store.path in ("", ".") and store.exists(shown):
            name = shown
        else:
            name = shown.replace("\\", "/").rpartition("/")[2]
            if not store.exists(name):
                self.outside.append(shown)
        self._of_shown[shown] = name
        return name

    def name_of(self, shown: str) -> str:
        """The name in the store of a file as the catalog calls it (a member path ``file:member`` means the
        file)."""
        known = self._of_shown.get(shown)
        if known is not None:
            return known
        head, colon, _ = shown.rpartition(":")
        if colon and head in self._of_shown:
            return self._of_shown[head]
        return self._inside(shown)

    def runs_of(self, tensor: str) -> list[tuple[str, int, int]]:
        """``(file, offset, length)`` of each plain run of a tensor."""
        return self._runs.get(tensor, [])

    def places_of(self, tensor: str) -> list[tuple[str, int, int]]:
        """``(file, offset, length)`` of where bytes of a tensor lie in whatever form, as far as the format
        tells."""
        return self._runs.get(tensor) or self._checked.get(tensor, [])

    def runs_in(self, file: str) -> list[Run]:
        """All runs in a file."""
        return self._by_file.get(file, [])

    def is_plain(self, tensor: str) -> bool:
        """Whether the tensor is said to be one run of bytes."""
        return tensor in self._plain
