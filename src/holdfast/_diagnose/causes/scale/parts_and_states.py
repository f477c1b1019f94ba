"""States whose parts do not fit: kinds of shards that were asserted, counts, versions in the state, what a file system lacks.

Messages: verl's, Megatron's and ColossalAI's mergers, torch.distributed.fsdp, RLlib's states, equinox, t5x, TensorStore's specs.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...surroundings import like_a_checkpoint
from ...where import apart_from_steps, loading_or_alone, storing_or_alone

_PAIR = re.compile(
    r"size mismatch for (?P<name>[\w.\-]+): copying a param with shape torch\.Size\(\[(?P<saved>[\d, ]+)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[(?P<here>[\d, ]+)\]\)",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"attn|attention|mlp|ffn|feed_?forward|qkv|query|dense|proj|embed|wte|tok_|lm_head|word|fc|h_to|w[123qkvo]\b",
    re.I,
)


def sizes_of_a_part(look: Look) -> list[Guess]:
    """All sizes differ by one whole factor, each along one side: parts of a model that several devices hold.

    A hidden size that is another changes both sides of square layers; a number of classes changes the last layer alone.
    """
    factors: set[int] = set()
    cut = 0
    for pair in _PAIR.finditer(look.reading.flat):
        saved, here = ([int(n) for n in pair[side].split(",") if n.strip()] for side in ("saved", "here"))
        other = [(a, b) for a, b in zip(saved, here, strict=False) if a != b]
        if len(saved) != len(here) or len(other) != 1:
            return []
        small, large = sorted(other[0])
        if small < 256 or large % small:
            return []
        factors.add(large // small)
        cut += _CUT.search(pair["name"]) is not None
    if len(factors) != 1 or not cut or not factors <= {2, 4, 8, 16, 32, 64}:
        return []
    return [
        look.entry.guess(
            look, confidence=0.56, why=f"each size differs by the factor {max(factors)}, along one side"
        )
    ]


def removed_by_name(look: Look) -> list[Guess]:
    """A folder's removal asks for bare names (it goes by descriptors); a load asks for a whole path."""
    text = look.reading.lower
    if "rank" not in text and "distributed" not in text and "total_limit" not in text:
        return []
    if re.search(r"load_|_load|restor|torch\.load", text):
        return []
    return [look.entry.guess(look)]


def removed(look: Look) -> list[Guess]:
    """Of a checkpoint, not of any file."""
    path = look.facts().get("path", "")
    if not like_a_checkpoint(path) and "_checkpoint" not in look.match[0].lower():
        return []
    return [look.entry.guess(look)]


def kinds_of_shards(look: Look) -> list[Guess]:
    """Where shards are merged or loaded, not where any program looks at a tensor."""
    said = look.match[0].lower()
    beside = look.reading.lower.replace(said, "")
    if (
        not re.search(r"merg|load|checkpoint|ckpt|state_dict|shard|weight|\bsav", beside)
        and "weight" not in said
    ):
        return []
    rows = (("topology", 0.82), ("format-mismatch", 0.6), ("version-mismatch", 0.55))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def step_sizes(look: Look) -> list[Guess]:
    """A step fails on the optimizer's own tensors; where nothing tells of a load, only those of the state say so."""
    told = re.search(r"resum|load|checkpoint|restor|state\[|exp_avg|momentum|buf\.", look.reading.lower)
    rows = (("optimizer-structure", 0.86), ("shape-mismatch", 0.68), ("topology", 0.5))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows] if told else []


