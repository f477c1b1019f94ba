"""TensorFlow: ``tf.train.Checkpoint`` and SavedModel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import UsageError
from .._core.words import plural
from .failure import Failure, SavePhaseError, failure_of
from .node import Node
from .report import Note
from .tf_why import told

__all__ = ["TensorFlowSaver"]

_UNTRACKED = re.compile(r"references an 'untracked' resource|Failed to add concrete function")

_PARTS = ("model", "optimizer", "scheduler", "scaler")


class TensorFlowSaver:
    """``tf.train.Checkpoint(**given).write(prefix)`` and ``read``, or ``tf.saved_model.save`` and ``load``."""

    def __init__(
        self, given: Any, folder: Path, visit: Callable[[str], Failure | None], *, save: str, live: bool
    ) -> None:
        """``save``: ``tf`` or ``savedmodel``. ``live``: the objects are in use, and nothing is read into them. Raises
        :class:`UsageError` for a SavedModel of several objects."""
        import tensorflow as tf

        self._tf = tf
        self._saved_model = save == "savedmodel"
        self._live = live
        self._folder = folder
        self._visit = visit
        self._grown = False
        self._held: list[Any] = []
        self._errors: dict[Node, Failure] = {}
        self._parts: dict[str, Any] | None = None
        if isinstance(given, tf.train.CheckpointManager):
            given = given.checkpoint
        if self._saved_model:
            self.title = "tf.saved_model.save"
            if isinstance(given, (dict, list, tuple)):
                raise UsageError(
                    "a SavedModel is made of one object",
                    found=type(given).__name__,
                    expected="a tf.Module or a model",
                )
            self.root = Node("model", given, removable=False)
        elif isinstance(given, tf.train.Checkpoint):
            self.title = "tf.train.Checkpoint"
            self.root = Node("checkpoint", given, removable=False)
        else:
            self._parts = _named(given)
            self.title = f"tf.train.Checkpoint({', '.join(f'{name}=' for name in list(self._parts)[:6])})"
            self.root = Node("checkpoint", None, removable=False)
        self.nbytes: int | None = None
        self._tensors = 0
        if not live:  # what TensorFlow imports at its first save is none of these objects' time
            tf.train.Checkpoint(v=tf.Variable(0)).write(str(folder / "first"))

    # -- trying ----------------------------------------------------------------------------------------------------------
    def phases(self) -> Iterator[str]:
        """Saving, and reading back."""
        yield "save"
        yield "load"

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """See :class:`Saver`."""
        place = self._folder / "trial"
        place.mkdir(exist_ok=True)
        try:
            with _leaving_out(removed):
                try:
                    checkpoint = self._write(place, removed)
                except BaseException as error:
                    raise SavePhaseError("save") from error
                if not removed:
                    self.nbytes = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                if phase == "load":
                    self._read(place, checkpoint)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _write(self, place: Path, removed: frozenset[Node]) -> Any:
        tf = self._tf
        if self._saved_model:
            tf.saved_model.save(self.root.thing, str(place / "saved"))
            return None
        checkpoint = self.root.thing
        if self._parts is not None:
            gone = {node.path for node in removed if node.parent is self.root}
            checkpoint = tf.train.Checkpoint(
                **{k: v for k, v in self._parts.items() if f"checkpoint.{k}" not in gone}
            )
        checkpoint.write(str(place / "ckpt"))
        return checkpoint

    def _read(self, place: Path, checkpoint: Any) -> None:
        tf = self._tf
        if self._saved_model:
            tf.saved_model.load(str(place / "saved"))
            return
        reader = tf.train.load_checkpoint(str(place / "ckpt"))
        names = [
            name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
        ]
        self._tensors = len(names)
        kinds = reader.get_variable_to_dtype_map()
        for name in names:
            if kinds[name] not in (tf.variant, tf.resource):  # numpy has no such thing: an iterator's state
                reader.get_tensor(name)
        if not self._live:
            checkpoint.read(str(place / "ckpt")).assert_existing_objects_matched()

    def alone(self, node: Node) -> bool | None:
        """See :class:`Saver`."""
        if self._saved_model:
            return None
        if node in self._errors and self._errors[node].kind != "error":
            return True
        return self._fails_alone(node.thing) is not None

    def _dies(self, node: Node) -> bool:
        if type(node.thing).__module__.partition(".")[0] in ("tensorflow", "keras"):
            return False
        ended = self._visit(f"{node.path} (saved alone)")
        if ended is not None:
            self._errors[node] = ended
        return ended is not None

    def _fails_alone(self, thing: Any) -> Exception | None:
        place = self._folder / "alone"
        try:
            self._tf.train.Checkpoint(it=thing).write(str(place / "ckpt"))
        except Exception as error:  # noqa: BLE001 - this is the question
            return error
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return None

    # -- the tree --------------------------------------------------------------------------------------------------------
    def grow(self) -> None:
        """See :class:`Saver`."""
        if self._grown:
            return
        self._grown = True
        seen = {id(self.root.thing)} if self.root.thing is not None else set()
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            made = []
            for name, child in self._children(node):
                if id(child) in seen and not isinstance(child, (int, str, float, bool)):
                    continue
                seen.add(id(child))
                made.append(Node(_path(node, name, child), child, node, data=name))
            waiting.extend(reversed(made))
        if self._saved_model:  # what a function uses cannot be left out: then the function fails
            for node in self.root.walk():
                if isinstance(node.thing, self._tf.Variable) or hasattr(node.thing, "resource_handle"):
                    node.removable = False
                    for above in node.ancestors():
                        above.removable = False

    def _children(self, node: Node) -> list[tuple[str, Any]]:
        thing = node.thing
        if node is self.root and self._parts is not None:
            return list(self._parts.items())
        if not hasattr(type(thing), "_trackable_children"):
            return []
        kind = type(thing)
        if kind.__module__.partition(".")[0] not in ("tensorflow", "keras"):
            ended = self._visit(node.path)
            if ended is not None:
                self._errors[node] = ended
                return []
        try:
            found = dict(
                thing._trackable_children(
                    **({"save_type": "savedmodel", "cache": {}} if self._saved_model else {})
                )
            )
        except Exception as error:  # noqa: BLE001 - this is the question
            self._errors[node] = failure_of(error, "save")
            return []
        self._held.append(found)
        return list(found.items())

    def suspects(self, failure: Failure) -> list[Node]:
        """See :class:`Saver`."""
        self.grow()
        if self._saved_model and _UNTRACKED.search(failure.message):
            names = set(re.findall(r"__inference_(\w+?)_\d+", failure.message))
            return [
                n
                for n in self.root.walk()
                if n.removable
                and getattr(getattr(n.thing, "python_function", None), "__name__", None) in names
            ]
        found = [node for node in self.root.walk() if node in self._errors and node.removable]
        trackable = self._tf.__internal__.tracking.Trackable
        found += [
            node
            for node in self.root.children
            if self._parts is not None
            and not isinstance(node.thing, trackable)
            and not isinstance(node.thing, (dict, list, tuple))
            and not callable(node.thing)
        ]
        if not found and not self._saved_model and failure.phase == "save":
            leaves = [n for n in self.root.walk() if not n.children and n.removable]
            odd = [n for n in leaves if not _plain_variable(self._tf, n.thing)]
            found = [n for n in odd[:100] if self._dies(n) or self._fails_alone(n.thing) is not None]
        return list(dict.fromkeys(found))

    def gist(self, message: str) -> str:
        """See :class:`Saver`."""
        return "a function uses a resource that is not tracked" if _UNTRACKED.search(message) else message

    # -- telling ---------------------------------------------------------------------------------------------------------
    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> tuple[str, str, str, str] | None:
        """What a culprit is, why it fails, what to do, and the label of its cause."""
        return told(nodes[0], failure, self._tf)

    def read(self) -> Iterator[str]:
        """In which ways the whole was read back, in words."""
        yield (
            "tf.saved_model.load"
            if self._saved_model
            else f"tf.train.load_checkpoint ({plural(self._tensors, 'tensor')})"
        )

    def notes(self, saved: bool) -> Iterator[Note]:
        """What is worth knowing beside: values that are in no checkpoint."""
        if not saved:
            return
        self.grow()
        lost = []
        for node in self.root.walk():
            kinds = {c.__module__.partition(".")[0] for c in type(node.thing).__mro__}
            own = type(node.thing).__module__.partition(".")[0] not in (
                "tensorflow",
                "keras",
                "builtins",
                "wrapt",
            )
            if not own or "keras" in kinds or "tensorflow" not in kinds:
                continue
            for name, value in vars(node.thing).items():
                if (
                    not name.startswith("_")
                    and (isinstance(value, np.ndarray) or self._tf.is_tensor(value))
                    and not isinstance(value, self._tf.Variable)
                ):
                    lost.append(f"{node.path}.{name}")
        if lost:
            yield Note(
                f"{plural(len(lost), 'attribute')} with values {'is' if len(lost) == 1 else 'are'} "
                "in no checkpoint: tensors and arrays are not "
                "tracked, variables are.",
                "Where training changes it, make it a tf.Variable.",
                tuple(lost[:8]),
            )


def _plain_variable(tf: Any, thing: Any) -> bool:
    return (
        isinstance(thing, tf.Variable)
        and hasattr(thing.handle, "_numpy_internal")
        and thing.dtype.name not in ("resource", "variant")
    )


def _path(parent: Node, name: str, child: Any) -> str:
    kind = type(parent.thing).__name__
    if kind in ("ListWrapper", "List", "_TupleWrapper", "TrackedList", "list", "tuple") and name.isdigit():
        return f"{parent.path}[{name}]"
    if "Dict" in kind or kind == "dict":
        return f'{parent.path}["{name}"]'
    return f"{parent.path}.{name}"


def _named(given: Any) -> dict[str, Any]:
    if isinstance(given, dict) and all(isinstance(k, str) for k in given):
        return dict(given)
    if isinstance(given, (tuple, list)) and len(given) <= len(_PARTS):
        return dict(zip(_PARTS, given, strict=False))
    return {"model": given}


@contextmanager
def _leaving_out(removed: Iterable[Node]) -> Iterator[None]:
    """Within it objects do not tell of their removed children."""
    gone: dict[int, set[str]] = {}
    kinds: set[type] = set()
    for node in removed:
        if node.parent is not None and node.parent.thing is not None:
            gone.setdefault(id(node.parent.thing), set()).add(node.data)
            kinds.add(type(node.parent.thing))
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(_patched(kind, gone))
        yield


@contextmanager
def _patched(kind: Any, gone: dict[int, set[str]]) -> Iterator[None]:
    own = "_trackable_children" in vars(kind)
    before = kind._trackable_children

    def children(self: Any, *args: Any, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = before(self, *args, **more)
        hidden = gone.get(id(self))
        return {name: child for name, child in found.items() if name not in hidden} if hidden else found

    kind._trackable_children = children
    try:
        yield
    finally:
        if own:
            kind._trackable_children = before
        else:
            del kind._trackable_children
