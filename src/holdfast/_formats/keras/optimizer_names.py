"""What an optimizer's variables are called, in the generation of Keras that wrote the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["OptimizerNames", "backend_of"]


class OptimizerNames:
    """How an optimizer's variables are called.

    Keras 3: ``<optimizer>/<weight with _ for />_<slot>`` (``base_optimizer.py``,
    ``add_variable_from_reference``);
    Keras 2.11-2.15: ``<Class>/<slot>/<weight>`` (``keras/optimizers/optimizer.py``).
    """

    def __init__(
        self,
        generation: int | None,
        label: str | None,
        class_name: str | None,
        wrapper: str | None,
        backend: str | None,
    ) -> None:
        self.generation, self.label, self.wrapper, self.backend = generation, label, wrapper, backend
        default = (class_name or "optimizer") if generation == 2 else (class_name or "optimizer").lower()
        self.optimizer = label or default

    def names(self, slot: str | None, owner: str | None, key: str) -> tuple[str, ...]:
        """The name and the aliases of one variable; its key where the slot is not known."""
        if slot is None:
            return (key,)
        if self.generation == 2:
            return self._two(slot, owner)
        if slot == "u_product":
            return ("optimizer/variable", f"optimizer/{self.optimizer}/u_product")
        top = (
            self.wrapper
            if self.wrapper and not slot.startswith("inner/") and owner is None
            else self.optimizer
        )
        if owner is None:
            return (f"optimizer/{top}/{slot.removeprefix('inner/')}",)
        flat = f"{owner.removesuffix(':0').replace('/', '_')}_{slot}"
        plain = f"optimizer/{self.optimizer}/{flat}"
        if self.wrapper is None:
            return (plain,)
        # On TensorFlow the inner optimizer is built inside the wrapper's name scope.
        scoped = f"optimizer/{self.wrapper}/{self.optimizer}/{flat}"
        return (scoped, plain) if self.backend == "tensorflow" else (plain, scoped)

    def _two(self, slot: str, owner: str | None) -> tuple[str, ...]:
        if owner is None:
            plain = slot.removeprefix("inner/")
            return (f"optimizer/{plain}:0", f"optimizer/{plain}")
        word = slot if slot != "gradient_accumulator" else "gradient_accumulator"
        name = f"optimizer/{self.optimizer}/{word}/{owner.removesuffix(':0')}"
        return (name + ":0", name)


def backend_of(module: Any, compiled: Any) -> str | None:
    """The backend as far as ``compile_config`` shows it: by the optimizer's module, or because XLA was on by
    default.
    """
    if isinstance(module, str) and ".backend." in module:
        return module.split(".backend.")[1].split(".")[0]
    if isinstance(compiled, Mapping) and compiled.get("jit_compile") is True:
        return "jax"
    return "tensorflow"
