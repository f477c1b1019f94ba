"""Several processes, devices, hosts: world sizes, barriers, collectives, devices that are not there."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look

_SAVE = ("save", "checkpoint", "ckpt", "all_gather", "allgather", "barrier", "state_dict", "zero")
_ALL_RANKS = (
    "Call save and load on every rank (the collective inside waits for all), and let rank 0 alone do what is no "
    "collective; put a barrier after it."
)


def directory_not_empty(look: Look) -> list[Guess]:
    """Two processes rename or remove one folder."""
    lower = look.reading.lower
    removing = "rmtree" in lower or "rmdir" in lower or "clean" in lower
    concurrency = look.entry.guess(look, "concurrency", confidence=0.72)
    alone = removing or "errno 39" not in lower
    storage = look.entry.guess(
        look, "storage", confidence=0.74 if alone else 0.68,
        why=(
            "a (network) file system still shows files in a folder that was just emptied, or another process writes "
            "into it"
        ),
        remedy="Catch and retry the removal; keep run folders on a local disk.",
    )  # fmt: skip
    return [storage, concurrency] if alone else [concurrency, storage]


ENTRIES = (
    Entry(
        "cuda-not-there",
        "device-mismatch",
        ("deserialize object on", "no cuda gpus are available", "orch not compiled with cuda enabled"),
        r"[Aa]ttempting to deserialize object on (?:a )?(?P<device>[\w ]*?device ?\d*|CUDA device|MPS|HPU"
        r"|XPU)? ?.{0,40}?but torch\.(?P<kind>\w+)\.(?:is_available\(\) is False"
        r"|device_count\(\) is (?P<count>\d+))|No CUDA GPUs are available|[Tt]orch not compiled with CUDA enabled",
        why="the tensors were saved on a device that is not here ({device}; there are {count})",
        remedy="`torch.load(path, map_location='cpu')`, then move the model.",
        weight=0.95,
        calls=("load", "_cuda_deserialize", "default_restore_location"),
        example=(
            "RuntimeError: Attempting to deserialize object on CUDA device 2 but torch.cuda.device_count() is 1. "
            "Please use torch.load with map_location to map your storages to an existing device."
        ),
    ),
    Entry(
        "device-ordinal",
        "device-mismatch",
        (
            "invalid device ordinal",
            "don't know how to restore data location",
            "input type (torch.cuda",
            "weight type (torch",
            "should be the same",
            "restore data location",
        ),
        r"invalid device ordinal"
        r"|don't know how to restore data location of .{0,60}\(?tagged with (?P<device>[\w:]+)"
        r"|Input type \((?P<a>[\w.]+)\) and weight type \((?P<b>[\w.]+)\) should be the same",
        why=(
            "the checkpoint's tensors belong to a device that is not here, or were left on another than the input "
            "({a}, {b})"
        ),
        remedy="`torch.load(path, map_location='cpu')`, then `model.to(device)`.",
        weight=0.85,
        also=("version-mismatch",),
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "dtype-mismatch",
                    confidence=0.82,
                    why="input and weights are of different number types",
                ),
                look.entry.guess(look, confidence=0.4),
            ]
            if (look.facts().get("a", "").split(".")[-1], look.facts().get("b", "").split(".")[-1])
            not in (("FloatTensor", "FloatTensor"), ("", ""))
            and ("cuda" in look.facts().get("a", "")) == ("cuda" in look.facts().get("b", ""))
            else [look.entry.guess(look)]
        ),
        example="RuntimeError: don't know how to restore data location of torch.FloatStorage (tagged with xla:0)",
    ),
    Entry(
        "deepspeed-world",
        "topology",
        ("but the current world size", "checkpoint", "saved", "loaded"),
        r"(?:DP|data parallel|MP|TP|PP"
        r"|model parallel)[\w ]*?(?:world )?size (?:of )?(?P<then>\d+) but the current world size is"
        r" (?P<now>\d+)|(?:checkpoint|saved|loaded).{0,120}?(?:world[_ ]size|tensor[_ ]parallel"
        r"|pipeline[_ ]parallel|model[_ ]parallel|MP|TP|PP)[\w ]*?(?:size)?[^\n]{0,60}?(?:differ|mismatch"
        r"|does not match|not match|not supported|expected|but|!=)",
        why=(
            "the checkpoint was saved by another number of processes ({then}) than load it now ({now}), and its "
            "parts are cut by that number"
        ),
        remedy=(
            "Load with the same sizes, or convert: DeepSpeed's universal checkpoint or `zero_to_fp32.py`, DCP's "
            "resharding, Megatron's converter."
        ),
        also=("optimizer-structure", "shape-mismatch"),
        weight=0.92,
        test="whole",
        example=(
            "ZeRORuntimeException: The checkpoint being loaded used a DP world size of 256 but the current world "
            "size is 2."
        ),
    ),
    Entry(
        "deepspeed-latest",
        "not-found",
        ("unable to find latest file", "latest file at", "no 'latest'"),
        r"Unable to find latest file at (?P<path>[^\s,]+)",
        why=(
            "DeepSpeed looks for a file `latest` that names the newest tag, and there is none at {path}: another "
            "folder was given, or only weights were exported there"
        ),
        remedy="Give the folder that holds `latest` and `global_step...`, or pass `tag=`.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="path",
        example=(
            "[WARNING] Unable to find latest file at /runs/x/latest, if trying to load latest checkpoint please "
            "ensure this file exists or pass an explicit checkpoint tag"
        ),
    ),
    Entry(
        "dcp-missing-key",
        "missing-tensor",
        ("missing key in checkpoint state_dict", "missing key in checkpoint"),
        r"Missing key in checkpoint(?: state_dict)?: (?P<key>[\w.\-]+)",
        why="the distributed checkpoint has no `{key}`",
        remedy=(
            "Compare the names (`holdfast inspect FOLDER`): torch.compile's `_orig_mod.` and wrappers' prefixes must "
            "be the same on both sides; `get_model_state_dict` gives canonical names."
        ),
        weigh=lambda look: [
            look.entry.guess(
                look,
                "renamed",
                confidence=0.66,
                why=f"`{look.match['key'].rstrip('.')}` is probably there under another name (`_orig_mod.`, `module.`)",
            ),
            look.entry.guess(look, confidence=0.7),
            look.entry.guess(look, "topology", confidence=0.3),
        ],
        test="names",
        example="RuntimeError: Missing key in checkpoint state_dict: layer.weight.",
    ),
    Entry(
        "dcp-metadata",
        "incomplete-save",
        (".metadata", "checkpointexception"),
        r"(?:No such file or directory|not found|FileNotFoundError)[^\n]{0,200}\.metadata\b"
        r"|\.metadata'?[^\n]{0,40}(?:missing|not found)",
        why=(
            "the distributed checkpoint has no `.metadata`, which rank 0 writes last: the save was broken off, or "
            "the folder is another"
        ),
        remedy="Take an older checkpoint; a hidden file may also have been lost in copying.",
        also=("not-found", "concurrency"),
        weight=0.85,
        test="whole",
        example="FileNotFoundError: [Errno 2] No such file or directory: '/ckpt/step_10/.metadata'",
    ),
    Entry(
        "nccl-timeout",
        "concurrency",
        (
            "watchdog caught collective operation timeout",
            "timeout at nccl",
            "nccl operations have failed or timed out",
            "timed out waiting",
            "timed out",
            "monitoredbarrier",
        ),
        r"Watchdog caught collective operation timeout.{0,200}?OpType=(?P<op>\w+)|Timeout at NCCL work"
        r"|NCCL operations have failed or timed out|monitoredBarrier|Timed out (?:waiting"
        r"|initializing).{0,80}(?:barrier|rank)",
        why=(
            "a collective ({op}) waited until its time was over: some ranks never came to it, as where only rank 0 "
            "calls a save that all must enter, or one rank writes for longer than the limit"
        ),
        remedy=_ALL_RANKS
        + " A long write on one rank: raise `timeout=` of init_process_group, or save in the background.",
        also=("topology", "async-save", "storage"),
        weight=0.86,
        example=(
            "[rank1]:[E] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=6075, OpType=_ALLGATHER_BASE, "
            "Timeout(ms)=1800000) ran for 2954391 milliseconds before timing out."
        ),
    ),
    Entry(
        "horovod-stall",
        "concurrency",
        (
            "submitted to be reduced, gathered or broadcasted by subset of ranks",
            "submitted to be reduced, gathered or broadcasted by a subset",
        ),
        r"submitted to be reduced, gathered or broadcasted by (?:a )?subset of ranks",
        why=(
            "some ranks wait in a collective that others never enter: restoring or saving is done on one rank only, "
            "and makes variables or operations that the others lack"
        ),
        remedy="Restore on every rank, or on rank 0 followed by a broadcast that all enter.",
        also=("topology",),
        weight=0.9,
        example=(
            "One or more tensors were submitted to be reduced, gathered or broadcasted by subset of ranks and are "
            "waiting for remainder of ranks"
        ),
    ),
    Entry(
        "directory-not-empty",
        "concurrency",
        ("directory not empty", "errno 39", "errno 66"),
        r"(?:\[?Errno (?:39|66)\]?:? ?)?Directory not empty(?:: '?(?P<path>[^'\s]+)'?(?: -> '?(?P<to>[^'\s]+))?)?",
        why="several processes rename or remove the same checkpoint folder",
        remedy="Let one rank rename and clean up, and the others wait at a barrier.",
        weigh=directory_not_empty,
        also=("retention",),
        weight=0.75,
        example="OSError: [Errno 39] Directory not empty: 'tmp-checkpoint-10' -> 'checkpoint-10'",
    ),
    Entry(
        "file-exists",
        "concurrency",
        ("file exists", "errno 17", "already exists"),
        r"\[?Errno 17\]?:? ?File exists:? ?'?(?P<path>[^'\s]+)?|[Dd]estination (?P<path2>\S+) already exists"
        r"|[Cc]heckpoint .{0,80}already exists",
        why="another process made the same folder or file first, or an earlier run left it",
        remedy="One process makes folders (`exist_ok=True`); give each run a folder of its own.",
        context=("checkpoint", "ckpt", "save", "orbax"),
        only_in=True,
        also=("retention", "resume-state"),
        weight=0.72,
        test="path",
        example="FileExistsError: [Errno 17] File exists: 'runs/checkpoint-10'",
    ),
    Entry(
        "locked-writer",
        "concurrency",
        (
            "vaultlocked",
            "being used by another process",
            "winerror 32",
            "resource temporarily unavailable",
            "nother writer",
        ),
        r"being used by another process|\[WinError 32\]|VaultLocked|[Aa]nother writer|Resource temporarily unavailable",
        why="another process holds the file or the folder",
        remedy="One writer to one path: end the other, or give it a folder of its own.",
        context=_SAVE,
        only_in=True,
        also=("storage",),
        weight=0.82,
        example=(
            "PermissionError: [WinError 32] The process cannot access the file because it is being used by another "
            "process: 'checkpoint.pt'"
        ),
    ),
    Entry(
        "fsdp-type",
        "topology",
        ("shardedtensor", "dtensor", "fsdp", "flat_param", "flatparameter"),
        r"(?:ShardedTensor|DTensor|FlatParameter|flat_param|FSDP).{0,200}?(?:mismatch|expected|not (?:supported"
        r"|match)|cannot|got mixed|does not|different|KeyError)|got mixed torch\.Tensor and DTensor",
        why="the state is sharded in another way than the model expects (FSDP, tensor parallel, or not at all)",
        remedy=(
            "Save and load with the same `state_dict_type`, or gather full tensors (`get_model_state_dict(..., "
            "full_state_dict=True)`)."
        ),
        also=("optimizer-structure", "shape-mismatch", "version-mismatch"),
        weight=0.72,
        context=("state_dict", "load", "checkpoint", "optim"),
        only_in=True,
        example=(
            "RuntimeError: got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to DTensor before "
            "calling distributed operators! in load_state_dict checkpoint"
        ),
    ),
    Entry(
        "tf-ps-shards",
        "topology",
        ("part-",),
        r"NotFoundError.{0,60}?(?P<path>\S*part-\d{5}-of-0000(?!1\b)\d\S*)",
        why="each parameter server writes its part on its own machine, and the chief that joins them does not see it",
        remedy="Save to a file system that all tasks share, by an absolute path.",
        also=("storage", "incomplete-save"),
        weight=0.85,
        example="NotFoundError (see above for traceback): ./save/part-00001-of-00002.data-00000-of-00001",
    ),
    Entry(
        "tpu-or-mesh",
        "topology",
        ("mesh", "sharding", "addressable"),
        r"(?:sharding|mesh).{0,160}?(?:incompatible|mismatch|not (?:fully )?addressable|does not match"
        r"|different number of devices|cannot)|not fully addressable|spans non-addressable devices",
        why="arrays were saved under another mesh or by other hosts than restore them",
        remedy=(
            "Pass the shardings of the present mesh (`ocp.args.StandardRestore(target)` with sharded targets); save "
            "on all hosts."
        ),
        context=("restore", "save", "checkpoint", "orbax"),
        only_in=True,
        also=("device-mismatch",),
        weight=0.8,
        example=(
            "ValueError: Cannot restore checkpoint: sharding passed is incompatible with the mesh; array spans "
            "non-addressable devices"
        ),
    ),
    Entry(
        "jax-device",
        "device-mismatch",
        (
            "was not found in jax.local_devices",
            "unknown backend",
            "unable to initialize backend",
            "was not found in jax.devices()",
        ),
        (
            r"(?P<sharding>\w*Sharding).{0,120}?was not found in jax\.(?:local_)?devices\(\)"
            r"|Unknown backend:? '?(?P<backend>\w+)|Unable to initialize backend '(?P<backend2>\w+)'"
        ),
        why="the checkpoint's arrays are to be put on a device that this process does not have",
        remedy=(
            "Pass the shardings of the present devices (`restore_args`, or a target of `jax.ShapeDtypeStruct` with "
            "shardings)."
        ),
        also=("topology",),
        weight=0.9,
        example="ValueError: SingleDeviceSharding with Device=TFRT_CPU_0 was not found in jax.local_devices().",
    ),
    Entry(
        "devices-mixed",
        "device-mismatch",
        ("expected all tensors to be on the same device",),
        (
            r"Expected all tensors to be on the same device, but found at least two devices, (?P<a>[\w:]+) and"
            r" (?P<b>[\w:]+)"
        ),
        why=(
            "tensors lie on {a} and {b}; after a restore that is optimizer state or a buffer that was left on the "
            "device it was loaded to"
        ),
        remedy=(
            "Call `model.to(device)` before the optimizer is made and loaded; `map_location` alone moves nothing "
            "afterwards."
        ),
        weight=0.6,
        weigh=lambda look: [look.entry.guess(look)] if not look.reading.frames else [],
        also=("optimizer-structure",),
        example=(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:1 and "
            "cpu!"
        ),
    ),
    Entry(
        "mp-assert",
        "topology",
        ("loading a checkpoint for mp", "checkpoint shards", "world size", "number of", "size", "found"),
        (
            r"Loading a checkpoint for MP=(?P<then>\d+) but world size is (?P<now>\d+)"
            r"|found (?P<shards>\d+) (?:checkpoint )?shards?.{0,80}(?:expected|but)"
            r"|[Ww]orld size.{0,80}(?:checkpoint|saved)|(?:checkpoint|saved).{0,80}(?:with|by|on"
            r"|using) (?:a )?(?:different )?(?:number of (?:ranks|processes|gpus|devices)|world[_ ]size)"
        ),
        why="the checkpoint is cut for another number of processes ({then}) than run now ({now})",
        remedy="Start as many processes as saved, or merge the shards with the project's converter.",
        weight=0.84,
        also=("shape-mismatch", "incomplete-save"),
        example="AssertionError: Loading a checkpoint for MP=2 but world size is 1",
    ),
    Entry(
        "no-process-group",
        "topology",
        ("default process group has not been initialized", "rocess group"),
        (
            r"Default process group has not been initialized|[Pp]rocess group (?:is not initialized"
            r"|has been destroyed)"
        ),
        why="a distributed save or load is called where no process group runs",
        remedy="`torch.distributed.init_process_group(...)` first, or `no_dist=True` (DCP) for one process.",
        context=("checkpoint", "save", "load", "state_dict", "dcp"),
        only_in=True,
        weight=0.75,
        also=("concurrency",),
        example=(
            "ValueError: Default process group has not been initialized, please make sure to call "
            "init_process_group. (dcp.save checkpoint)"
        ),
    ),
    Entry(
        "barrier-peer",
        "concurrency",
        (
            "store->get",
            "tcpstore",
            "onnection",
            "wait timeout after",
            "ocket",
            "roken pipebarrier",
            "roken pipestore",
            "roken piperank",
            "roken pipepeer",
            "roken pipenccl",
            "roken pipekey",
            "roken pipe",
        ),
        (
            r"(?:[Cc]onnection (?:closed|reset) by peer|[Bb]roken pipe|[Ss]ocket [Tt]imeout|wait timeout after \d+ms"
            r"|TCPStore|store->get).{0,200}?(?:barrier|rank|key|peer|NCCL|store)?"
        ),
        why="another rank went away or never came to the barrier at the save: look at what *it* printed first",
        remedy="Read the first error of all ranks; let all enter the save.",
        context=("checkpoint", "barrier", "save_state", "save_checkpoint"),
        only_in=True,
        weight=0.62,
        also=("topology", "storage"),
        example=(
            "RuntimeError: [1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d "
            "key-value store by store->get('0'), but store->get('0') got error: Connection reset by peer (checkpoint "
            "barrier)"
        ),
    ),
    Entry(
        "tmp-gone",
        "concurrency",
        (".tmp", "tempstate", "tmp-checkpoint", ".incomplete", ".lock"),
        (
            r"(?:No such file or directory|FileNotFoundError"
            r"|cannot find the file)[^\n]{0,120}?(?P<path>[^\s'\"]*(?:\.tmp\w*|tempstate\d*|tmp-checkpoint[\w-]*"
            r"|\.incomplete))"
        ),
        why=(
            "the temporary file of the save is gone before it was renamed: a second process writes to the same path, "
            "or cleans up there"
        ),
        remedy="One writer to one path; give each run a folder of its own.",
        weight=0.76,
        also=("storage", "retention"),
        example="FileNotFoundError: [Errno 2] No such file or directory: 'runs/tmp-checkpoint-50' -> 'runs/checkpoint-50'",
    ),
)
