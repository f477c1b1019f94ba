"""Keras: ``.keras`` archives, ``.weights.h5`` and legacy ``.h5``, saved and loaded again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import UsageError
from .failure import Failure, SavePhaseError
from .keras_leaving_out import leaving_out
from .keras_tree import grow, layer_of
from .keras_why import told
from .node import Node
from .report import Note

__all__ = ["KerasSaver"]

_ENDINGS = {"keras": ".keras", "keras-weights": ".weights.h5", "keras-h5": ".h5"}


class KerasSaver:
    """``model.save(path)`` and ``keras.models.load_model(path)``, or ``save_weights`` and ``load_weights``."""

    def __init__(
        self, given: Any, folder: Path, visit: Callable[[str], Failure | None], *, save: str, live: bool
    ) -> None:
        """``save``: ``keras``, ``keras-weights`` or ``keras-h5``. ``live``: the model is in use. Raises :class:`UsageError` where
        ``given`` has no Keras model, or several."""
        import keras

        if int(keras.__version__.partition(".")[0]) < 3:
            raise UsageError("this needs Keras 3", found=keras.__version__)
        self._keras = keras
        self._ending = _ENDINGS[save]
        self._weights = save == "keras-weights"
        self.title = f'model.{"save_weights" if self._weights else "save"}("x{self._ending}")'
        self.root = Node("model", _model(given), removable=False)
        self._folder = folder
        self._visit = visit
        self._grown = False
        self._live = live
        if not live:  # what Keras imports at its first save is none of the model's time
            keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(folder / "first.keras")
        self._left_out: set[int] = set()
        self._differing: list[int] = []
        self._changed: dict[int, Node] = {}
        self.nbytes: int | None = None

    # -- trying ----------------------------------------------------------------------------------------------------------
    def phases(self) -> Iterator[str]:
        """Saving, and reading back with the values compared."""
        yield "save"
        yield "load"

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """See :class:`Saver`."""
        place = self._folder / "trial"
        place.mkdir(exist_ok=True)
        path = place / f"model{self._ending}"
        try:
            with leaving_out(self.root, removed, reading=phase == "load") as custom:
                keep_optimizer = custom.pop("")
                try:
                    self._save(path, keep_optimizer)
                except BaseException as error:
                    raise SavePhaseError("save") from error
                if not removed:
                    self.nbytes = path.stat().st_size
                if phase == "load":
                    self._left_out = {id(one.thing) for node in removed for one in node.walk()}
                    self._read_back(path, custom)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _save(self, path: Path, keep_optimizer: bool) -> None:
        model = self.root.thing
        if self._weights:
            model.save_weights(path)
        elif self._ending == ".h5":
            model.save(path, include_optimizer=keep_optimizer)
        else:
            model.save(path)

    def _read_back(self, path: Path, custom: dict[str, Any]) -> None:
        model = self.root.thing
        if self._weights:
            if self._live:
                model.load_weights(path)
            else:
                self._into_zeros(model, path)
            return
        loaded = self._keras.models.load_model(path, custom_objects=custom or None)
        self._compare(model, loaded)
        self._compare_configs(loaded)

    def _into_zeros(self, model: Any, path: Path) -> None:
        """Load over zeros, and compare."""
        saved = [np.array(self._keras.ops.convert_to_numpy(v.value)) for v in model.weights]
        try:
            for variable, value in zip(model.weights, saved, strict=True):
                variable.assign(np.zeros_like(value))
            model.load_weights(path)
            found = [np.asarray(self._keras.ops.convert_to_numpy(v.value)) for v in model.weights]
        finally:
            for variable, value in zip(model.weights, saved, strict=True):
                variable.assign(value)
        pairs = zip(model.weights, saved, found, strict=True)
        self._differing = [
            id(v) for v, a, b in pairs if a.tobytes() != b.tobytes() and id(v) not in self._left_out
        ]
        if self._differing:
            name = next(v.path for v in model.weights if id(v) == self._differing[0])
            raise SavePhaseError("values") from ValueError(f"{name} comes back with other values")

    def _compare(self, model: Any, loaded: Any) -> None:
        """The loaded model has the same values."""
        here, there = model.weights, loaded.weights
        self._differing, self._changed = [], {}
        if len(here) != len(there):
            if not there and not loaded.built:
                return  # built at its first call: told in a note
            raise SavePhaseError("values") from ValueError(
                f"{len(here)} variables were saved, and the model that was loaded has {len(there)}"
            )
        for mine, its in zip(here, there, strict=True):
            if mine is not its and not _equal(self._keras, mine, its):
                self._differing.append(id(mine))
        if self._differing:
            names = [v.path for v in here if id(v) in self._differing]
            raise SavePhaseError("values") from ValueError(
                f"{names[0]} comes back with other values or another shape"
            )

    def _compare_configs(self, loaded: Any) -> None:
        """What an argument of a layer was, it is again, and not the dict that it was written as."""
        self.grow()
        there = Node(self.root.path, loaded)
        grow(there, lambda path: None, weights_only=False)
        layers_there = {node.path: node.thing for node in there.walk() if layer_of(node) is node}
        self._changed = {}
        for node in self.root.walk():
            if node.data is None or node.data.kind != "entry" or node.parent is None:
                continue
            its_layer = layers_there.get(node.parent.path)
            if its_layer is None or its_layer is node.data.owner:
                continue
            its = its_layer.get_config().get(node.data.key)
            as_written = isinstance(its, dict) and "class_name" in its and not isinstance(node.thing, dict)
            if as_written or (isinstance(its, str) and callable(node.thing)):
                self._changed[id(node.data.owner)] = node
        if self._changed:
            paths = [node.path for node in self._changed.values()]
            raise SavePhaseError("values") from ValueError(
                f"{paths[0]} comes back as what stands in the file for it"
            )

    def alone(self, node: Node) -> bool | None:
        """See :class:`Saver`."""
        kind = node.data.kind if node.data is not None else "model"
        if kind in ("variable", "model", "compile"):
            return None
        if self._weights or (kind == "layer" and self._fails_weights(node.thing) is not None):
            return self._fails_weights(node.thing) is not None if kind == "layer" else None
        return self._fails_config(node.thing, reading=True) is not None

    # -- the tree --------------------------------------------------------------------------------------------------------
    def grow(self) -> None:
        """See :class:`Saver`."""
        if not self._grown:
            grow(self.root, self._visit, weights_only=self._weights, legacy=self._ending == ".h5")
            self._grown = True

    def suspects(self, failure: Failure) -> list[Node]:
        """See :class:`Saver`."""
        self.grow()
        reading = failure.phase != "save"
        nodes = [node for node in self.root.walk() if node.data is not None]
        for node in nodes:
            if node.data.kind in ("entry", "variable"):
                node.removable = not reading
        if failure.phase == "values":
            return [
                n
                for n in nodes
                if n.data.kind == "layer"
                and (
                    id(n.thing) in self._changed
                    or any(c.data.kind == "variable" and id(c.thing) in self._differing for c in n.children)
                )
            ]
        wrong: set[Node] = set()
        for node in reversed(nodes):  # the smallest first
            if any(below in wrong for below in node.walk() if below is not node):
                continue
            kind = node.data.kind
            if (kind == "layer" and self._layer_fails(node, reading)) or (
                kind in ("entry", "argument")
                and node.removable
                and self._fails_config(node.thing, reading=reading) is not None
            ):
                wrong.add(node)
        return [node for node in nodes if node in wrong]

    def _layer_fails(self, node: Node, reading: bool) -> bool:
        if not type(node.thing).__module__.startswith("keras."):
            ended = self._visit(f"{node.path} ({'read back' if reading else 'saved'} alone)")
            if ended is not None:
                node.data.error = ended
                return True
        if node.data.error is not None and not self._weights:
            return True
        if not reading and self._fails_weights(node.thing) is not None:
            return True
        return not self._weights and self._fails_config(node.thing, reading=reading) is not None

    def _fails_weights(self, layer: Any) -> Exception | None:
        try:
            layer.save_own_variables({})
        except Exception as error:  # noqa: BLE001 - this is the question
            return error
        return None

    def _fails_config(
        self, thing: Any, *, reading: bool, custom: dict[str, Any] | None = None
    ) -> Exception | None:
        saving = self._keras.saving
        try:
            text = json.dumps(saving.serialize_keras_object(thing))
            if reading:
                saving.deserialize_keras_object(json.loads(text), custom_objects=custom)
        except Exception as error:  # noqa: BLE001 - this is the question
            return error
        return None

    def gist(self, message: str) -> str:
        """The innermost of the messages that Keras nests, without the configs that it adds."""
        inner = message.rpartition("Exception encountered: ")[2]
        inner = re.split(r"\s*(?:Full object config|using config=|\n\nconfig=|Received: config=)", inner)[0]
        return inner.strip()[:600] or message[:600]

    # -- telling ---------------------------------------------------------------------------------------------------------
    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> tuple[str, str, str, str] | None:
        """What a culprit is, why it fails, what to do, and the label of its cause."""
        found = told(nodes, failure, self._ending)
        node = nodes[0]
        if found is None or "registered" not in found[1] or node.data is None or node.data.kind != "layer":
            return found
        kind = type(node.thing)
        custom = {kind.__name__: kind}
        further = self._fails_config(node.thing, reading=True, custom=custom)
        if further is None:
            return found
        more = told(
            nodes,
            Failure("error", "load", type(further).__name__, str(further), "", self.gist(str(further))),
            self._ending,
        )
        if more is None or "registered" in more[1]:
            return found
        return found[0], f"{found[1]}; once it is, {more[1]}", f"{found[2]} Then: {more[2]}", found[3]

    def read(self) -> Iterator[str]:
        """In which ways the whole was read back, in words."""
        yield "model.load_weights" if self._weights else "keras.models.load_model, all values compared"

    def notes(self, saved: bool) -> Iterator[Note]:
        """What is worth knowing beside."""
        model = self.root.thing
        self.grow()
        unbuilt = [
            n.path for n in self.root.walk() if layer_of(n) is n and not getattr(n.thing, "built", True)
        ]
        if unbuilt:
            yield Note(
                f"{'The model is' if unbuilt[0] == self.root.path else 'Layers are'} not "
                "built: there are no variables yet, and none "
                "are in the file.",
                "Call the model on a batch, or model.build(shape), before it is saved.",
                tuple(unbuilt[:8]),
            )
        if not saved and not self._weights and getattr(model, "built", True):
            path = self._folder / "note.weights.h5"
            try:
                model.save_weights(path)
            except Exception:  # noqa: BLE001 - a note less
                return
            finally:
                path.unlink(missing_ok=True)
            yield Note(
                '`model.save_weights("x.weights.h5")` passes: tried.',
                "Save the weights alone, and build the model in code before loading.",
            )
        if saved and not self._weights:
            own = dict.fromkeys(
                f"{type(n.thing).__module__}.{type(n.thing).__qualname__}"
                for n in self.root.walk()
                if layer_of(n) is n and type(n.thing).__module__.partition(".")[0] != "keras"
            )
            if own:
                yield Note(
                    f"It has classes of your code: {', '.join(list(own)[:5])}. They were "
                    "known here, as your module was imported.",
                    "Whoever loads it imports that module first.",
                )


def _equal(keras: Any, a: Any, b: Any) -> bool:
    if tuple(a.shape) != tuple(b.shape):
        return False
    mine, its = (
        np.asarray(keras.ops.convert_to_numpy(a.value)),
        np.asarray(keras.ops.convert_to_numpy(b.value)),
    )
    return mine.dtype == its.dtype and mine.tobytes() == its.tobytes()


def _model(given: Any) -> Any:
    """The Keras model in what a factory gave."""
    things = (
        list(given.values())
        if isinstance(given, dict)
        else list(given)
        if isinstance(given, (tuple, list))
        else [given]
    )
    found = [
        t
        for t in things
        if {"Model", "Trainer"} & {c.__name__ for c in type(t).__mro__ if c.__module__.startswith("keras.")}
    ]
    if len(found) != 1:
        raise UsageError(
            "the factory gives no Keras model" if not found else "the factory gives several Keras models",
            expected="one keras.Model",
            found=", ".join(type(t).__name__ for t in things)[:200],
            remedy="For a tf.train.Checkpoint of several objects: --save tf",
        )
    return found[0]
