"""``tf.compat.v1.train.Saver``'s calls as events: graphs and sessions. Only the file is looked at, and what the ``Saver`` itself
leaves undone.

Facts: tensorflow/python/training/saver.py (``last_checkpoints`` begins empty; ``max_to_keep`` deletes what is in it alone, and
``keep_checkpoint_every_n_hours`` takes some out of it; each ``Saver`` adds its operations to the default graph;
``_var_list`` is the dict or list that it was given, ``None`` where it came with a meta graph), moving_averages.py
(``variables_to_restore`` maps the trainable variables to ``NAME/ExponentialMovingAverage`` unless told otherwise).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from ..call_options import Told
from ..events import Call, Watcher, noticed, watched
from ..patches import Patches
from .wrapping import path_of

__all__ = ["watch_savers"]

_SAVE, _RESTORE = "tf.compat.v1.train.Saver.save", "tf.compat.v1.train.Saver.restore"
_MANY = 4
"""Savers of the same variables in one graph, from which on they are a habit."""
_EVER = 10_000
"""``keep_checkpoint_every_n_hours`` where nobody has set it."""


def watch_savers(tf: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand the calls to ``watcher``, and tell it of what they leave undone."""
    saver = tf.compat.v1.train.Saver
    known: WeakSet[Any] = WeakSet()
    graphs: WeakKeyDictionary[Any, dict[Any, dict[str, int]]] = WeakKeyDictionary()

    def tell(api: str, kind: Any, path: str, look: Callable[[], Told | None]) -> None:
        noticed(watcher, Call("tensorflow", api, kind, path), look)

    def save(
        inner: Any, self: Any, sess: Any, save_path: Any, global_step: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        path = path_of(save_path)
        if path is not None and global_step is not None:
            path = f"{path}-{global_step}" if isinstance(global_step, int) else None
        call = Call("tensorflow", _SAVE, "save", path)
        first = self not in known
        known.add(self)
        earlier = set() if not first else {*self.last_checkpoints}
        result = watched(watcher, call, lambda _: inner(self, sess, save_path, global_step, *args, **kwargs))
        if first and isinstance(result, str):
            tell(_SAVE, "save", result, lambda: _left_by_others(self, result, earlier))
        return result

    def restore(inner: Any, self: Any, sess: Any, save_path: Any) -> Any:
        path = path_of(save_path)
        call = Call("tensorflow", _RESTORE, "read", path)
        result = watched(watcher, call, lambda _: inner(self, sess, save_path))
        if path is not None:
            tell(_RESTORE, "read", path, lambda: _mixed(tf, self, path))
            tell(_RESTORE, "read", path, lambda: _grown(graphs, self, sess.graph))
        return result

    patches.wrap(saver, "save", save)
    patches.wrap(saver, "restore", restore)


def _left_by_others(saver: Any, written: str, earlier: set[str]) -> Told | None:
    """Of the first save: checkpoints of the same name that were there before it and that this ``Saver`` does not count."""
    about = saver.saver_def
    most, name = about.max_to_keep, re.fullmatch(r"(.*)-\d+", os.path.basename(written))  # noqa: PTH119 - a prefix
    if (
        name is None
        or most <= 0
        or about.keep_checkpoint_every_n_hours < _EVER
        or not Path(written).parent.is_dir()
    ):
        return None
    counted = {os.path.realpath(one) for one in (*earlier, *saver.last_checkpoints)}
    of = re.compile(rf"({re.escape(name[1])}-\d+)\.(index|meta|data-\d+-of-\d+)")
    others: dict[str, int] = {}
    for file in Path(written).parent.iterdir():
        found = of.fullmatch(file.name)
        if found and os.path.realpath(file.parent / found[1]) not in counted and file.is_file():
            others[found[1]] = others.get(found[1], 0) + file.stat().st_size
    if len(others) < most:  # fewer than one run leaves: what this one began with, perhaps
        return None
    names = sorted(others, key=lambda one: int(one.rpartition("-")[2]))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Told(
        "outside-retention", "warning",
        f"{len(names)} checkpoints of earlier runs lie beside it ({shown}; {sum(others.values()):,} bytes): this Saver does not "
        f"know of them, and max_to_keep={most} will never delete them",
    )  # fmt: skip


def _mixed(tf: Any, saver: Any, path: str) -> Told | None:
    """Variables that came raw though the checkpoint has an average of them, beside others that came from their averages."""
    mapped = saver._var_list
    if not isinstance(mapped, Mapping):
        return None
    names = {
        key: thing.op.name for key, thing in mapped.items() if hasattr(getattr(thing, "op", None), "name")
    }
    averaged = {key: name for key, name in names.items() if key.startswith(f"{name}/")}
    if not averaged:
        return None
    ends = {key.removeprefix(name) for key, name in averaged.items()}
    stored = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    raw = sorted(
        key for key, name in names.items()
        if key == name and any(f"{key}{end}" in stored and f"{key}{end}" not in names for end in ends)
    )  # fmt: skip
    if not raw:
        return None
    shown = ", ".join(f"`{one}`" for one in raw[:3]) + (f" and {len(raw) - 3} more" if len(raw) > 3 else "")
    return Told(
        "averages-mixed", "warning",
        f"{len(averaged)} variables were restored from their averages (`{next(iter(averaged))}`), and {shown} raw, though the "
        "checkpoint has averages of them too: the model is neither of the two",
    )  # fmt: skip


def _grown(graphs: Any, saver: Any, graph: Any) -> Told | None:
    """One Saver after another has restored the same variables in one graph; told once of a graph."""
    mapped = saver._var_list
    things = mapped.values() if isinstance(mapped, Mapping) else mapped
    key = None if things is None else frozenset(getattr(thing, "name", str(thing)) for thing in things)
    restored = graphs.setdefault(graph, {}).setdefault(key, {})
    restore = saver.saver_def.restore_op_name
    if restore in restored or len(restored) >= _MANY:
        return None
    restored[restore] = graph.version
    if len(restored) < _MANY:
        return None
    sizes = list(restored.values())
    return Told(
        "graph-grows", "warning",
        f"this is the {_MANY}th Saver that restores the same variables in one graph, which has grown by "
        f"{sizes[-1] - sizes[0]:,} operations since the first: it grows with each, and nothing of it is ever freed",
    )  # fmt: skip
