"""What of JAX's state decides numbers. Nothing is initialised by asking."""

from __future__ import annotations

from typing import Any

import jax
import jaxlib

__all__ = ["environment"]

_SWITCHES = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_default_dtype_bits",
    "jax_debug_nans",
)


def environment() -> dict[str, Any]:
    """JAX's settings of this process. Devices are named only once a backend is up: asking would start one."""
    from jax._src import xla_bridge  # which backends are up has no public reader

    found: dict[str, Any] = {"version": jax.__version__, "jaxlib": str(jaxlib.version.__version__)}
    for name in _SWITCHES:
        value = getattr(jax.config, name, None)
        if value is None or isinstance(value, (bool, int, str)):
            found[name.removeprefix("jax_")] = value
    started = getattr(xla_bridge, "_backends", None)
    if started:
        found["backend"] = jax.default_backend()
        found["devices"] = [
            {"platform": device.platform, "kind": device.device_kind} for device in jax.devices()
        ]
        found["processes"] = jax.process_count()
    return found
