"""Trees for Orbax, each with one fault, isolated in this process: ``python -m isolate.orbax_cases`` prints what was found.

Threads of a save that Orbax refused wait for minutes; the process ends without them, as that of ``holdfast isolate`` does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


class Thing:
    """No array."""


def _deleted() -> Any:
    import jax.numpy as jnp

    array = jnp.ones(3)
    array.delete()
    return array


def _tracer() -> Any:
    import jax
    import jax.numpy as jnp

    out: list[Any] = []
    jax.jit(lambda x: (out.append(x), x)[1])(jnp.ones(2))
    return out[0]


def odd_ones() -> dict[str, Any]:
    """Leaves that Orbax refuses."""
    import jax
    import numpy as np

    return {
        "a str": "x",
        "Thing": Thing(),
        "a function": lambda x: x,
        "an array that was deleted": _deleted(),
        "a tracer": _tracer(),
        "a jax.ShapeDtypeStruct": jax.ShapeDtypeStruct((2,), np.float32),
        "an array of dtype object": np.array([Thing()], dtype=object),
    }


def main() -> None:
    """Isolate each."""
    import jax
    import numpy as np

    import holdfast

    found = {
        what: holdfast.isolate(
            {"params": {"w": np.ones(2), "odd": [np.ones(1), leaf]}}, "orbax"
        ).as_document()
        for what, leaf in odd_ones().items()
    }
    two = {"a.b": np.ones(2), "a": {"b": np.zeros(2)}, "c": np.ones(1)}
    found["pair"] = holdfast.isolate(two, "orbax").as_document()
    right = {
        "w": jax.numpy.ones(3),
        "key": jax.random.key(0),
        "n": [1, 2.5, None],
        "m": {3: np.ones(2, np.int32)},
    }
    found["right"] = holdfast.isolate(right, "orbax").as_document()
    found["fitting"] = holdfast.isolate({"w": jax.numpy.ones(2)}).as_document()
    found["unsortable"] = holdfast.isolate({1: np.ones(2), "a": np.ones(2)}, "orbax").as_document()
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
