"""What a training loop of one's own may say to ``holdfast drill``; outside a drill it says nothing.

PyTorch's optimizers and Keras's ``fit`` and optimizers are seen without it. A JAX loop, which has no optimizer object, calls
:func:`step` once for each of its steps.
"""

from __future__ import annotations

from typing import Any

__all__ = ["step"]


def step(
    step: int,
    *,
    loss: Any = None,
    batch: Any = None,
    state: Any = None,
    lr: Any = None,
    rng: Any = None,
    **values: Any,
) -> None:
    """Tell a drill that a step of the loop is done; does nothing, at the cost of a function call, where none runs.

    ``step``: its number, the same in every run. ``loss``: a number. ``batch``: the ids of its samples, or the batch itself
    (arrays, digested). ``state``: what the step left: a nest of arrays (params, optimizer state), digested. ``lr``: the
    learning rate. ``rng``: the key or generator state that the next step draws from. Other values by name are compared as
    they are: ``best=`` (the best metric so far), ``loss_scale=``, ``val_loss=`` ...

    In a loop whose optimizer the drill sees by itself, this adds to that step.
    """
    from ._drill.trace import current

    trace = current()
    if trace is None:
        return
    from ._drill.watch_vault import explicit_record

    record = explicit_record(loss, batch, state, lr, rng, values)
    if trace.automatic:
        record.pop("rng")
        trace.event("values", n=int(step), **record)
        return
    if state is not None:
        trace.held["state"] = state
        trace.finals["state"] = lambda: _leaves(trace.held["state"])
    trace.step({"n": int(step), **record}, automatic=False)


def _leaves(state: Any) -> dict[str, Any]:
    from ._drill.digests import leaves

    return {f"/{name}": value for name, value in leaves(state)}
