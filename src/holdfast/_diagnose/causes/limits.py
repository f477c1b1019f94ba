"""Memory and sizes."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look

_STORING = frozenset(
    {
        "save", "load", "_load", "_save", "load_state_dict", "_cuda_deserialize", "restore", "state_dict",
        "restore_location", "from_pretrained", "load_model", "load_weights", "save_checkpoint",
        "load_checkpoint", "persistent_load", "default_restore_location", "load_tensor", "save_weights",
    }
)  # fmt: skip
_COMPUTING = frozenset({"forward", "backward", "train_step", "_call_impl", "training_step"})


def out_of_memory(look: Look) -> list[Guess]:
    """Memory that was gone while saving or loading; in a forward pass that is no matter of checkpoints."""
    reading = look.reading
    device = look.entry.guess(
        look, "device-mismatch", confidence=0.5, remedy="`torch.load(path, map_location='cpu')`.",
        why="the checkpoint is read onto a device where the model lies already (all ranks onto device 0?)",
    )  # fmt: skip
    if "save_restore" in reading.lower or "state_dict" in reading.lower:
        return [look.entry.guess(look), device]
    last = reading.last
    names = [frame.name.rpartition(".")[2] for frame in (last.frames if last is not None else ())]
    if names:
        storing = max((n for n, name in enumerate(names) if name in _STORING), default=-1)
        computing = max((n for n, name in enumerate(names) if name in _COMPUTING), default=-1)
        return [look.entry.guess(look), device] if storing > computing else []
    computed = any(
        word in reading.lower
        for word in ("[[node", "[[{{node", "conv", "matmul", "gradient", "backward", "forward")
    )
    return [] if computed else [look.entry.guess(look, confidence=0.5)]


ENTRIES = (
    Entry(
        "out-of-memory",
        "memory",
        (
            "out of memory",
            "oom when allocating",
            "cannot allocate memory",
            "unable to allocate",
            "memoryerror",
            "defaultcpuallocator",
            "std::bad_alloc",
            "ut of memory",
        ),
        r"CUDA out of memory|[Oo]ut of memory|OOM when allocating tensor with shape ?\[?(?P<shape>[\d,]+)?"
        r"|Cannot allocate memory|Unable to allocate (?P<size>[\d.]+ \w+)|MemoryError"
        r"|DefaultCPUAllocator: (?:can't|not enough)|std::bad_alloc",
        why="there was not enough memory for a second copy of the state while it was saved or loaded",
        remedy=(
            "Load to the CPU (`map_location='cpu'`, `mmap=True`) before the model goes to its device; gather shards "
            "to the CPU when saving (`offload_to_cpu`, `rank0_only`)."
        ),
        weigh=out_of_memory,
        also=("topology",),
        weight=0.84,
        example=(
            '  File "torch/serialization.py", line 1, in load\nRuntimeError: CUDA out of memory. Tried to allocate '
            "2.00 GiB"
        ),
    ),
    Entry(
        "killed-by-oom",
        "memory",
        (
            "signal 9",
            "exitcode: -9",
            "exit code -9",
            "sigkill",
            "exit code 137",
            "exitcode -9",
            "exit code:",
            "exitcode:-9",
            "exitcode: 9",
            "exit code-9",
            "exit code 9",
            "exitcode-9",
            "exitcode 9",
            "exitcode:9",
            "exit code9",
            "exitcode9",
            "kill",
        ),
        r"(?:signal 9|SIGKILL|exit ?code:? ?-?9\b|exit code 137|oom[- ]kill)",
        why=(
            "the process was killed from outside, most often because host memory ran out (every rank holds its own "
            "copy of the checkpoint)"
        ),
        remedy="Load on one rank, or with mmap=True; `dmesg` names the killer.",
        context=("checkpoint", "load", "sav", "gather", "state_dict"),
        only_in=True,
        also=("concurrency", "incomplete-save"),
        weight=0.7,
        example="torch.distributed.elastic: failed (exitcode: -9) local_rank: 0 while loading checkpoint shards",
    ),
    Entry(
        "pickle-4gib",
        "size-limit",
        (
            "larger than 4 gib",
            "4 gib",
            "string longer than 2147483647",
            "requires a 'bytes-like' object larger",
            "serialize a string larger",
            "serialize a bytes",
        ),
        r"(?:serialize a (?:bytes object|string) larger than (?P<limit>[\d]+ ?GiB)|string longer than 2147483647)",
        why="pickle protocol 3 and older, and old TLS and zip writers, stop at {limit}",
        remedy="`pickle.dump(..., protocol=4)` or later (torch.save: `pickle_protocol=4`).",
        weight=0.96,
        also=("version-mismatch",),
        example="OverflowError: cannot serialize a bytes object larger than 4 GiB",
    ),
    Entry(
        "protobuf-2gb",
        "size-limit",
        (
            "larger than 2gb",
            "2gb",
            "2147483647",
            "maximum protobuf size",
            "protocol message was rejected because it was too big",
            "larger than 2 gb",
        ),
        r"(?:GraphDef cannot be larger than 2GB|[Ee]xceed\w* (?:the )?maximum protobuf size(?: of 2GB)?"
        r"|larger than 2 ?GB|protocol message was rejected because it was too big"
        r"|cannot be larger than 2147483647)",
        why=(
            "a protocol buffer holds 2 GB at most: arrays were baked into the graph as constants (assigning a numpy "
            "array does that)"
        ),
        remedy=(
            "Assign through a placeholder or load_op, so that values stay out of the graph; save variables, not "
            "constants."
        ),
        weight=0.95,
        also=("graph-lifecycle",),
        example="ValueError: GraphDef cannot be larger than 2GB.",
    ),
    Entry(
        "zip64",
        "size-limit",
        ("zip64", "filesize would require zip64", "file size too large", "errno 27", "file too large"),
        r"(?:requires? ZIP64|would require ZIP64|File too large|\[?Errno 27\]?)",
        why="the file is larger than its format or the file system takes (4 GB on FAT, or a zip without ZIP64)",
        remedy="Save to another file system, or in shards.",
        weight=0.9,
        also=("storage",),
        example="OSError: [Errno 27] File too large",
    ),
    Entry(
        "recursion",
        "unserialisable",
        ("maximum recursion depth exceeded",),
        r"maximum recursion depth exceeded",
        context=("pickl", "deepcopy", "torch.save", "dump", "get_config"),
        only_in=True,
        why="the object refers to itself too deeply to be written",
        remedy="Save state dicts; cut the reference back (a callback that holds the trainer).",
        weight=0.75,
        calls=("save", "dump", "deepcopy"),
        example="RecursionError: maximum recursion depth exceeded while pickling an object",
    ),
)
