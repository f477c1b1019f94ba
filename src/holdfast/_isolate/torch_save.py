"""``torch.save`` and ``torch.load``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._core.errors import UsageError
from .failure import Failure, SavePhaseError
from .node import Node
from .pickled import Pickled, pruning_pickler, without
from .report import Note
from .torch_why import told
from .written_names import stands_in_file

__all__ = ["TorchSaver"]


class _Nowhere(io.BytesIO):
    """A file that forgets: trials need no disk."""

    def write(self, data: Any) -> int:
        """Take it, and forget it."""
        return len(data)


class TorchSaver:
    """What ``torch.save(given, path)`` does with what a factory gave. A LightningModule stands for its checkpoint."""

    def __init__(
        self, given: Any, folder: Path, visit: Callable[[str], Failure | None], *, limit: float
    ) -> None:
        """``folder``: for what is written. ``visit``: see :class:`Pickled`. ``limit``: seconds for a process that reads back."""
        import torch

        self._torch = torch
        self.given, name, self.title = _what(given)
        self.root = Node(name, self.given, removable=False)
        self._folder = folder
        self._visit = visit
        self._limit = limit
        self._pickled: Pickled | None = None
        self._disk_asked = False
        self.nbytes: int | None = None
        self._globals: tuple[str, ...] = ()

    # -- trying ----------------------------------------------------------------------------------------------------------
    def phases(self) -> Iterator[str]:
        """Saving; reading back in this process; the values; and in a fresh process, where the file names code."""
        yield "save"
        yield "load"
        yield "values"
        if self._to_look_for_afresh:
            yield "load afresh"

    def read(self) -> Iterator[str]:
        """In which ways the whole was read back, in words."""
        if not self._globals:
            yield "torch.load(path)"
        yield "torch.load(path, weights_only=False)"
        if self._to_look_for_afresh:
            yield "the same in a fresh process"

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """See :class:`Saver`."""
        torch = self._torch
        given = without(self.root, removed)
        module = {"pickle_module": pruning_pickler(removed, torch.Size)} if removed else {}
        if phase == "save" and removed:
            torch.save(given, _Nowhere(), **module)
            return
        path = self._folder / "trial.pt"
        try:
            if phase != "values":
                try:
                    torch.save(given, path, **module)
                except BaseException as error:
                    raise SavePhaseError("save") from error
                if not removed:
                    self.nbytes = path.stat().st_size
            if phase == "load":
                self._globals = _globals_of(torch, path)
                torch.load(path, map_location="cpu", weights_only=False)
            elif phase == "values":
                self._values(removed)
            elif phase == "load afresh":
                self._afresh(path)
        finally:
            path.unlink(missing_ok=True)

    @property
    def _code_named(self) -> tuple[str, ...]:
        """What of the file's names is of no library that everyone has."""
        own = {"torch", "numpy", "lightning", "pytorch_lightning", *sys.stdlib_module_names} - {"__main__"}
        return tuple(name for name in self._globals if name.partition(".")[0] not in own)

    @property
    def _to_look_for_afresh(self) -> bool:
        """Whether a fresh process may lack a name, for another reason than that it belongs to the script that was started: that
        script has it again."""
        names = self._code_named
        return not any(name.startswith("__main__.") for name in names) and not all(map(stands_in_file, names))

    def _values(self, removed: frozenset[Node]) -> None:
        """Every tensor has values that can be written."""
        self.grow()
        gone = {one for node in removed for one in node.walk()}
        for node in self._meta():
            if node not in gone:
                raise ValueError(f"{node.path} is on the meta device: a shape without values")

    def _meta(self) -> Iterator[Node]:
        tensor = self._torch.Tensor
        return (n for n in self.root.walk() if isinstance(n.thing, tensor) and n.thing.is_meta)

    def _afresh(self, path: Path) -> None:
        code = "import sys, torch; torch.load(sys.argv[1], map_location='cpu', weights_only=False)"
        here = os.pathsep.join(dict.fromkeys(str(Path(p).resolve()) for p in sys.path))
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=self._limit,
            env={**os.environ, "PYTHONPATH": here},
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(
                done.stderr.strip().splitlines()[-1]
                if done.stderr.strip()
                else f"exit code {done.returncode}"
            )

    def alone(self, node: Node) -> bool | None:
        """See :class:`Saver`."""
        if node.path.startswith(("the state of ", "argument ")):
            return None
        if isinstance(node.thing, self._torch.Tensor) and node.thing.is_meta:
            return True
        path = self._folder / "alone.pt"
        try:
            self._torch.save(node.thing, path)
            self._torch.load(path, map_location="cpu", weights_only=False)
        except Exception:  # noqa: BLE001 - this is the question
            return True
        finally:
            path.unlink(missing_ok=True)
        return False

    # -- the tree --------------------------------------------------------------------------------------------------------
    def grow(self) -> None:
        """See :class:`Saver`."""
        if self._pickled is None:
            self._pickled = Pickled(self.given, self.root.path, opaque=self._opaque, visit=self._visit)
            self.root = self._pickled.root

    def _opaque(self, thing: Any) -> bool:
        torch = self._torch
        kind = type(thing)
        if kind in (torch.Tensor, torch.nn.Parameter):
            return not thing.__dict__
        if isinstance(thing, torch.jit.ScriptModule):
            return True
        if isinstance(thing, (torch.storage.TypedStorage, torch.storage.UntypedStorage)):
            return True
        if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
            return bool(thing.dtype.kind != "O")
        return kind in (torch.dtype, torch.device, torch.Size)

    def suspects(self, failure: Failure) -> list[Node]:
        """See :class:`Saver`."""
        self.grow()
        assert self._pickled is not None
        if failure.phase == "values":
            return list(self._meta())
        if failure.phase == "load afresh":
            return [
                n
                for n in self.root.walk()
                if n.removable and _named_in(failure.message, type(n.thing), n.thing)
            ]
        if failure.type == "RecursionError":
            chain = _chain(self.root)
            return [chain] if chain is not None else []
        if failure.phase == "save":
            if not self._pickled.suspects and failure.kind == "error":
                self._demand_same(failure)
            return list(self._pickled.suspects)
        return []

    def _demand_same(self, failure: Failure) -> None:
        """Where all is well as long as nothing is written, the disk is at fault."""
        if self._disk_asked:
            return
        self._disk_asked = True
        try:
            self._torch.save(self.given, _Nowhere())
        except Exception:  # noqa: BLE001 - then it is not the disk
            return
        raise UsageError(
            "the save passes as long as nothing is written: the scratch folder does not take it",
            found=failure.line[:300],
            remedy="--folder DIR names another disk. If this is the error that you look for: `holdfast diagnose`.",
        )

    def gist(self, message: str) -> str:
        """See :class:`Saver`."""
        return message

    # -- telling ---------------------------------------------------------------------------------------------------------
    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> tuple[str, str, str, str] | None:
        """What a culprit is, why it fails, what to do, and the label of its cause."""
        return told(nodes[0], failure, self._torch)

    def notes(self, saved: bool) -> Iterator[Note]:
        """What is worth knowing beside."""
        if not saved and _has_state_dict(self.given):
            with suppress(Exception):
                self._torch.save(self.given.state_dict(), _Nowhere())
                yield Note(
                    f"`torch.save({self.root.path}.state_dict(), path)` passes: tried.",
                    "Save the state dict, and build the object in code before loading.",
                )
        if saved and self._globals:
            self.grow()
            names = self._globals
            paths = tuple(
                n.path
                for n in self.root.walk()
                if f"{type(n.thing).__module__}.{type(n.thing).__qualname__}" in names
            )
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            yield Note(
                "`torch.load(path)` refuses it: weights_only=True (the default since 2.6) "
                f"does not take {', '.join(names[:4])}{more}. "
                "With weights_only=False it reads back.",
                "Save state dicts, numbers and texts; or load with weights_only=False where "
                "you trust the file, or name the classes "
                "in torch.serialization.add_safe_globals.",
                paths[:8],
            )
        if saved and self._code_named:
            yield Note(
                f"The file holds {', '.join(self._code_named[:4])} by name: whoever loads it "
                "needs that module, as it is now; saved by "
                "a script that is run itself, the name is `__main__`, and only that script can load it.",
                "A state dict names no code.",
            )


