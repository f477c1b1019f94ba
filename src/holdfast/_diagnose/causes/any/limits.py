"""Memory and sizes."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, storing, storing_or_alone

_STORING = frozenset(
    {
        "save", "load", "_load", "_save", "load_state_dict", "_cuda_deserialize", "restore", "state_dict",
        "restore_location", "from_pretrained", "load_model", "load_weights", "save_checkpoint",
        "load_checkpoint", "persistent_load", "default_restore_location", "load_tensor", "save_weights",
    }
)  # fmt: skip

_STORES = re.compile(
    r"^_?(?:save|load|restore|dump|write|serialize|unpickle|read_state|state_dict|checkpoint)|_(?:save|load)$"
)
"""What functions that save and load are called, whoever wrote them."""

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
        storing = max(
            (n for n, name in enumerate(names) if name in _STORING or _STORES.search(name)), default=-1
        )
        computing = max((n for n, name in enumerate(names) if name in _COMPUTING), default=-1)
        return [look.entry.guess(look), device] if storing > computing else []
    computed = any(
        word in reading.lower
        for word in ("[[node", "[[{{node", "conv", "matmul", "gradient", "backward", "forward")
    )
    return [] if computed else [look.entry.guess(look, confidence=0.8 if look.around.storing else 0.5)]


def grown_or_large(look: Look) -> list[Guess]:
    """A graph that grew with every step, as the log before it tells, or one that is large from the beginning."""
    large = look.entry.guess(look)
    grown = look.entry.guess(look, "graph-lifecycle", confidence=0.5)
    if re.search(
        r"\b(?:epoch|step|iter\w*)\W{0,3}\d+", look.reading.flat[: look.match.start()], re.IGNORECASE
    ):
        why = "the graph grew with every step or save (operations are made in the loop) until it passed 2 GB"
        remedy = "Make operations before the loop (`tf.get_default_graph().finalize()` shows where one is made in it)."
        return [look.entry.guess(look, "graph-lifecycle", confidence=0.99, why=why, remedy=remedy), large]
    return [large, grown]


def unless_computing(look: Look) -> list[Guess]:
    """Memory that ran out in a forward or backward pass is no matter of checkpoints."""
    last = look.reading.last
    names = [frame.name.rpartition(".")[2] for frame in (last.frames if last is not None else ())]
    return [] if _COMPUTING.intersection(names) else [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "reserved-less-memory",
        "memory",
        (
            "requested more bytes than",
            "all available ram",
            "oom_kill event",
            "oom-kill event",
            "job memory limit",
            "memory limit exceeded",
        ),
        r"Requested more bytes than we reserved space for: (?P<size>\d+) > (?P<limit>\d+)|all available RAM"
        r"|oom_kill event|oom-kill event|(?:exceed\w*|over) (?:its |the )?job memory limit|memory limit exceeded",
        why="what is restored or saved at once needs more host memory than it may take ({size} bytes of {limit})",
        remedy="Raise the limit (Orbax: `restore_concurrent_gb`, `save_concurrent_gb`; the job's own), or restore in parts.",
        where=storing_or_alone,
        weigh=ranked(("memory", 0.8), ("size-limit", 0.5), ("concurrency", 0.34)),
        example="ValueError: Requested more bytes than we reserved space for: 96636764160 > 96000000000",
    ),
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
            "attempting to allocate",
            "attempting to reserve",
        ),
        r"CUDA out of memory|out of memory|OOM when allocating tensor with shape ?\[?(?P<shape>[\d,]+)?"
        r"|Cannot allocate memory|Unable to allocate (?P<size>[\d.]+ \w+)|MemoryError"
        r"|DefaultCPUAllocator: (?:can't|not enough)|std::bad_alloc|Attempting to (?:allocate|reserve) [\d.]+",
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
        r"(?:GraphDef cannot be larger than 2GB|exceed\w* (?:the )?maximum protobuf size(?: of 2GB)?"
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
        weigh=grown_or_large,
        example="ValueError: GraphDef cannot be larger than 2GB.",
    ),
    Entry(
        "zip64",
        "size-limit",
        (
            "zip64",
            "filesize would require zip64",
            "file size too large",
            "errno 27",
            "file too large",
            "force_zip64",
        ),
        r"(?:requires? ZIP64|would require ZIP64|exceeded ZIP64 limit|try using force_zip64|File too large|\[?Errno 27\]?)",
        why="the file is larger than its format or the file system takes (4 GB on FAT, or a zip without ZIP64)",
        remedy="Save to another file system, or in shards.",
        where=storing_or_alone,
        weight=0.9,
        also=("storage",),
        example="OSError: [Errno 27] File too large",
    ),
    Entry(
        "shared-memory",
        "memory",
        ("bus error", "insufficient shared memory", "unable to mmap", "unable to open shared memory object"),
        r"Bus error|insufficient shared memory|unable to (?:mmap|open shared memory object)",
        why=(
            "memory that was mapped could not be had: /dev/shm is too small, or the mapped file was cut short under "
            "the reader"
        ),
        remedy="Enlarge /dev/shm; write checkpoints beside and rename, never in place.",
        context=("checkpoint", "load", "save", "mmap"),
        only_in=True,
        where=apart_from_steps,
        weight=0.66,
        also=("concurrency", "corrupt"),
        example="RuntimeError: unable to mmap 4096 bytes from file </runs/model.pt>: Cannot allocate memory (load)",
    ),
    Entry(
        "killed-while-storing",
        "memory",
        ("killed", "oom", "out of memory: kill", "exit code", "exitcode", "total-vm"),
        r"Out of memory: Kill\w* process|OOMKilled|oom[-_ ]kill|total-vm:\d+|(?-i:\bKilled\b)(?!\s*by user)"
        r"|\b(?:gets?|got|was|is) (?:\w+ )?killed\b.{0,40}?\b(?:sav|load|checkpoint)"
        r"|\b(?:sav|load)\w*\b.{0,60}?\b(?:gets?|got|was|is) (?:\w+ )?killed\b"
        r"|exit ?code ?:? ?(?:-9|137)\b",
        why=(
            "the process was killed because host memory ran out: a checkpoint is held once more in memory "
            "while it is saved or loaded"
        ),
        remedy="Load with `mmap=True` or on one rank, save shards or from one rank; `dmesg | grep -i oom` names the killer.",
        where=storing_or_alone,
        also=("incomplete-save", "concurrency"),
        weight=0.78,
        example="Saving checkpoint at step 500\nKilled",
    ),
    Entry(
        "resource-exhausted",
        "memory",
        (
            "resource_exhausted",
            "resourceexhausted",
            "resource exhausted",
            "out of memory",
            "outofmemory",
            "hbm",
            "oom",
            "cudamalloc",
            "cuda_error_out_of_memory",
            "failed to allocate",
            "not enough memory",
            "insufficient memory",
            "cannot allocate",
        ),
        r"RESOURCE_EXHAUSTED|ResourceExhausted(?:Error)?|OutOfMemory(?:Error)?|CUDA_ERROR_OUT_OF_MEMORY"
        r"|failed to allocate|not enough memory|insufficient memory"
        r"|\bOOM\b",
        why="memory ran out while a checkpoint was loaded or saved, which holds a second copy of the state",
        remedy="Load to the CPU first, free the loaded dict before training goes on, and save in shards.",
        calls=(
            "load",
            "restore",
            "load_state_dict",
            "save",
            "from_pretrained",
            "load_checkpoint",
            "save_checkpoint",
            "state_dict",
            "resume",
            "save_model",
        ),
        context=(
            "resum",
            "loading checkpoint",
            "load_checkpoint",
            "saving checkpoint",
            "restor",
            "from_pretrained",
            "checkpoint shards",
            "state_dict",
            "load_state",
        ),
        only_in=True,
        where=storing,
        also=("topology", "device-mismatch"),
        weight=0.56,
        weigh=unless_computing,
        example="Loading checkpoint shards: 50%\ntorch.OutOfMemoryError: OOM from_pretrained",
    ),
    Entry(
        "msgpack-limit",
        "size-limit",
        ("exceeds", "too large", "too big"),
        r"(?P<size>\d+) exceeds max_\w+_(?:len|size)|(?:file|tensor|header|message|attribute|array"
        r"|dataset|checkpoint|model|weight)\w* (?:size )?(?:is )?(?:too (?:large|big)|exceeds)"
        r"|exceeds max_\w+",
        why="something is larger than the format or the reader takes ({size})",
        remedy="Save in shards or parts, or in a format without that limit (safetensors, Orbax, `.keras`).",
        where=storing_or_alone,
        also=("corrupt", "format-mismatch"),
        weight=0.8,
        example="ValueError: 2147483648 exceeds max_bin_len(2147483647)",
    ),
    Entry(
        "too-long-for-one-write",
        "size-limit",
        (
            "unknown error: -1",
            "write_record",
            "error return without exception set",
            "returned null without",
            "null result without error",
            "2gb",
            "4gb",
            "2 gb",
            "4 gb",
            "2gib",
            "4gib",
            "2 gib",
            "4 gib",
        ),
        r"write_record\(\): incompatible function arguments.{0,600}?, -\d{6,}\b|RuntimeError: Unknown error: -1\b"
        r"|SystemError: [^;]{0,60}?(?:error return without exception set|returned null without setting an (?:error|exception)"
        r"|NULL result without error)"
        r"|write_record\(.{0,120}?OSError: \[Errno 22\]"
        r"|\b(?:sav|writ|dump|stor|serializ)\w*\b[^;]{0,120}(?:>|over|above|larger than|bigger than"
        r"|more than|greater than|exceed\w*) ?(?:2 ?Gi?B|4 ?Gi?B)",
        why=(
            "one piece of the state is longer than the writer takes at once (2 or 4 GiB); sizes overflow, "
            "and what is written is wrong or nothing"
        ),
        remedy=(
            "Save in smaller tensors or shards, or with a newer version, where the limit is gone "
            "(torch.save: the zip format; pickle protocol 4)."
        ),
        where=storing_or_alone,
        also=("memory", "version-mismatch"),
        weight=0.84,
        example="    serialized_storages[key]._write_file(f)\nRuntimeError: Unknown error: -1",
    ),
    Entry(
        "write-refused-as-invalid",
        "size-limit",
        ("invalid argument",),
        r"(?:write_record|_write_file|mergev2|save_restore_v2_ops).{0,300}?(?:\[Errno 22\] )?Invalid argument",
        why=(
            "the system refused the read or write itself: on some (macOS, old network file systems) one "
            "may not be longer than 2 GiB"
        ),
        remedy=(
            "Save in shards, or split the largest tensor; a path with characters that the file system "
            "does not take gives the same message."
        ),
        also=("storage", "corrupt"),
        weight=0.7,
        example="    zip_file.write_record('data.pkl', value, len(value))\nOSError: [Errno 22] Invalid argument",
    ),
    Entry(
        "no-memory-for-a-record",
        "memory",
        ("could not allocate bytes object", "write_record", "memoryerror"),
        r"Could not allocate bytes object|write_record\(.{0,400}?MemoryError|MemoryError.{0,600}?unexpected pos \d+ vs \d+",
        why="host memory ran out while the state was copied to be written; what the writer says after it only follows from that",
        remedy=(
            "Free memory before saving (a state dict on the CPU is a second copy), save in shards, or "
            "write straight to a file in place of a buffer."
        ),
        where=storing_or_alone,
        also=("storage", "incomplete-save"),
        weight=0.95,
        example="    zip_file.write_record(name, data, size)\nMemoryError",
    ),
)
