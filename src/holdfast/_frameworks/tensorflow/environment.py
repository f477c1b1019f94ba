"""What of TensorFlow's state decides numbers. Nothing is initialised by asking."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """TensorFlow's settings of this process. Devices are named only once the runtime is up: asking would fix the device
    settings that a program still wants to make."""
    from tensorflow.python.eager import context  # its own switch for determinism has no public reader
    from tensorflow.python.framework import config

    build = tf.sysconfig.get_build_info()
    found: dict[str, Any] = {
        "version": tf.__version__,
        "git": tf.version.GIT_VERSION,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "deterministic": config.is_op_determinism_enabled(),
        "tf32": config.tensor_float_32_execution_enabled(),
        "jit": tf.config.optimizer.get_jit(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "functions_eagerly": tf.config.functions_run_eagerly(),
    }
    running = context.context_safe()
    if running is not None and running._context_handle is not None:
        found["devices"] = [device.name for device in tf.config.list_logical_devices()]
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            found["gpus"] = [_described(tf.config.experimental.get_device_details(gpu)) for gpu in gpus]
    return found


def _described(details: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": details.get("device_name"),
        "capability": list(details.get("compute_capability") or ()),
    }
