"""The first step of each Keras optimizer after something was loaded, as an event.

``apply_gradients``, ``fit`` and ``train_on_batch`` all come to ``Optimizer.apply`` (keras/src/optimizers/base_optimizer.py), in a
``tf.function`` while it is traced: before its first run, with all variables made. There ``tf.init_scope`` leads out of the
graph, and values can be read as they are. Under JAX's ``stateless_apply`` there are no values to read.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

from ..call_options import StepOptions
from ..events import Call, Watcher, calling_line, watched
from ..patches import Patches

__all__ = ["FirstSteps", "first_steps"]


class FirstSteps:
    """Tells the watcher of the first step of each optimizer after :meth:`expect`; later ones cost a look into a set."""

    def __init__(self, watcher: Watcher, patches: Patches) -> None:
        self.watcher, self.patches = watcher, patches
        self._expected = False
        self._told: set[int] = set()
        self._wrapped: set[tuple[type, str]] = set()
        self._models: list[weakref.ref[Any]] = []
        self._optimizers: list[weakref.ref[Any]] = []

    def expect(self) -> None:
        """Something was loaded: the next step of every optimizer is told."""
        self._expected = True
        self._told.clear()
        self.ready()

    def put_off(self, models: Iterable[Any], optimizers: Iterable[Any]) -> None:
        """These may have no variables yet: what makes them, a model's next call and an optimizer's ``build``, is told too."""
        keras = sys.modules["keras"]
        self._models += [weakref.ref(m) for m in models if isinstance(m, keras.layers.Layer) and not m.built]
        for optimizer in optimizers:
            if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built:
                self._optimizers.append(weakref.ref(optimizer))
                self._wrap_once(type(optimizer), "build", self._built)
        if self._models:
            self._wrap_once(keras.layers.Layer, "__call__", self._called)

    def _wrap_once(self, kind: type, name: str, around: Callable[..., Any]) -> None:
        if (kind, name) not in self._wrapped:
            self._wrapped.add((kind, name))
            self.patches.wrap(kind, name, around)

    def _called(self, inner: Callable[..., Any], model: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(model, *args, **kwargs)
        if self._models:
            self._made(self._models, model, {"model": model}, "__call__", "after the model's first call")
        return result

    def _built(self, inner: Callable[..., Any], optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(optimizer, *args, **kwargs)
        self._made(
            self._optimizers, optimizer, {"optimizer": optimizer}, "build", "when the optimizer was built"
        )
        return result

    def _made(
        self, waiting: list[weakref.ref[Any]], thing: Any, parts: dict[str, Any], method: str, when: str
    ) -> None:
        """Tell the watcher that ``thing`` has its variables now, and no step has moved them."""
        if not any(known() is thing for known in waiting):
            return
        reading = _reading()
        if reading is None:
            return
        waiting[:] = [known for known in waiting if known() not in (None, thing)]
        call = Call(
            "keras", f"{type(thing).__name__}.{method}", "step", parts=parts, site=calling_line(),
            step=StepOptions(reading=reading, when=when, made=True),
        )  # fmt: skip
        self.watcher.around(call, lambda _: None)  # in a step, too, which builds the optimizer

    def ready(self) -> None:
        """Watch Keras's optimizers, where it is imported and something was loaded."""
        base = getattr(getattr(sys.modules.get("keras"), "optimizers", None), "Optimizer", None)
        if not self._expected or base is None:
            return
        waiting = [next(kind for kind in reversed(base.__mro__) if "apply" in vars(kind))]
        while waiting:  # a class of one's own may have its own apply
            kind = waiting.pop()
            waiting += type.__subclasses__(kind)
            if "apply" in vars(kind):
                self._wrap_once(kind, "apply", self._apply)

    def _apply(self, inner: Callable[..., Any], optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if id(optimizer) in self._told:
            return inner(optimizer, *args, **kwargs)
        self._told.add(id(optimizer))
        call = Call(
            "keras", f"{type(optimizer).__name__}.apply", "step", parts={"optimizer": optimizer},
            step=StepOptions(reading=_reading()),
        )  # fmt: skip
        return watched(self.watcher, call, lambda _: inner(optimizer, *args, **kwargs))


_OF: WeakKeyDictionary[Patches, FirstSteps] = WeakKeyDictionary()


def first_steps(watcher: Watcher, patches: Patches) -> FirstSteps:
    """The one of these patches: Keras's loads and TensorFlow's restores expect the same steps."""
    return _OF.setdefault(patches, FirstSteps(watcher, patches))


def _reading() -> Callable[[], AbstractContextManager[Any]] | None:
    """What to read live values in, here; ``None`` where there are none to be read."""
    scope = sys.modules.get("keras.src.backend.common.stateless_scope")
    if scope is not None and scope.in_stateless_scope():
        return None
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return nullcontext
    if tf.distribute.in_cross_replica_context() or tf.distribute.has_strategy():
        return None  # in a replica's thread: its variables are not to be read from here
    outside: Callable[[], AbstractContextManager[Any]] = tf.init_scope  # of the graph, and of gradient tapes
    return outside
