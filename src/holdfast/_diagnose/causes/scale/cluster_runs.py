"""Runs on a cluster: Ray Tune and Train, RLlib's saved algorithms, and what kills a process while it saves or loads.

Messages: ray/tune, ray/train/_internal, ray/rllib, torch.distributed.elastic, DeepSpeed's and Slurm's launchers, cloud clients.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, loading_or_alone, storing_or_alone


def of_a_run(look: Look) -> list[Guess]:
    """The store refuses: a checkpoint's way there, not any upload of a program."""
    around, lower = look.around, look.reading.lower
    known = around.storing or re.search(
        r"checkpoint|ckpt|createmultipart|ray[/\\.](?:tune|train)|orbax", lower
    )
    if not known and not (
        around.alone
        and "traceback" not in lower
        and re.search(r"s3:|s3fs|gs:|gcsfs|bucket|storage\.|result", lower)
    ):
        return []
    if re.search(
        r"\(404\)|\b404\b|NoSuchKey|Not ?Found", look.reading.text
    ):  # nothing is there (or it may not be listed)
        return [look.entry.guess(look, "not-found", confidence=0.8), look.entry.guess(look, confidence=0.6)]
    return [look.entry.guess(look)]


def state_of_ray(look: Look) -> list[Guess]:
    """A class or module that is gone; or an error on the way through Ray that has no known wording."""
    said = look.reading.text
    if not (look.around.loading or look.around.alone or re.search(r"set_?state|restore|_checkpoint\b", said)):
        return []
    sure = 0.84 if re.match(r"Can't get|No module|cannot import", look.match[0], re.IGNORECASE) else 0.56
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "format-mismatch", confidence=0.46),
        look.entry.guess(look, "custom-object", confidence=0.45),
    ]


