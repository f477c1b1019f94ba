"""World sizes, shards, meshes: saved by other processes than load."""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone


def parts_counted(look: Look) -> list[Guess]:
    """As many parts as found, and as processes: none found is another path."""
    if look.match["then"] == "0":
        why = "no part of a checkpoint was found at that path (0 files of the kind that the loader looks for)"
        remedy = "Check the path and the files' names (`*.pth`); `holdfast FOLDER` says what lies there."
        return [
            look.entry.guess(look, "not-found", confidence=0.98, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.62),
            look.entry.guess(look, "format-mismatch", confidence=0.5, why=why, remedy=remedy),
        ]
    return [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "shards-by-devices",
        "topology",
        ("incompatible checkpoints",),
        r"incompatible checkpoints (?P<a>\([\d, ]*\)) vs (?P<b>\([\d, ]*\))",
        why="a shard of the checkpoint has shape {a}, the one that is wanted here {b}: saved in another number of shards, or "
        "of a model of other sizes",
        remedy="Load with as many shards (devices, cores per replica) and the same model configuration as it was saved with.",
        weigh=ranked(("topology", 0.78), ("shape-mismatch", 0.7)),
        example="AssertionError: Incompatible checkpoints (1, 800, 64) vs (1, 6400, 64)",
    ),
    Entry(
        "deepspeed-world",
        "topology",
        ("but the current world size", "checkpoint", "saved", "loaded"),
        r"(?:\bDP|data parallel|\bMP|\bTP|\bPP"
        r"|model parallel)[\w ]*?(?:world )?size (?:of )?(?P<then>\d+) but the current world size is"
        r" (?P<now>\d+)|(?:checkpoint|saved|loaded).{0,120}?(?:world[_ ]size|tensor[_ ]parallel"
        r"|pipeline[_ ]parallel|model[_ ]parallel|\bMP\b|\bTP\b|\bPP\b)[\w ]*?(?:size)?[^\n]{0,60}?(?:differ|mismatch"
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
        "dcp-missing-key",
        "missing-tensor",
        ("missing key in checkpoint", "state_dict_metadata"),
        r"Missing key in checkpoint(?: state_dict)?: (?P<key>[\w\-]+(?:\.[\w\-]+)*)"
        r"|state_dict_metadata\[\w+\].{0,80}?KeyError: '(?P<key2>[\w.\-]+)'",
        why="the distributed checkpoint has no `{key}`",
        remedy=(
            "Compare the names (`holdfast inspect FOLDER`): torch.compile's `_orig_mod.` and wrappers' prefixes must "
            "be the same on both sides; `get_model_state_dict` gives canonical names."
        ),
        weigh=ranked(
            ("missing-tensor", 0.7),
            ("renamed", 0.66, "`{key}` is probably there under another name (`_orig_mod.`, `module.`)"),
            ("topology", 0.3),
        ),
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
        "mp-assert",
        "topology",
        ("loading a checkpoint for mp", "checkpoint shards", "world size", "number of", "size", "found"),
        (
            r"Loading a checkpoint for MP=(?P<then>\d+) but world size is (?P<now>\d+)"
            r"|found (?P<shards>\d+) (?:checkpoint )?shards?.{0,80}(?:expected|but)"
            r"|world size.{0,80}(?:checkpoint|saved)|(?:checkpoint|saved).{0,80}(?:with|by|on"
            r"|using) (?:a )?(?:different )?(?:number of (?:ranks|processes|gpus|devices)|world[_ ]size)"
        ),
        why="the checkpoint is cut for another number of processes ({then}) than run now ({now})",
        remedy="Start as many processes as saved, or merge the shards with the project's converter.",
        weigh=parts_counted,
        weight=0.84,
        also=("shape-mismatch", "incomplete-save"),
        example="AssertionError: Loading a checkpoint for MP=2 but world size is 1",
    ),
    Entry(
        "no-process-group",
        "topology",
        ("default process group has not been initialized", "rocess group"),
        (
            r"Default process group has not been initialized|process group (?:is not initialized"
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
        "xla-tensors",
        "device-mismatch",
        ("xla", "'hpu", "'npu", "'xpu", "privateuse", "cannot replicate if number of devices"),
        (
            r"(?:arguments from the|for the) '(?P<device>XLA|HPU|NPU|XPU|PrivateUse)\w*' backend|_rebuild_xla_tensor"
            r"|Cannot replicate if number of devices \((?P<now>\d+)\) is different from (?P<then>\d+)"
        ),
        why="tensors of another accelerator were pickled as such, and it is not here (or has another number of devices)",
        remedy="Where they were saved: `xm.save`, or `.cpu()` before `torch.save`; then load with `map_location='cpu'`.",
        weigh=ranked(("device-mismatch", 0.88), ("topology", 0.56), ("version-mismatch", 0.5)),
        example="RuntimeError: Could not run 'aten::empty_strided' with arguments from the 'XLA' backend.",
    ),
    Entry(
        "sharding-specs",
        "topology",
        ("sharding spec", "sharding_spec", "shardingspec"),
        r"(?:cannot|different|mismatch|not|unsupported|invalid|unable)[^\n]{0,100}(?:sharding spec|sharding_spec|shardingspec)"
        r"|(?:sharding spec|sharding_spec|shardingspec)[^\n]{0,100}(?:cannot|differ|mismatch|not|unsupported|invalid)",
        why="the parts are laid out in another way than the writer or reader of the state expects",
        remedy="Save and load with the same plugin and sizes, or gather whole tensors first.",
        where=storing_or_alone,
        weigh=ranked(("topology", 0.76), ("optimizer-structure", 0.5), ("version-mismatch", 0.5)),
        example=(
            "save_sharded_optimizer: AssertionError: Cannot compare difference for two sharding specs with "
            "different length."
        ),
    ),
    Entry(
        "optimizer-without-state",
        "optimizer-structure",
        ("unflat_osd[", "float() argument must be a string or a ", "flat_osd_state"),
        r"unflat_osd\[[\"']state[\"']\]|(?:optim).{0,1500}?float\(\) argument must be a string or a (?:real )?number, not 'dict'"
        r"|flat_osd_state.{0,400}?Error",
        why="the checkpoint has no state for (some of) the parameters of this optimizer",
        remedy="Load the model alone and start the optimizer anew; or with the settings (frozen, wrapped) that saved.",
        weigh=ranked(("optimizer-structure", 0.97), ("missing-tensor", 0.76), ("format-mismatch", 0.6)),
        example="    unflat_osd_state = unflat_osd[\"state\"]\nKeyError: 'state'",
    ),
    Entry(
        "rendezvous-of-a-save",
        "concurrency",
        ("failed to meet rendezvous",),
        r"Failed to meet rendezvous '(?P<name>[^'\n]*(?:save|checkpoint|load|ckpt)[^'\n]*)'",
        why="not all processes came to `{name}`: one ended or was killed before, or a save stands behind an `if`",
        remedy="Read the first error of all processes; call the save on each of them.",
        weigh=ranked(("concurrency", 0.82), ("memory", 0.6), ("topology", 0.5)),
        example="RuntimeError: Failed to meet rendezvous 'torch_xla.core.xla_model.save': Socket closed (14)",
    ),
)
