"""What is wrong with a part of a PyTorch checkpoint."""

from __future__ import annotations

from typing import Any

from .failure import Failure
from .node import Node
from .pickle_why import Told, a, in_pickle

__all__ = ["told"]


def told(node: Node, failure: Failure, torch: Any) -> Told | None:
    """What it is, why, what to do, and the cause's label; ``None`` where nothing special is known of it."""
    thing = node.thing
    kind = type(thing)
    if isinstance(thing, torch.Tensor):
        special = _tensor(thing, torch)
        if special is not None:
            return special
    if isinstance(thing, torch.jit.ScriptModule):
        return (
            f"a TorchScript module ({getattr(thing, 'original_name', kind.__name__)})",
            "pickle does not write compiled code",
            "`torch.jit.save(module, path)`, or save its state_dict().",
            "unserialisable",
        )
    if "parametriz" in failure.message and isinstance(thing, torch.nn.Module):
        return (
            f"{a(kind.__qualname__)} with parametrizations (torch.nn.utils.parametrize)",
            "its class is made at run time, and PyTorch refuses to pickle it",
            "Save state_dict(), and register the parametrization again before loading; or "
            "torch.nn.utils.parametrize.remove_parametrizations(module, name) first.",
            "unserialisable",
        )
    if kind.__module__.startswith("torch") and kind.__name__ in ("Stream", "Event", "ExternalStream"):
        return (
            f"a {kind.__module__}.{kind.__name__}",
            "it belongs to the device and this process",
            "Make it anew after loading.",
            "unserialisable",
        )
    if kind.__name__ in ("ProcessGroup", "ProcessGroupNCCL", "ProcessGroupGloo", "DeviceMesh", "Work"):
        return (
            f"a {kind.__name__}",
            "it is a connection of this process to the others of the job",
            "Save the module inside (`ddp.module.state_dict()`), not the wrapper.",
            "unserialisable",
        )
    found = in_pickle(node, failure)
    if found is not None and ".__forward_hooks" in f".__{node.path}".replace("._", ".__"):
        what, why, _, cause = found
        return (
            what,
            f"it is a hook that was registered on a module; {why}",
            (
                "Save state_dict(), which has no hooks; or take the hook off before the save "
                "(`handle.remove()`)."
            ),
            cause,
        )
    if found is None and failure.phase == "load afresh":
        name = f"{getattr(thing, '__module__', kind.__module__)}.{getattr(thing, '__qualname__', kind.__qualname__)}"
        return (
            f"an object of {name}, which another process cannot find",
            "the file holds the name alone, and a fresh process that imports the module does "
            "not have it: it is made while the program runs, "
            "or it belongs to the script that was started (`__main__`)",
            "Define it at the top of a module that both import, or save a state dict.",
            "custom-object",
        )
    return found


def _tensor(thing: Any, torch: Any) -> Told | None:
    kind = type(thing)
    if kind.__name__ == "FakeTensor":
        return (
            "a fake tensor",
            "it has a shape and no values (it was made under FakeTensorMode, as for tracing)",
            "Save the real model, outside of FakeTensorMode.",
            "unserialisable",
        )
    if thing.is_meta:
        return (
            f"a tensor on the meta device, {list(thing.shape)}",
            "it has a shape and no values: the save passes, and what is loaded has no values either",
            "Materialise the model (`model.to_empty(device=...)`) and load or initialise its "
            "weights before saving.",
            "lazy-build",
        )
    if kind not in (torch.Tensor, torch.nn.Parameter) and "<locals>" in kind.__qualname__:
        return (
            f"a tensor of the class {kind.__qualname__.rpartition('.')[2]}, defined inside a function",
            "pickle writes a class as module and name, and what is defined inside a function "
            "is not found there",
            "Move the class to the top of its module, or save `tensor.as_subclass(torch.Tensor)`.",
            "unserialisable",
        )
    return None
