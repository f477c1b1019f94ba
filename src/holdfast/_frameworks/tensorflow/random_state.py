"""TensorFlow's own random state: the global seed with the generator that seeds each eager operation, and the global
``tf.random.Generator``.

Source: ``tensorflow/python/eager/context.py`` (``_set_global_seed``, ``_internal_operation_seed``: operations without a seed
of their own take one from ``Context._rng``, a ``random.Random``). Random operations inside a ``tf.function`` count in their
kernels, out of anybody's reach: only stateless operations and generators resume exactly there.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

__all__ = ["put_state", "state"]


def state() -> dict[str, Any]:
    """``seed`` and ``operations`` where ``tf.random.set_seed`` was called; ``generator`` where the global one was made."""
    from tensorflow.python.eager import context
    from tensorflow.python.ops import stateful_random_ops

    found: dict[str, Any] = {}
    running = context.context_safe()
    if running is not None and getattr(running, "_seed", None) is not None:
        version, words, gauss = running._rng.getstate()
        found["seed"] = running._seed
        found["operations"] = [version, np.asarray(words, np.uint32), gauss]
    generator = getattr(stateful_random_ops, "global_generator", None)
    if generator is not None:
        found["generator"] = np.array(generator.state)
        found["algorithm"] = int(generator.algorithm)
    return found


def put_state(found: dict[str, Any]) -> list[str]:
    """Put them back; gives what could not be, each with the reason."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    if "seed" in found:
        tf.random.set_seed(found["seed"])
        running = context.context_safe()
        if running is None or not isinstance(getattr(running, "_rng", None), random.Random):
            return ["tensorflow operations: this version keeps them elsewhere"]
        version, words, gauss = found["operations"]
        running._rng.setstate((version, tuple(int(word) for word in words), gauss))
    if "generator" in found:
        tf.random.set_global_generator(
            tf.random.Generator.from_state(found["generator"], alg=found["algorithm"])
        )
    return []
