"""What is wrong with a part of a TensorFlow checkpoint or SavedModel."""

from __future__ import annotations

import re
from typing import Any

from .failure import Failure, passes_through
from .node import Node
from .pickle_why import Told, a, place_of

__all__ = ["told"]

_HOOKS = (
    "_serialize_to_tensors",
    "_gather_saveables_for_checkpoint",
    "serialize",
    "_trackable_children",
    "_checkpoint_dependencies",
)


def told(node: Node, failure: Failure, tf: Any) -> Told | None:
    """What it is, why, what to do, and the cause's label; ``None`` where nothing special is known of it."""
    thing, text = node.thing, failure.message
    kind = type(thing)
    if "expecting" in text and "to be a trackable object" in text:
        return _untrackable(thing, tf, node)
    if "Unable to save the object" in text:
        return _container(text)
    if "is out of scope" in text or "is not an element of this graph" in text:
        return (
            f"a variable of a graph ({getattr(thing, 'name', '')})",
            "it was made inside a `tf.Graph` or while a function was traced, and has no value outside of it",
            "Make it outside (in `__init__`, or behind `if self.v is None` before the first "
            "call), and keep it as an attribute.",
            "graph-lifecycle",
        )
    if "is stateful" in text and ("PyFunc" in text or "SerializeIterator" in text):
        return (
            "an iterator of a dataset that calls Python (from_generator, py_function, numpy_function)",
            "its state is in Python, where TensorFlow cannot write it down",
            "Save how many batches were drawn and skip them after loading "
            "(`dataset.skip(n)`), or make the dataset without Python.",
            "unserialisable",
        )
    if "references an 'untracked' resource" in text or "Failed to add concrete function" in text:
        found = re.search(r"Trackable referencing this tensor = (<?[^\n]{0,120})", text)
        what = f": {found[1].strip()}" if found and "None" not in found[1][:8] else ""
        return (
            f"the function {node.path.rpartition('.')[2]}",
            f"it uses a variable or table that no attribute holds{what}",
            "Assign that object to an attribute of the object that is saved (`self.table = table`).",
            "unserialisable",
        )
    for hook in _HOOKS:
        method = getattr(kind, hook, None)
        if passes_through(failure.trace, method, hook) and not getattr(method, "__module__", "").startswith(
            "tensorflow."
        ):
            verb = {"hang": "does not come back", "crash": "ends the process"}.get(
                failure.kind, f"raises {failure.type}"
            )
            return (
                f"{a(kind.__qualname__)} whose `{hook}` ({place_of(method)}) {verb}",
                "saving calls that method"
                + (f": {text.splitlines()[0]}" if text and failure.kind == "error" else ""),
                f"Mend `{kind.__qualname__}.{hook}`.",
                "unserialisable",
            )
    return None


def _untrackable(thing: Any, tf: Any, node: Node) -> Told:
    name = node.path.rpartition(".")[2]
    kind = type(thing)
    shown = (
        f"{kind.__name__} {thing!r}"
        if isinstance(thing, (int, float, str, bool)) or thing is None
        else f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    )
    if isinstance(thing, (bool, int, float)) or tf.is_tensor(thing) or kind.__module__ == "numpy":
        remedy = (
            f"`{name}=tf.Variable({thing!r})`, and assign to it: only variables are saved."
            if isinstance(thing, (int, float))
            else (f"`{name}=tf.Variable(...)`, and assign to it: only variables are saved.")
        )
    elif isinstance(thing, str):
        remedy = f"`{name}=tf.Variable({thing!r})`, or write it beside the checkpoint as JSON."
    else:
        remedy = (
            "Leave it out; or give its class `tf.train.experimental.PythonState` as a base, with `serialize` "
            "and `deserialize`."
        )
    return (
        a(shown),
        "tf.train.Checkpoint saves what TensorFlow tracks: variables, modules, optimizers, tables, iterators",
        remedy,
        "unserialisable",
    )


def _container(text: str) -> Told:
    a_list = "list wrapper" in text
    what = "list" if a_list else "dict"
    if "non-string key" in text:
        return (
            "a dict with keys that are no texts",
            "each entry is saved under its key, which must be a text",
            "Use texts as keys (`str(key)`).",
            "unserialisable",
        )
    if "outside the wrapper" in text:
        why = (
            f"assigning a {what} to an attribute wraps it; the {what} itself was changed afterwards, which the "
            "wrapper did not see"
        )
        remedy = f"Change it through the attribute (`self.x.append(...)`), or fill the {what} before it is assigned."
    else:
        why = "its elements are saved by their place, and one was replaced, moved or deleted after it was assigned"
        remedy = (
            "Make the list whole and assign it anew: `self.x = [new, *self.x[1:]]`; appending is allowed."
        )
    return f"a {what} that was changed after it was assigned", why, remedy, "unserialisable"
