"""Graphs that are frozen (variables made constants): whether what is frozen computes as in inference.

Facts: tensorflow/python/framework/convert_to_constants.py and graph_util_impl.py (both functions give the frozen graph);
``FusedBatchNorm*`` has the attribute ``is_training``. A graph that can do both has an operation of each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..call_options import Told
from ..events import Call, Watcher, noticed
from ..patches import Patches
from .wrapping import everywhere

__all__ = ["watch_freezing"]


def watch_freezing(tf: Any, watcher: Watcher, patches: Patches) -> None:
    """Tell ``watcher`` of frozen graphs that are those of training."""
    name = "convert_variables_to_constants"

    def tell(graph_of: Callable[[], Any]) -> None:
        call = Call("tensorflow", f"graph_util.{name}", "save")
        noticed(watcher, call, lambda: _in_training_mode(graph_of()))

    def freeze(inner: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(*args, **kwargs)
        tell(lambda: result)
        return result

    def freeze_function(inner: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(*args, **kwargs)
        tell(result.graph.as_graph_def)
        return result

    everywhere(patches, tf.compat.v1.graph_util, name, freeze)
    from tensorflow.python.framework import convert_to_constants

    everywhere(patches, convert_to_constants, f"{name}_v2", freeze_function)


def _in_training_mode(graph: Any) -> Told | None:
    norms = {
        node.name: node.attr["is_training"].b
        for node in graph.node
        if node.op.startswith("FusedBatchNorm") and "Grad" not in node.op
    }
    if not norms or not all(norms.values()):
        return None
    shown = ", ".join(f"`{one}`" for one in list(norms)[:3])
    more = f" and {len(norms) - 3} more" if len(norms) > 3 else ""
    return Told(
        "frozen-in-training-mode", "warning",
        f"the frozen graph is that of training: {shown}{more} normalises by the statistics of the batch that it is given, and "
        "the moving means and variances of the checkpoint are not in it",
    )  # fmt: skip
