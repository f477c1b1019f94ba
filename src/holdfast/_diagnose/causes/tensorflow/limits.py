"""TensorFlow: limits of messages and of memory that a save or a restore runs into.

Messages: tensorflow/python/framework/{ops,c_api_util}.py, tensorflow/c/c_api.cc, google/protobuf/{message_lite,wire_format}.cc,
tensorflow/core/util/tensor_slice_writer.cc, tensorflow/core/common_runtime/bfc_allocator.cc.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_LATE = re.compile(
    r"epoch\W{0,3}(?:[1-9]\d|\d{3,})|(?:step|iter\w*)\W{0,3}[1-9]\d{3,}|for (?:many|several) (?:hours|days)",
    re.IGNORECASE,
)


def too_large(look: Look) -> list[Guess]:
    """The graph was too large from the beginning (constants), or grew while it trained."""
    grew = _LATE.search(look.reading.flat) is not None
    why = "the graph grew while the program ran: something adds operations to it at every step or save"
    remedy = (
        "`graph.finalize()` before the loop names the line that adds nodes; no `tf.assign`, `tf.constant`, Saver or model call "
        "inside of it."
    )
    if grew:
        return [look.entry.guess(look, "graph-lifecycle", confidence=0.99, why=why, remedy=remedy)]
    return [
        look.entry.guess(look, confidence=0.86),
        look.entry.guess(look, "graph-lifecycle", confidence=0.62, why=why, remedy=remedy),
    ]


def at_the_nodes_of_a_saver(look: Look) -> list[Guess]:
    """Memory that ran out in a node of a Saver."""
    host = re.search(r"device:CPU|/cpu:0|gpu_host|mklcpu", look.reading.flat) is not None
    return [
        look.entry.guess(look),
        look.entry.guess(look, "device-mismatch" if not host else "storage", confidence=0.4),
    ]


ENTRIES = (
    Entry(
        "tf-memory-not-had",
        "memory",
        ("dst tensor",),
        r"Dst tensor (?:is )?not initiali[sz]ed",
        why="a value could not be copied to or from the device, as there was no memory for it (TensorFlow says so in "
        "these words)",
        remedy="Look at who holds the memory (`nvidia-smi`, `free -h`); a save needs the main memory for what it "
        "copies from the device.",
        where=storing_or_alone,
        weigh=ranked(("memory", 0.86), ("device-mismatch", 0.5), ("topology", 0.3)),
        example="RuntimeError: Error copying tensor to device: GPU:0. Dst tensor is not initialized.",
    ),
    Entry(
        "tf-graph-message-too-large",
        "size-limit",
        (
            "cannot serialize protocol buffer of type",
            "would be larger than the limit",
            "graphdef cannot be larger than 2gb",
            "wire_format.cc",
            "tensor slice is too large to serialize",
            "serialized to a size different from what was originally expected",
        ),
        r"Cannot serialize protocol buffer of type (?P<kind>[\w.]+)(?: as the serialized size \((?P<size>\d+) ?bytes\))?"
        r"|GraphDef cannot be larger than 2GB|Tensor slice is too large to serialize"
        r"|serialized to a size different from what was originally expected",
        why="a protocol buffer cannot be larger than 2 GB, and the graph is ({size} bytes): large arrays are constants in it",
        remedy=(
            "Feed large arrays through a placeholder or a variable's initialiser function, not `tf.constant`; save "
            "without the graph "
            "(write_meta_graph=False), as the values do not go through that message."
        ),
        weigh=too_large,
        where=storing_or_alone,
        weight=0.86,
        example=(
            "InvalidArgumentError: Cannot serialize protocol buffer of type tensorflow.GraphDef as the serialized size "
            "(2643020353bytes) would be larger than the limit (2147483647 bytes)"
        ),
    ),
    Entry(
        "tf-memory-at-restore",
        "memory",
        (
            "oom when allocating",
            "resource exhausted",
            "resourceexhausted",
            "failed to allocate",
            "dst tensor is not initialized",
        ),
        r"(?:OOM when allocating|failed to allocate"
        r"|Dst tensor is not initialized).{0,400}?\[\[\{?\{?[Nn]ode:? (?:\w+/)*save(?:_\d+)?/"
        r"|save_restore\w*\.cc.{0,80}?OOM when allocating"
        r"|(?:OOM when allocating|failed to allocate).{0,400}?\[Op:\w*(?:Save|Restore)V2",
        why="memory ran out while the values were read or assigned: another program holds it, or the restored values "
        "are held twice",
        remedy=(
            "Look at who holds the memory (`nvidia-smi`); restore on the CPU (CUDA_VISIBLE_DEVICES=''), or without the "
            "optimizer's "
            "slots; `allow_growth`."
        ),
        weigh=at_the_nodes_of_a_saver,
        weight=0.94,
        example=(
            "ResourceExhaustedError: OOM when allocating tensor with shape[32000,1024] and type float on GPU:0 [[node "
            "save/Assign_2]]"
        ),
    ),
)
