"""Frozen objects made fast: a checkpoint has tens of thousands of tensors, and several objects stand for each.

A frozen dataclass assigns its fields through ``object.__setattr__``, which takes ten times as long as a plain
assignment. A draft is a class of the same slots that is not frozen; once all its slots are assigned, the object's
class is set to the frozen one. CPython allows that for classes of one layout (Objects/typeobject.c,
``compatible_for_assignment``).
"""

from __future__ import annotations

from typing import Any

__all__ = ["draft_of"]


def draft_of(frozen: type) -> Any:
    """A class of the same slots as ``frozen`` (a dataclass with ``slots=True`` and no base of its own): make one,
    assign every slot, then set its ``__class__`` to ``frozen``."""
    slots: tuple[str, ...] = frozen.__slots__  # type: ignore[attr-defined]
    return type(f"_{frozen.__name__}Draft", (), {"__slots__": slots, "__module__": frozen.__module__})