def _has_state_dict(thing: Any) -> bool:
    return callable(getattr(thing, "state_dict", None)) and not isinstance(thing, type)


def _globals_of(torch: Any, path: Path) -> tuple[str, ...]:
    """What ``weights_only`` refuses in a file; nothing where this version of torch cannot tell, and it loads."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - this is the question
        try:
            found = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
            return tuple(sorted(found, key=lambda name: (name.startswith("torch."), name)))  # own code first
        except Exception:  # noqa: BLE001 - torch before 2.5, or a file that it cannot walk through
            told = re.findall(r"(?:GLOBAL|global) ([\w.]+)", str(error))
            return tuple(dict.fromkeys(told)) or ("something in it",)
    return ()


def _named_in(message: str, *things: Any) -> bool:
    for thing in things:
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        if module and name and module != "builtins":
            if f"'{name}'" in message and (module in message):
                return True
            if re.search(rf"No module named '{re.escape(str(module).partition('.')[0])}'", message):
                return True
    return False


def _chain(root: Node) -> Node | None:
    """Where a nest of one class that goes too deep begins."""
    deepest, most = root, 0
    depths = {root: 0}
    for node in root.walk():
        depth = depths[node.parent] + 1 if node.parent is not None else 0
        depths[node] = depth
        if depth > most:
            deepest, most = node, depth
    way = [deepest, *deepest.ancestors()][::-1]
    counts: dict[type, int] = {}
    for node in way:
        counts[type(node.thing)] = counts.get(type(node.thing), 0) + 1
    if not counts or max(counts.values()) < 50:
        return None
    often = max(counts, key=lambda kind: (counts[kind], kind not in (dict, list, tuple)))
    return next((node for node in way if type(node.thing) is often and node.removable), None)


def _what(given: Any) -> tuple[Any, str, str]:
    """What is handed to ``torch.save``, what to call it, and the call in words."""
    kinds = {c.__name__ for c in type(given).__mro__}
    if "LightningModule" in kinds:
        checkpoint: dict[str, Any] = {"state_dict": given.state_dict()}
        if len(getattr(given, "hparams", ())):
            checkpoint["hyper_parameters"] = dict(given.hparams)
        given.on_save_checkpoint(checkpoint)
        return checkpoint, "checkpoint", "the checkpoint of a LightningModule (torch.save)"
    if "Trainer" in kinds and type(given).__module__.partition(".")[0] in ("lightning", "pytorch_lightning"):
        return _of_trainer(given), "checkpoint", "trainer.save_checkpoint (torch.save)"
    if "Module" in kinds:
        return given, "model", "torch.save"
    if "Optimizer" in kinds:
        return given, "optimizer", "torch.save"
    if isinstance(given, (dict, list, tuple)):
        return given, "checkpoint", "torch.save"
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(given).__name__).lower().lstrip("_")
    return given, name or "saved", "torch.save"


class _Taken:
    """A checkpoint plug-in of Lightning that keeps what it is to write."""

    def __init__(self) -> None:
        self.checkpoint: Any = None

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Keep it."""
        self.checkpoint = checkpoint

    def teardown(self) -> None:
        """Nothing is held."""


def _of_trainer(trainer: Any) -> Any:
    """The checkpoint that ``trainer.save_checkpoint`` would write."""
    strategy, taken = trainer.strategy, _Taken()
    before = strategy._checkpoint_io
    try:
        strategy._checkpoint_io = taken
        trainer.save_checkpoint("isolate.ckpt")
    finally:
        strategy._checkpoint_io = before
    return taken.checkpoint