def counts(look: Look) -> list[Guess]:
    """Two counts that should be one: far apart, the one side holds a flat vector and the other tensors."""
    numbers = re.search(r"AssertionError: \(?(\d+), (\d+)\)?", look.reading.text)
    far = numbers is not None and max(map(int, numbers.groups())) > 50 * min(map(int, numbers.groups()))
    rows = (
        (("format-mismatch", 0.74), ("version-mismatch", 0.7), ("shape-mismatch", 0.66))
        if far
        else (("missing-tensor", 0.72), ("version-mismatch", 0.71), ("shape-mismatch", 0.7))
    )
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def leaf(look: Look) -> list[Guess]:
    """What of a leaf is another."""
    kind = (look.match["kind"] or "").lower()
    rows = {
        "shape": (("shape-mismatch", 0.92), ("version-mismatch", 0.55), ("optimizer-structure", 0.4)),
        "dtype": (("dtype-mismatch", 0.92), ("version-mismatch", 0.55), ("shape-mismatch", 0.4)),
        "type": (("format-mismatch", 0.74), ("version-mismatch", 0.7), ("dtype-mismatch", 0.5)),
    }.get(kind, (("missing-tensor", 0.66), ("incomplete-save", 0.64), ("corrupt", 0.6)))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "equinox-leaf",
        "shape-mismatch",
        ("in `like` to", "no data left in file"),
        r"has changed (?P<kind>shape|dtype|type) from (?P<want>\S.{0,80}?) in `like` to (?P<got>\S.{0,80}?) on disk"
        r"|No data left in file",
        why="a leaf of the tree is not what the file holds at that place (leaves are stored in order, without names)",
        remedy="Build `like` with the recorded settings and the same optimizer; `holdfast inspect FILE` lists the arrays.",
        where=apart_from_steps,
        weigh=leaf,
        test="names",
        example="RuntimeError: Deserialised leaf at path () has changed shape from (4,) in `like` to (5,) on disk.",
    ),
    Entry(
        "sizes-of-a-part",
        "topology",
        ("size mismatch for",),
        r"size mismatch for [\w.\-]+: copying a param",
        why="the sizes are those of a part",
        remedy="Merge the parts first (or load with as many as saved); each model-parallel rank reads its own slice.",
        weigh=sizes_of_a_part,
        example=(
            "size mismatch for h.0.mlp.proj.weight: copying a param with shape torch.Size([512, 768]) from checkpoint, "
            "the shape in current model is torch.Size([512, 1536])."
        ),
    ),
    Entry(
        "kind-of-shard-asserted",
        "topology",
        ("isinstance(", "zero-dimensional tensor", "expected dtensor", "mixed torch.tensor and dtensor",
         "tensor' object has no attribute", "parameter' object has no attribute"),
        r"assert isinstance\([^\n]{0,80}?(?:DTensor|ShardedTensor|FlatParameter|LocalShard)\w*\)"
        r"|zero-dimensional tensor \(at position \d+\) cannot be concatenated|expected DTensor, got \w+"
        r"|mixed torch\.Tensor and DTensor|'(?:Tensor|Parameter)' object has no attribute"
        r" '(?:to_local|full_tensor|_local_tensor|placements|device_mesh|redistribute|local_shards)'",
        why="plain tensors stand where parts of several processes are expected: one process saved, or these are kept whole",
        remedy="Merge only what is cut (`DTensor`s), take the rest from one rank; a save of one process needs no merge.",
        where=apart_from_steps,
        weigh=kinds_of_shards,
        test="names",
        example="    assert isinstance(part, DTensor)\nAssertionError (load_checkpoint)",
    ),
    Entry(
        "state-onto-property",
        "version-mismatch",
        ("can't set attribute", "has no setter", "cannot assign to field", "object has no setter"),
        r"(?:from_dict|__setstate__|set_?state|setattr|load|restore|checkpoint|state\[).{0,1500}?(?:can't set attribute"
        r"|has no setter|cannot assign to field)(?: ['\"]?(?P<name>\w+))?",
        why="the saved state sets `{name}`, which this version computes and does not let be set",
        remedy="Restore with the version that saved; or drop that entry from the state before it is set.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.58), ("format-mismatch", 0.45)),
        example="    self.config.update_from_dict(saved[\"config\"])\nAttributeError: can't set attribute",
    ),
    Entry(
        "counts-asserted",
        "format-mismatch",
        ("assert len(",),
        r"assert len\((?P<one>\w*(?:weight|variable|param|leaves|leaf|tensor|state|layer)\w*)\) == len\((?P<other>[\w.()]+)\)",
        why="`{one}` and `{other}` are not as many: the state is laid out in another way, or of another version of the model",
        remedy="Restore in the mode and with the version that saved (eager or graph, flat or by tensor).",
        where=loading_or_alone,
        weigh=counts,
        test="names",
        example="    assert len(weights) == len(variables)\nAssertionError",
    ),
    Entry(
        "step-in-a-name",
        "format-mismatch",
        ("invalid literal for int()",),
        r"invalid literal for int\(\) with base 10: '(?P<name>[^'\n]*(?:checkpoint|ckpt|tmp|step|epoch|best|last|final|iter"
        r"|placeholder|\.pth?|orbax|model)[^'\n]*)'",
        why="`{name}` is no step number: the names in the folder are not those that this version of the program writes",
        remedy="Move what the program did not write (or left unfinished) out of the folder; name the checkpoint itself.",
        where=apart_from_steps,
        weigh=lambda look: [
            look.entry.guess(look, label, confidence=sure)
            for label, sure in (
                (("version-mismatch", 0.84), ("format-mismatch", 0.5))
                if "placeholder" in look.match[0].lower()
                else (("incomplete-save", 0.76), ("format-mismatch", 0.66), ("not-found", 0.5))
                if "tmp" in look.match[0].lower()
                else (("format-mismatch", 0.66), ("not-found", 0.62), ("version-mismatch", 0.55))
            )
        ],
        test="whole",
        example="ValueError: invalid literal for int() with base 10: 'step_5.orbax-checkpoint-tmp'",
    ),
    Entry(
        "version-of-a-checkpoint",
        "version-mismatch",
        ("checkpoint version", "checkpoint format version", "version of the checkpoint", "version of checkpoint"),
        r"checkpoint (?:format )?versions?\b[^\n]{0,60}?(?:not supported|unsupported|is newer|is older|mismatch|does not match"
        r"|incompatible|not match|expected)"
        r"|(?:unsupported|unknown|incompatible|invalid|unrecognized) checkpoint (?:format )?version"
        r"|version of (?:the )?checkpoint[^\n]{0,60}?(?:differ|not|newer|older)",
        why="the checkpoint's own version number is not one that this program reads",
        remedy="Use the version that saved; or convert (older writers leave no version: it reads as 0).",
        weigh=ranked(("version-mismatch", 0.9), ("format-mismatch", 0.66)),
        example="ValueError: Checkpoint version 1 is not supported",
    ),
    Entry(
        "tensorstore-spec",
        "version-mismatch",
        ("object includes extra members", "error parsing object member", "missing object members", "object is missing"),
        r"Object includes extra members: [\"'](?P<name>\w+)|Error parsing object member \\?[\"'](?P<name2>\w+)"
        r"|missing object members|object is missing",
        why="TensorStore does not know `{name}` in the specification: it is older than the Orbax that asks (or the reverse)",
        remedy="Upgrade `tensorstore` together with `orbax-checkpoint`.",
        where=apart_from_steps,
        also=("format-mismatch",),
        weight=0.82,
        example='ValueError: Object includes extra members: "recheck"',
    ),
    Entry(
        "tensorstore-key",
        "not-found",
        ("invalid key: ",),
        r"(?:zarr|tensorstore|local file|ocdbt)[^\n]{0,400}?Invalid key: \\?\"(?P<path>[^\"\n]+)",
        why="TensorStore takes no relative paths (`{path}`)",
        remedy="Give an absolute path (`os.path.abspath`), with no `..` or `./` in it.",
        weigh=ranked(("not-found", 0.92), ("storage", 0.6), ("version-mismatch", 0.5)),
        test="path",
        example='ValueError: Error opening "zarr" driver: Error writing local file "./a/.zarray": Invalid key: "./a/.zarray"',
    ),
    Entry(
        "exit-where-missing",
        "not-found",
        ("exit-on-missing-checkpoint", "exit_on_missing_checkpoint"),
        r"(?:exit-on-missing-checkpoint|exit_on_missing_checkpoint)'? set \.\.\. exiting",
        why="there is no checkpoint in the folder that was given (no tracker file), and the run was told to stop then",
        remedy="Give the folder that holds `latest_checkpointed_iteration.txt`, and the format that is there (`--ckpt-format`).",
        weigh=ranked(("not-found", 0.86), ("format-mismatch", 0.6), ("incomplete-save", 0.5)),
        test="path",
        example=">> '--exit-on-missing-checkpoint' set ... exiting. <<",
    ),
    Entry(
        "state-of-parameters-empty",
        "missing-tensor",
        ("_optimstatekey", "use_orig_params=true", "optimizer state for", "no optimizer state"),
        r"The state of _OptimStateKey\(.{0,2000}?is empty|_OptimStateKey\(.{0,2000}?(?:KeyError|not found|missing|Error)",
        why="some parameters have no optimizer state: they took no part in training (no gradient) before the save",
        remedy="Freeze them (so that the optimizer does not hold them), or resume without the optimizer's state.",
        weigh=ranked(("missing-tensor", 0.74), ("optimizer-structure", 0.72), ("resume-state", 0.68)),
        test="names",
        example="RuntimeError: The state of _OptimStateKey(unflat_param_names=('a.w',), is_fsdp_managed=True) is empty.",
    ),
    Entry(
        "compiled-names-in-parts",
        "renamed",
        ("missing key in checkpoint",),
        r"\bcompile\b.{0,2000}?Missing key in checkpoint state_dict: (?P<key>[\w.\-]+)",
        why="torch.compile put `_orig_mod.` before the names on one side, so that `{key}` is not found",
        remedy="Save and load the state through `get_model_state_dict`, or compile in place (`model.compile()`).",
        weigh=ranked(("renamed", 0.82), ("missing-tensor", 0.74), ("version-mismatch", 0.4)),
        test="names",
        example="--compile=True\nRuntimeError: Missing key in checkpoint state_dict: a.weight.",
    ),
    Entry(
        "ranks-of-different-minds",
        "concurrency",
        ("negative dimension -",),
        r"negative dimension -\d{12,}",
        why="a size that a rank received is garbage: one rank loads while another goes on (not all found the checkpoint)",
        remedy="Let rank 0 find the checkpoint and broadcast its path; a barrier before and after the load.",
        context=("resum", "checkpoint", "load"),
        only_in=True,
        weigh=ranked(("concurrency", 0.74), ("topology", 0.62), ("corrupt", 0.6)),
        example="resume_from_checkpoint\nRuntimeError: Trying to create tensor with negative dimension -68624545736710767",
    ),
    Entry(
        "stream-without-that",
        "storage",
        ("unsupportedoperation",),
        r"UnsupportedOperation: (?P<what>fileno|seek|truncate|underlying stream|can't do|read|write|not writable|not readable)",
        why="the stream (a bucket's, a buffer's) cannot do what the writer asks of a file (`{what}`)",
        remedy="Write to a local file and upload it; or the storage writer's own switch (`sync_files=False`).",
        context=("checkpoint", "ckpt", "save", "s3", "gs:", "gcs", "filesystem.py", "safetensors", "torch"),
        only_in=True,
        weigh=ranked(("storage", 0.74), ("version-mismatch", 0.62), ("format-mismatch", 0.55)),
        test="space",
        example='  File "checkpoint/filesystem.py", line 3, in write_data\nio.UnsupportedOperation: fileno',
    ),
    Entry(
        "merger-settings-absent",
        "version-mismatch",
        ("fsdp_config.json",),
        r"(?P<path>\S*fsdp_config\.json)'? ?(?:does not exist|not found)|(?:No such file|not find|not found)[^\n]{0,80}"
        r"fsdp_config\.json",
        why="the merger of this version wants a file that older versions did not write",
        remedy="Write it by hand (version of FSDP, number of processes), or merge with the version that saved.",
        weigh=ranked(("version-mismatch", 0.84), ("not-found", 0.6), ("incomplete-save", 0.5)),
        test="path",
        example="ck/actor/fsdp_config.json does not exist.",
    ),
    Entry(
        "file-removed-by-name",
        "concurrency",
        ("no such file or directory: '",),
        r"No such file or directory: '(?P<path>(?:rng_state|random_states|optimizer|scheduler|pytorch_model|model|training_args"
        r"|trainer_state|tokenizer|zero_pp_rank|bf16_zero|mp_rank|distcp|__\d)[\w\-]*\.\w+)'",
        why="`{path}` without its folder: a removal of the folder was under way, and another rank had removed it before",
        remedy="Let one rank delete old checkpoints (`save_on_each_node` only where the disks are not shared).",
        where=apart_from_steps,
        weigh=removed_by_name,
        also=("retention", "not-found"),
        weight=0.87,
        example="save_total_limit=2\nFileNotFoundError: [Errno 2] No such file or directory: 'rng_state_3.pth'",
    ),
    Entry(
        "entry-of-a-rank",
        "topology",
        ("keyerror: (",),
        r"(?:\btp|\bpp|\bdp|rank|stage|shard|parallel|transformer_file_map).{0,400}?KeyError: \(\d+, \d+(?:, \d+)?\)",
        why="the checkpoint has no files of that parallel rank: it was saved with other tensor and pipeline sizes",
        remedy="Convert with the sizes that saved; a run without pipeline stages leaves no `layer_*` files.",
        where=storing_or_alone,
        weigh=ranked(("topology", 0.8), ("format-mismatch", 0.66), ("incomplete-save", 0.5)),
        example="    files = self.map[(tp, pp)]\nKeyError: (0, 1)",
    ),
    Entry(
        "optimizer-step-sizes",
        "optimizer-structure",
        ("size of tensor a", "sizes do not match", "size mismatch", "must match the size", "shape mismatch"),
        r"(?:state\[['\"]\w+['\"]\]|exp_avg|momentum_buffer|buf\.mul_|\.lerp_\(|addcdiv_|addcmul_|multi_tensor_adam|fused_adam"
        r"|[/\\]optim[/\\]\w+\.py).{0,900}?(?:size of tensor a|sizes do not match|size mismatch|shape mismatch)",
        why="the optimizer's stored state has other sizes than its parameters: it was matched to them by position",
        remedy="Build the parameters in the same order (and all of them) before the optimizer, and load its state after that.",
        weigh=step_sizes,
        test="names",
        example="    buf.mul_(momentum).add_(d_p)\nRuntimeError: invalid argument 3: sizes do not match at x.cu:271",
    ),
    Entry(
        "stager-closed",
        "version-mismatch",
        ("keyerror: <class",),
        r"(?:stager|staging|deepcopy_dispatch|checkpoint).{0,1500}?KeyError: <class '(?P<kind>[\w.]+)'>",
        why="a table of types has no `{kind}`: the background writer was closed already, or is of another version",
        remedy="A stager of its own for each save; upgrade torch.",
        weigh=ranked(("version-mismatch", 0.82), ("async-save", 0.74), ("unserialisable", 0.55)),
        example="    state_dict = self._state_dict_stager.stage(\nKeyError: <class 'type'>",
    ),
    Entry(
        "object-of-a-collective",
        "concurrency",
        ("_unpickler(", "_tensor_to_object", "broadcast_object", "gather_object"),
        r"(?:_unpickler\(io\.BytesIO\(buf\)|_tensor_to_object|(?:broadcast|gather)_object).{0,900}?(?:EOFError|UnpicklingError"
        r"|negative dimension|storage has wrong|MemoryError)",
        why="an object that one rank sent arrived as garbage at another: the ranks are not at the same place (not all loaded)",
        remedy="Find the checkpoint on rank 0 and broadcast its path; all ranks must load, or none.",
        weigh=ranked(("concurrency", 0.93), ("topology", 0.6), ("corrupt", 0.55)),
        example="      return _unpickler(io.BytesIO(buf)).load()\nEOFError: Ran out of input",
    ),
    Entry(
        "removed-before",
        "concurrency",
        ("os.remove", "os.unlink", "_del_model", "remove_checkpoint", ".unlink(", "rotate_checkpoint", "delete_checkpoint"),
        r"(?:os\.remove|os\.unlink|_del_model|(?:remove|rotate|delete)_checkpoints?|\.unlink\().{0,600}?(?:FileNotFoundError"
        r"|No such file or directory)[^\n]{0,60}?'(?P<path>[^'\n]+)'",
        why="`{path}` was gone when it was to be removed: each rank removes old checkpoints, or another program did",
        remedy="Let rank 0 alone remove, and ignore what is gone.",
        weigh=removed,
        also=("retention", "not-found"),
        weight=0.88,
        example="    os.remove(filepath)\nFileNotFoundError: [Errno 2] No such file or directory: '/runs/epoch=1.ckpt'",
    ),
    Entry(
        "not-there-for-a-rank",
        "concurrency",
        ("global_rank: ", "member: "),
        r"GLOBAL_RANK: [1-9]\d*, MEMBER.{0,3000}?(?:FileNotFoundError|not found|No such file)",
        why="another rank than the first finds no checkpoint: it looks before rank 0 has written it, or on another disk",
        remedy="A barrier between the save and the load; one file system for all nodes.",
        weigh=ranked(("concurrency", 0.85), ("not-found", 0.7), ("storage", 0.5)),
        test="path",
        example="GLOBAL_RANK: 1, MEMBER: 2/2\nFileNotFoundError: Checkpoint at a/last.ckpt not found.",
    ),
)  # fmt: skip