def unsaid(look: Look) -> list[Guess]:
    """A save that failed, by a program's words; what people mean by "cannot save", their own words tell."""
    if look.around.prose and "failed" not in look.match[0].lower():
        return []
    rows = (("storage", 0.56), ("unserialisable", 0.47), ("memory", 0.42), ("incomplete-save", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "ray-upload-refused",
        "storage",
        (
            "upload failed",
            "object",
            "part",
            "upload",
            "sync",
            "accessdenied",
            "access_denied",
            "access denied",
            "unable to locate credentials",
            "nosuchbucket",
            "forbidden",
            "does not have storage.objects",
            "slowdown",
            "requesttimeout",
            "http response code 40",
        ),
        r"upload failed: \S+[^\n]{0,200}|(?:PutObject|UploadPart|CreateMultipartUpload|HeadObject|GetObject"
        r"|ListObjects\w*)\W[^\n]{0,120}"
        r"|\bsync(?:ing)?\b[^\n]{0,60}\bfailed|failed to sync[^\n]{0,120}|AccessDenied|ACCESS_DENIED|Unable to locate "
        r"credentials|NoSuchBucket"
        r"|(?:403|401)\b[^\n]{0,40}Forbidden|does not have storage\.objects\.\w+ access|SlowDown|RequestTimeout"
        r"|HTTP response code 40[13]",
        why="the object store did not take or give the checkpoint: credentials, bucket, permission, or too many requests",
        remedy="Check the credentials of *each* node with the store's own client; keep the last checkpoints locally too.",
        where=apart_from_steps,
        weigh=of_a_run,
        also=("not-found", "incomplete-save"),
        weight=0.78,
        test="space",
        example=(
            "upload failed: results/state.json to s3://bucket/state.json An error occurred (403) when calling the "
            "PutObject operation"
        ),
    ),
    Entry(
        "ray-no-checkpoint",
        "not-found",
        (
            "no checkpoint exists",
            "no experiment checkpoint",
            "could not find tuner state",
            "experiment checkpoint",
            "not found after successful sync",
            "checkpoint directory not found",
            "could not find trial",
            "no checkpoint was found",
            "no local checkpoint was found",
            "does not contain a checkpoint",
        ),
        r"(?P<race>Called resume when no checkpoint exists|not found after successful sync)|No experiment checkpoint"
        r"|Could not find Tuner state"
        r"|(?:find|found)[^\n]{0,60}experiment checkpoint|Checkpoint directory not found(?: for (?P<path>\S+))?|Could "
        r"not find trial"
        r"|No (?:local )?checkpoint was found|does not contain a checkpoint",
        why=(
            "there is no checkpoint of the experiment at that place (not synced there yet, on another node, or of "
            "another Ray version)"
        ),
        remedy=(
            "Give the storage path itself; use storage that all nodes share; restore with the version of Ray that "
            "saved."
        ),
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.76), ("concurrency", 0.62), ("version-mismatch", 0.56), ("storage", 0.5)),
        test="path",
        example="ValueError: Called resume when no checkpoint exists in remote or local directory.",
    ),
    Entry(
        "ray-state-version",
        "version-mismatch",
        ("rllib", "ray.", "ray/", "ray\\"),
        r"Can't get attribute '(?P<name>\w+)' on <module 'ray\.|(?:No module named|cannot import name)[^\n]{0,60}ray\."
        r"|(?:ray\.tune|ray/tune|ray\\tune|rllib).{0,4000}?(?:set_?state|restore|load_checkpoint|from_checkpoint"
        r"|pickle).{0,2000}?(?:\w+Error)\b",
        why="the saved state is read by another version of Ray than wrote it (its classes and entries differ)",
        remedy=(
            "Restore with the version of Ray that saved; carry the policy's weights over to the new one "
            "(`set_weights`)."
        ),
        weigh=state_of_ray,
        example="AttributeError: Can't get attribute 'OldSpec' on <module 'ray.rllib.core' from 'x'>",
    ),
    Entry(
        "killed-while-loading",
        "memory",
        (
            "sigkill_handler",
            "signal 9",
            "sigkill",
            "return code = -9",
            "exitcode: -9",
            "signal9",
            "signal:9",
            "exitcode:-9",
            "exitcode -9",
            "exitcode-9",
            "oom-kill",
            "oom_kill",
            "signal: 9",
            "oomkilled",
        ),
        r"(?:loading|resum|save|saving|checkpoint|ZeRO state_dicts|restor).{0,4000}?(?:sigkill_handler"
        r"|signal:? 9|SIGKILL|return code = -9"
        r"|exitcode:? ?-9|oom-kill|oom_kill|OOMKilled)"
        r"|(?:oom-kill|oom_kill)[^\n]{0,80}|OOMKilled",
        why=(
            "the system killed the process while it read or wrote the checkpoint: each process held a whole copy in "
            "host memory"
        ),
        remedy=(
            "Load on one process and broadcast, memory-map (`mmap=True`, safetensors), or load shard by shard; ask "
            "for more "
            "host memory."
        ),
        where=apart_from_steps,
        also=("incomplete-save", "concurrency"),
        weight=0.84,
        example="Attempting to resume from run/checkpoint-2\n[INFO] [launch.py:178:sigkill_handler] Killing subprocess 97",
    ),
    Entry(
        "out-of-memory-in-a-save",
        "memory",
        ("out of memory", "outofmemory", "resource_exhausted", "resource exhausted"),
        r"(?:CUDA |HIP |XPU )?out of memory|OutOfMemory\w*|RESOURCE_EXHAUSTED|Resource exhausted",
        why="the device has no room for the whole state that the save or load gathers",
        remedy="Gather on the CPU (`offload_to_cpu=True`, `rank0_only=True`), save shards, load with `map_location='cpu'`.",
        where=storing_or_alone,
        context=(
            "save_model", "checkpoint", "state_dict", "ckpt", "load_model", "restore", "gatheredparameters", "consolidate",
            "load_weights", "from_pretrained", "torch.load", "1eb memory",
        ),
        only_in=True,
        weigh=ranked(("memory", 0.72), ("device-mismatch", 0.34), ("topology", 0.32)),
        example=(
            "  File \"x.py\", line 2, in save_model_sharded\ntorch.cuda.OutOfMemoryError: CUDA out of memory. "
            "Tried to allocate 1 GiB"
        ),
    ),
    Entry(
        "network-file-system",
        "storage",
        (
            "stale file handle",
            "stale nfs file handle",
            "bad address",
            "transport endpoint",
            "remote i/o error",
            "host is down",
            "errno 116",
            "errno = 116",
            "errno 121",
            "errno = 121",
            "errno 107",
            "errno = 107",
            "errno 5]",
            "errno = 5,",
            "input/output error",
            "software caused connection abort",
        ),
        r"Stale (?:NFS )?file handle|Errno 14\] Bad address|Transport endpoint is not connected|transport endpoint shutdown"
        r"|Remote I/O error|Host is down|errno (?:= )?(?:116|121|107)\b|errno 5\]|errno = 5,|Input/output error"
        r"|Software caused connection abort",
        why="the file system on the network lost the file or the connection while it was read or written",
        remedy="Write to a local disk first and copy (with retries); look at the mount on *that* node (`df -h`, `dmesg`).",
        where=storing_or_alone,
        also=("incomplete-save", "concurrency"),
        weight=0.76,
        test="space",
        example="OSError: [Errno 116] Stale file handle",
    ),
    Entry(
        "save-failed-unsaid",
        "storage",
        (
            "save failed",
            "failed to save",
            "saving failed",
            "could not save",
            "unable to save",
            "cannot save",
            "error saving",
            "can't save",
            "checkpointing failed",
        ),
        r"\b(?:save|saving|checkpointing) failed|failed to save\b[^\n]{0,80}"
        r"|(?:could not|unable to|cannot|can't) save\b[^\n]{0,80}"
        r"|error saving\b[^\n]{0,80}",
        why="a save failed, and the text does not tell why: most often room, quota, permission or the network",
        remedy="Look for the first error of that process; room and permission at the path (`df -h`, `quota -s`, `ls -ld`).",
        weigh=unsaid,
        test="space",
        example="saving a checkpoint for step 1\nsave failed, trying again",
    ),
    Entry(
        "ray-storage-not-shared",
        "storage",
        ("unable to set up cluster storage", "read/write access to the configured storage path"),
        r"Unable to set up cluster storage at storage_path=(?P<path>\S+)|read/write access to the configured storage path",
        why="the nodes do not see one and the same storage at {path}: a local folder of each",
        remedy="Give `storage_path` a bucket or a file system that all nodes mount.",
        also=("topology", "not-found"),
        weight=0.9,
        test="space",
        example="RuntimeError: Unable to set up cluster storage at storage_path=/home/a/results",
    ),
    Entry(
        "trainer-attribute",
        "version-mismatch",
        ("has no attribute '",),
        r"'(?P<kind>\w*(?:Optim(?:izer)?|Engine|Accelerator|Strategy|Checkpointer|CheckpointManager|Parallel|Tensor|TrainState|Partitioner"
        r"|Trainer|Plugin|Scheduler)\w*)' object has no attribute "
        r"'(?P<name>\w*(?:state_dict|restor|checkpoint|ckpt|save|load|zero|deepspeed|shard|consolidat|optim|param|engine|sync"
        r"|fp16|bit16|fp32)\w*)'",
        why="`{kind}` has no `{name}`: the trainer and the library that saves for it are of versions that do not fit each other",
        remedy="Install versions that were released together (see the trainer's requirements).",
        where=storing_or_alone,
        weigh=ranked(("version-mismatch", 0.72), ("format-mismatch", 0.46), ("topology", 0.44)),
        example="AttributeError: 'Accelerator' object has no attribute 'deepspeed_settings'",
    ),
    Entry(
        "checkpoint-attribute",
        "version-mismatch",
        ("checkpoint", "ckpt", "shard_metadata", "class does not support"),
        r"'_?[A-Z]\w*(?:(?<=[a-z])Checkpoint|Ckpt)(?!er|Manager|Function|Wrapper)\w*' object has no attribute"
        r" '(?P<name>(?!(?:ends|starts)with|split|strip|replace|lower|keys|items|get'|read|seek|exists|shape)\w+)'"
        r"|class does not support `?(?P<call>\w+)(?:\(\))?`?[^\n]{0,30}only director"
        r"|KeyError: '(?P<entry>shard_metadata)'",
        why="the classes of checkpoints ({name}{call}{entry}) are not those of the version the program was written for",
        remedy="Install the versions that were released together, or write to the interface of the one installed.",
        weigh=ranked(("version-mismatch", 0.78), ("format-mismatch", 0.62), ("topology", 0.4)),
        example="AttributeError: 'TrackedCheckpoint' object has no attribute 'location'",
    ),
    Entry(
        "folders-of-other-machines",
        "storage",
        (".metadata",),
        r"(?:\b(?:node|machine|host) ?[1-9]\b|local (?:disk|folder|storage|ssd)s?\b|(?:several|multiple|two|other|each|every) "
        r"(?:node|machine|host)s?\b).{0,400}?\.metadata\b.{0,200}?(?:not (?:be )?found|missing|No such|not there|cannot)"
        r"|\.metadata\b.{0,200}?(?:not (?:be )?found|missing|No such).{0,200}?\b(?:node|machine|host) ?[1-9]\b"
        r"|No such file or directory[^\n]{0,300}\.metadata\b.{0,200}?\b(?:node|machine|host) ?[1-9]\b",
        why="`.metadata` is written by one process, and the other machines look for it on disks of their own",
        remedy="Save to a file system that all machines mount, or copy all parts to all of them before the load.",
        weigh=ranked(("storage", 0.89), ("topology", 0.84), ("incomplete-save", 0.7)),
        test="space",
        example="on several machines the .metadata is not found by machine 1",
    ),
    Entry(
        "batch-of-other-devices",
        "topology",
        ("not divisible by", "not evenly divisible", "must be divisible by"),
        r"(?:resum|restor|checkpoint).{0,400}?(?:not (?:evenly )?|must be )divisible by [^\n]{0,40}?(?:devices|ranks|gpus|"
        r"processes|replicas|world)",
        why="the state was saved by another number of devices, and what it counts does not part evenly among these",
        remedy="Resume on as many devices as saved, or keep the global batch a multiple of the devices.",
        weigh=ranked(("topology", 0.78), ("resume-state", 0.68), ("shape-mismatch", 0.4)),
        example="resuming: the batch of 12 is not divisible by the 8 devices",
    ),
    Entry(
        "random-states-of-fewer-devices",
        "topology",
        ("default_generators[idx]", "set_rng_state_all"),
        r"(?:default_generators\[idx\]|set_rng_state_all).{0,600}?(?:IndexError|out of range|Error)",
        why="random states of more devices were saved than there are now",
        remedy="Resume on as many devices as saved, or leave the random states out.",
        weigh=ranked(("topology", 0.82), ("resume-state", 0.74), ("device-mismatch", 0.62)),
        example="    default_generator = torch.cuda.default_generators[idx]\nIndexError: tuple index out of range",
    ),
    Entry(
        "compiled-interface",
        "version-mismatch",
        ("incompatible function arguments", "incompatible constructor arguments"),
        r"\w+\(\): incompatible (?:function|constructor) arguments",
        why="a compiled library is called in the way of another of its versions",
        remedy="Upgrade both together (Orbax with TensorStore, tokenizers with transformers, safetensors with torch).",
        where=storing_or_alone,
        also=("dtype-mismatch",),
        weight=0.6,
        example="TypeError: write(): incompatible function arguments.",
    ),
    Entry(
        "optimizers-counted",
        "topology",
        ("entries in state dict, but got",),
        r"Expected (?P<here>\d+) entries in state dict, but got (?P<there>\d+)",
        why="the checkpoint has {there} parts of an optimizer's state, this run {here}: other pipeline or expert sizes",
        remedy="Resume with the parallel sizes that saved, or from a checkpoint that can be cut anew (`torch_dist`).",
        weigh=ranked(("topology", 0.82), ("optimizer-structure", 0.74), ("version-mismatch", 0.6)),
        example="RuntimeError: Expected 2 entries in state dict, but got 4.",
    ),
    Entry(
        "optimizer-state-not-gathered",
        "optimizer-structure",
        ("indexerror", "keyerror", "assertionerror"),
        r"(?:save_checkpoint|_save_|save\().{0,900}?(?:_base_optimizer_state|optim\w*(?:\[\w+\])?\.state_dict\(\)|optim_state_dict\()"
        r".{0,700}?(?P<kind>IndexError|KeyError|AssertionError)",
        why="the optimizer's own state could not be collected: it has none for some parameters, or other groups",
        remedy="Save after the first step; leave out parameters without gradients; the versions that fit each other.",
        weigh=ranked(("optimizer-structure", 0.83), ("version-mismatch", 0.68), ("topology", 0.5)),
        example="    save_checkpoint(d)\n    d = optimizer.state_dict()\nIndexError: list index out of range",
    ),
    Entry(
        "value-not-a-tensor",
        "version-mismatch",
        ("with an unsupported type (<class 'dict'>)", "with an unsupported type (<class 'bytes'>)"),
        r"Attempt to convert a value \(.{0,400}?\) with an unsupported type \(<class '(?:dict|bytes)'>\) to a Tensor",
        why="a value came back as a plain dict or bytes: the state was packed by another version than unpacks it",
        remedy="Restore with the versions that saved (msgpack-numpy, Ray).",
        weigh=ranked(("version-mismatch", 0.7), ("unserialisable", 0.62), ("format-mismatch", 0.6)),
        where=loading_or_alone,
        example="Attempt to convert a value ({b'nd': 0}) with an unsupported type (<class 'dict'>) to a Tensor.",
    ),
    Entry(
        "path-gone-between",
        "not-found",
        ("path does not exist]",),
        r"FileNotFoundError: \[Errno Path does not exist\] (?P<path>\S+)",
        why="`{path}` is not there (any more): older checkpoints were removed while a trial was to start from one",
        remedy="Keep more (`keep_checkpoints_num`), or all of them in population based training.",
        weigh=ranked(("not-found", 0.74), ("retention", 0.72), ("concurrency", 0.6)),
        test="path",
        example="FileNotFoundError: [Errno Path does not exist] results/checkpoint_1",
    ),
    Entry(
        "messages-of-hooks",
        "version-mismatch",
        ("keyerror: 'last_ckpt'", "keyerror: 'best_ckpt'", "keyerror: 'hook_msgs'"),
        "",
        why="the runner's messages have no such entry: MMCV and the toolbox are of versions that do not fit each other",
        remedy="Install the versions that the toolbox asks for.",
        weigh=ranked(("version-mismatch", 0.8), ("resume-state", 0.6), ("format-mismatch", 0.5)),
        example="KeyError: 'last_ckpt'",
    ),
)  # fmt: skip
