"""A live model with its optimizers as a catalog: what is there, how to read it, how to set it.

Describing changes nothing: no build, no step, no random number drawn, no gradient made. Each framework's
package makes :class:`Variable` and :class:`Setting` objects; everything else (comparing, judging, restoring) is
done on the catalog alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.catalog import Catalog
from .._core.errors import NotStored
from .._core.fault import Fault
from .._core.modules import ModuleSpec
from .._core.spec import OptimizerSpec, Role, TensorSpec

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Held", "LiveCatalog", "Setting", "Variable"]


def _no_memory() -> None:
    return None


@dataclass(slots=True)
class Variable:
    """One live tensor.

    Attributes
    ----------
    spec: name, shape, dtype, role, owner ... as the framework's own save would call it.
    read: gives the values as a numpy array, zero-copy and read-only where that is safe; ``None`` where
        there is no value yet (``spec.attributes["virtual"]``: a slot that the first step, or a restore, makes).
    write: sets all values from a C-contiguous array of exactly the spec's shape and dtype; makes the
        variable where it is virtual. It must not keep the array. ``None``: cannot be set.
    memory: gives the live memory itself as a writable, C-contiguous numpy view of the spec's shape and dtype, or
        ``None`` where writing there is unsafe (another holder may share it, another device, other strides).
    fresh: gives new memory of the framework's own with unspecified contents, as a writable, C-contiguous view of the
        spec's shape and dtype, and a function that makes it the variable's value without a copy (to be called once, or
        never; the view must be let go of afterwards). ``None``: the framework takes copies only.
    initial: gives the values that optimizer state begins with, for one that starts anew after its weight is restored;
        ``None``: filled with ``spec.attributes["initial"]``, else zeros.
    clear: unmakes a variable that the framework makes lazily (a slot of a weight that has none in the
        checkpoint); ``None`` where it always exists.
    """

    spec: TensorSpec
    read: Callable[[], np.ndarray] | None
    write: Callable[[np.ndarray], None] | None
    memory: Callable[[], np.ndarray | None] = _no_memory
    clear: Callable[[], None] | None = None
    fresh: Callable[[], tuple[np.ndarray, Callable[[], None]] | None] = _no_memory
    initial: Callable[[], np.ndarray] | None = None

    @property
    def virtual(self) -> bool:
        """Whether there is no value yet."""
        return bool(self.spec.attributes.get("virtual"))


class Held(Variable):
    """One that knows the framework's own variable, ``held``."""

    __slots__ = ("held",)

    def __init__(self, *given: Any, held: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.held = held


@dataclass(slots=True)
class Setting:
    """One live value that is no tensor: a learning rate in a parameter group, a field of a scheduler.

    Attributes
    ----------
    name: path in the catalog's own words (``"optimizer/param_groups/0/lr"``, ``"scheduler/last_epoch"``).
    aliases: other paths by which checkpoints name it (``"lr_scheduler/last_epoch"``).
    role: ``hyperparameter``, ``counter``, ``rng``, ``data-position``, ``metric`` or ``other``.
    read, write: get and set; ``write`` takes what a file holds (numbers, lists, texts).
    part: which of the objects passed it belongs to: ``"optimizer"``, ``"scheduler"``, ``"scaler"``.
    optimizer, group, key: for hyperparameters: the :class:`OptimizerSpec`'s name, the group's index, the
        word (``"lr"``).
    scheduled: whether a scheduler that was passed along owns the value.
    configured: whether it is what the object was constructed with (``T_max`` of a scheduler) and no state: the code
        that says otherwise than the checkpoint means it.
    made_from: the setting that its value was computed from when the object was constructed, and goes with.
    """

    name: str
    role: Role
    read: Callable[[], Any]
    write: Callable[[Any], None]
    part: str = "optimizer"
    aliases: tuple[str, ...] = ()
    optimizer: str | None = None
    group: int | None = None
    key: str = ""
    scheduled: bool = False
    configured: bool = False
    made_from: str | None = None


class LiveCatalog(Catalog):
    """A live model, optimizer and what was passed with them, as a catalog of format ``live``.

    Attributes
    ----------
    framework: ``torch``, ``keras``, ``tensorflow``, ``jax`` or ``numpy``.
    parts: the words of what was passed (``("model", "optimizer")``); the scope of a restore.
    variables: name -> :class:`Variable`. settings: name -> :class:`Setting`.
    ending: names of schedules that make ``total_steps`` steps and refuse a further one.
    modules: tuple of :class:`ModuleSpec`. unbuilt: paths of modules that have no variables yet.
    faults: what was noticed while describing (two tensors of one name, a duplicate kernel ...); slugs of rules.
    """

    format = "live"

    def __init__(
        self,
        variables: Iterable[Variable],
        *,
        framework: str,
        parts: Iterable[str] = ("model",),
        settings: Iterable[Setting] = (),
        modules: Iterable[ModuleSpec] | Callable[[], Iterable[ModuleSpec]] = (),
        unbuilt: Iterable[str] = (),
        attributes: Mapping[str, Any] | None = None,
        optimizers: Iterable[OptimizerSpec] = (),
        faults: Iterable[Fault] = (),
        readiness: Callable[[Any], list[Fault]] | None = None,
        result: Callable[[], Mapping[str, Any]] | None = None,
        finish: Callable[[], None] | None = None,
        foresee: Callable[[Mapping[str, Sequence[str]]], LiveCatalog] | None = None,
        compiled: Callable[[], LiveCatalog] | None = None,
        split: Callable[[], Mapping[str, int]] | None = None,
        ending: Iterable[str] = (),
        lookups: Callable[[], Mapping[str, ModuleSpec]] = dict,
    ) -> None:
        """``modules`` may be a function that makes them when they are asked for; ``readiness(gradients)`` gives what
        stands against the next step; ``result()`` the objects after a restore, by part (for frameworks whose values
        are immutable, new ones); ``finish()`` runs once after all writes (to put back what they made stale);
        ``foresee``: see :meth:`foreseeing`; ``compiled``: see :meth:`compiled`; ``split``: see :meth:`split`.
        """
        kept = list(variables)
        super().__init__((v.spec for v in kept), attributes=attributes, optimizers=optimizers, faults=faults)
        # the base class renames a tensor whose name is taken: names are read back from it, in order
        self.variables: dict[str, Variable] = dict(zip(self, kept, strict=True))
        self.framework = framework
        asked = () if not self.optimizers else ("optimizer",)  # whatever the word that it was passed under
        self.parts = tuple(dict.fromkeys((*parts, *asked)))
        self.settings: dict[str, Setting] = {s.name: s for s in settings}
        self._modules = modules
        self.unbuilt = tuple(unbuilt)
        self._readiness = readiness
        self._result = result
        self._finish = finish
        self._foresee = foresee
        self._compiled = compiled
        self._split = split
        self._lookups = lookups
        self.ending = tuple(ending)

    @property
    def modules(self) -> tuple[ModuleSpec, ...]:  # type: ignore[override]
        """Described when first asked for: digesting the code of ten thousand modules takes its time."""
        if not isinstance(self._modules, tuple):
            self._modules = tuple(self._modules() if callable(self._modules) else self._modules)
        return self._modules

    @property
    def lookups(self) -> Mapping[str, ModuleSpec]:  # type: ignore[override]
        """Read when asked for, each time: a vocabulary may have hundreds of thousands of terms."""
        return self._lookups()

    def read(self, name: str) -> np.ndarray:
        spec = self[name]
        read = self.variables[spec.name].read
        if read is None:
            raise NotStored(
                "the framework makes this tensor with the first step; it has no value yet", tensor=spec.name
            )
        return read()

    def compiled(self) -> LiveCatalog | None:
        """The same objects with the optimizer that the model itself was compiled with, where it was and none was passed:
        what its next step is made with, and no part of what is restored."""
        return self._compiled() if self._compiled is not None else None

    def split(self) -> Mapping[str, int]:
        """Names of tensors of which this process holds a part only -> over how many ranks they are split. One process can
        neither read nor set these."""
        return self._split() if self._split is not None else {}

    def readiness(self, gradients: Any = None) -> list[Fault]:
        """What stands against the next step, as faults with the slugs of the readiness rules."""
        return self._readiness(gradients) if self._readiness is not None else []

    def result(self) -> Mapping[str, Any]:
        """The restored objects by part; empty where they were changed in place."""
        return self._result() if self._result is not None else {}

    def finish(self) -> None:
        """What the framework needs once all values are set."""
        if self._finish is not None:
            self._finish()

    def foreseeing(self, weights: Mapping[str, Sequence[str]]) -> LiveCatalog:
        """The same objects, with the state that optimizers which have made none yet will make.

        ``weights``: names of optimizers -> live names of the weights that each is for, where the objects themselves
        do not tell (several optimizers that are not built). This catalog where its framework cannot say."""
        return self if self._foresee is None else self._foresee(weights)
