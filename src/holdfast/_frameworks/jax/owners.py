"""Where in an optax state a leaf is: the field of the innermost state tuple above it."""

from __future__ import annotations

from ..._facts.optax_trees import Place
from .trees import Key

__all__ = ["place_of"]


def place_of(inner: tuple[Key, ...]) -> Place:
    """Cut a path inside an optimizer's state at the field of its innermost state tuple.

    State that a user keeps in plain dicts (``{"m": params-like, "step": ...}``) is cut behind its first key.
    """
    words = tuple(key.text for key in inner)
    for index in range(len(inner) - 1, -1, -1):
        node = inner[index].node
        if hasattr(node, "_fields") and (
            node.__module__.startswith("optax") or node.__name__.endswith("State")
        ):
            return Place(words[:index], node.__name__, words[index], words[index + 1 :])
    return Place((), "", words[0] if words else "", words[1:])
