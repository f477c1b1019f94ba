"""DeepSpeed's checkpoints: the files of an engine, their conversion to whole weights, universal checkpoints.

Messages: deepspeed/runtime/{engine,state_dict_factory}.py, runtime/zero/stage*.py, checkpoint/*.py, utils/zero_to_fp32.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone

_CONVERT = "Load it with the stage and number of processes that saved, or convert it (`zero_to_fp32.py`, `ds_to_universal.py`)."
_PART = r"zero_pp_rank_(?P<rank>\d+)_mp_rank_(?P<mp>\d+)"


def placeholders(look: Look) -> list[Guess]:
    """Sizes in which ZeRO-3 leaves what it has cut up: 0, or 1 in old versions; one such size may be a real one."""
    sizes = re.findall(
        r"shape torch\.Size\(\[([\d, ]*)\]\) from checkpoint, the shape in current model is torch\.Size\(\[([\d, ]*)\]\)",
        look.reading.flat,
    )
    empty = [pair for pair in sizes if "0" in pair]
    ones = [pair for pair in sizes if pair[0] == "1" and pair[1] != "1"]
    of_norms = re.search(
        r"(?:norm|ln_?\w*)\.(?:weight|bias): copying a param with shape torch\.Size\(\[1\]\)",
        look.reading.flat,
    )
    if sizes and all(pair[1] in ("0", "1") for pair in sizes) and any("," in pair[0] for pair in sizes):
        empty = sizes  # the model's own are cut up, and what is loaded is whole
    if not empty and not (len(ones) > 2 or of_norms or any("," in pair[1] for pair in ones)):
        return []
    return [
        look.entry.guess(look, confidence=0.985 if empty else 0.97),
        look.entry.guess(look, "shape-mismatch", confidence=0.6),
        look.entry.guess(look, "incomplete-save", confidence=0.45),
    ]


def absent_parts(look: Look) -> list[Guess]:
    """A list of parts that are not there: of ranks that did not run then, or that did not save."""
    whole = (
        re.search(r"zero_pp_rank_0_mp_rank_00|\[?'?[^\[\]]*mp_rank_00_model_states", look.match[0])
        is not None
    )
    return [
        look.entry.guess(look, confidence=0.6 if whole else 0.8),
        look.entry.guess(look, "incomplete-save", confidence=0.78 if whole else 0.7),
        look.entry.guess(look, "not-found", confidence=0.74 if whole else 0.6),
        look.entry.guess(
            look,
            "storage",
            confidence=0.58,
            why="each machine kept its own ranks' parts, on a disk of its own",
        ),
    ]


def entry_of_a_stage(look: Look) -> list[Guess]:
    """An entry that only some stage, or some version, writes."""
    key = look.match["key"]
    if key in (
        "ds_version",
        "universal_checkpoint_info",
        "param_shapes",
        "buffer_names",
        "shared_params",
        "param_slice_mappings",
    ):
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.84),
            look.entry.guess(look, "format-mismatch", confidence=0.7),
            look.entry.guess(look, confidence=0.45),
        ]
    return [
        look.entry.guess(look, confidence=0.8),
        look.entry.guess(look, "format-mismatch", confidence=0.72),
        look.entry.guess(look, "version-mismatch", confidence=0.62),
    ]


ENTRIES = (
    Entry(
        "zero-placeholder-sizes",
        "topology",
        ("copying a param with shape torch.size([",),
        r"size mismatch for (?P<tensor>[\w.]+): copying a param with shape torch\.Size\(\[(?P<then>[\d, ]*)\]\) from "
        r"checkpoint, "
        r"the shape in current model is torch\.Size\(\[(?P<now>[\d, ]*)\]\)",
        why=(
            "ZeRO-3 has cut the parameters up and left empty ones in their place ({then} against {now}): whole and "
            "cut weights "
            "are mixed"
        ),
        remedy=(
            "Save through the engine (`save_checkpoint`, or `save_16bit_model` with "
            "`stage3_gather_16bit_weights_on_model_save`); "
            "load whole weights before `deepspeed.initialize`, or under `deepspeed.zero.GatheredParameters`."
        ),
        where=loading_or_alone,
        weigh=placeholders,
        example=(
            "size mismatch for encoder.weight: copying a param with shape torch.Size([64, 32]) from checkpoint, the "
            "shape in "
            "current model is torch.Size([0])."
        ),
    ),
    Entry(
        "zero-numels",
        "version-mismatch",
        ("numels out of",),
        r"consumed (?P<used>\d+) numels out of (?P<have>\d+)",
        why=(
            "the script counts {used} elements where the partitions hold {have}: it is of another DeepSpeed version "
            "than wrote "
            "them (padding, frozen or shared parameters are laid out otherwise)"
        ),
        remedy=(
            "Use the `zero_to_fp32.py` of the DeepSpeed version that saved (it lies beside the checkpoint), or a "
            "newer one."
        ),
        weigh=ranked(("version-mismatch", 0.84), ("topology", 0.5), ("incomplete-save", 0.45)),
        example="ValueError: consumed 1024 numels out of 1028 - something is wrong",
    ),
    Entry(
        "zero-unknown-stage",
        "format-mismatch",
        (
            "unknown zero stage",
            "is not a zero checkpoint",
            "is not a model state checkpoint",
            "bogus deepspeed checkpoint",
        ),
        r"unknown zero stage (?P<stage>\d+)?|is not a (?:zero|model state) checkpoint|bogus DeepSpeed checkpoint",
        why=(
            "the script converts other kinds than this checkpoint was written as (a stage below 2 holds whole "
            "weights already; only a pipeline writes a file for each layer)"
        ),
        remedy="Of stage 0 or 1 take `mp_rank_00_model_states.pt` (`['module']`) itself; or a newer `zero_to_fp32.py`.",
        weigh=ranked(("format-mismatch", 0.85), ("version-mismatch", 0.72), ("topology", 0.5)),
        example="ValueError: unknown zero stage 1",
    ),
    Entry(
        "zero-no-files",
        "not-found",
        (
            "no zero files found",
            "*_optim_states.pt' files",
            "_optim_states.pt files in",
            "can't find model states file",
            "can't find files",
            "can't find '*",
            "can't find *",
            "unable to find latest",
            "unable to find 'latest",
            "unable to find 'latest' file",
            "unable to find latest file",
            "no *_states",
        ),
        r"No ZeRO files found in (?P<path>\S+)|can't find (?:'?\*|model states file|files)[^\n]{0,160}"
        r"|Unable to find '?latest'? file at (?P<path2>\S+)|no \*_states",
        why=(
            "there are no parts of a ZeRO optimizer at that path: another folder, a stage or an option that does not write "
            "them, or another way to name them"
        ),
        remedy="Give the folder with `latest` and `global_step...`; `holdfast FOLDER` says what lies there.",
        weigh=ranked(("not-found", 0.84), ("format-mismatch", 0.62), ("incomplete-save", 0.6)),
        test="path",
        example="AssertionError: No ZeRO files found in ckpt/global_step1/",
    ),
    Entry(
        "deepspeed-no-model-files",
        "incomplete-save",
        ("len(self.ckpt_list) > 0", "checkpoint list is empty", "len(ckpt_list) > 0"),
        "",
        why="DeepSpeed found no file of the model (`mp_rank_*_model_states.pt`) in that checkpoint",
        remedy=(
            "Take a checkpoint that the engine saved whole; another folder than meant, or one of which files were "
            "deleted."
        ),
        weigh=ranked(("incomplete-save", 0.78), ("not-found", 0.76), ("format-mismatch", 0.45)),
        test="path",
        example="    assert len(self.ckpt_list) > 0\nAssertionError",
    ),
    Entry(
        "deepspeed-parts-absent",
        "topology",
        ("zero checkpoint",),
        r"zero checkpoints? paths are missing:?.{0,300}",
        why="DeepSpeed asks for a part of each process that runs now, and some are not there: fewer saved, or not all did",
        remedy="Run with as many processes as saved, or convert to a universal checkpoint; else take an older checkpoint.",
        weigh=absent_parts,
        test="whole",
        example=(
            "The following zero checkpoints paths are missing: "
            "['ckpt/global_step5/zero_pp_rank_8_mp_rank_00_optim_states.pt']"
        ),
    ),
    Entry(
        "deepspeed-part-not-there",
        "not-found",
        ("states.pt",),
        r"(?:No such file or directory|FileNotFoundError|does not exist|not found|Unable to find)[^\n]{0,200}"
        r"(?:zero_pp_rank_(?P<rank>\d+)_mp_rank_\d+|layer_\d+-model_\d+|mp_rank_(?P<mp>\d+))\S*states\.pt"
        r"|(?:zero_pp_rank_(?P<rank2>\d+)_mp_rank_\d+|layer_\d+-model_\d+|mp_rank_(?P<mp2>\d+))\S*states\.pt'?[^\n]{0,60}"
        r"(?:does not exist|not found)",
        why="the part of this process is not in the checkpoint (never saved, deleted, or other processes saved)",
        remedy=_CONVERT + " Without the optimizer: `load_optimizer_states=False, load_module_only=True`.",
        where=storing_or_alone,
        weigh=ranked(("not-found", 0.8), ("topology", 0.72), ("incomplete-save", 0.66)),
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'out/global_step7/mp_rank_03_model_states.pt'",
    ),
    Entry(
        "deepspeed-stage-entry",
        "topology",
        (
            "single_partition_of_fp32_groups",
            "fp32_flat_groups",
            "partition_count",
            "zero_stage",
            "base_optimizer_state",
            "optimizer_state_dict",
            "fp32_groups",
            "universal_checkpoint_info",
            "param_shapes",
            "ds_version",
            "buffer_names",
            "param_slice_mappings",
            "shared_params",
            "group_paddings",
        ),
        r"KeyError:? ?\(?['\"](?P<key>single_partition_of_fp32_groups|fp32_flat_groups|partition_count|zero_stage"
        r"|base_optimizer_state"
        r"|optimizer_state_dict|fp32_groups|universal_checkpoint_info|param_shapes|ds_version|buffer_names"
        r"|param_slice_mappings"
        r"|shared_params|group_paddings)",
        why=(
            "the checkpoint has no `{key}`: it was saved by another ZeRO stage, without ZeRO, or by another version "
            "of DeepSpeed"
        ),
        remedy=_CONVERT,
        weigh=entry_of_a_stage,
        example="KeyError: 'single_partition_of_fp32_groups'",
    ),
    Entry(
        "universal-info",
        "version-mismatch",
        ("universal_checkpoint_info", "universal checkpoint", "latest_universal", "zero_checkpoint_version"),
        r"(?:universal_checkpoint_info|latest_universal|universal checkpoint)[^\n]{0,120}?(?:required|missing|not"
        r"|unable|invalid|must|error)"
        r"|(?:required|missing|not|unable|invalid|must|no) [^\n]{0,80}(?:universal_checkpoint_info|latest_universal"
        r"|universal checkpoint)",
        why=(
            "this is no universal checkpoint, or one that lacks what its reader needs (made by an engine that does "
            "not write it)"
        ),
        remedy="Convert first (`ds_to_universal.py --inject_missing_state`), and give the folder that it wrote.",
        where=storing_or_alone,
        weigh=ranked(("format-mismatch", 0.7), ("version-mismatch", 0.68), ("not-found", 0.5)),
        example="AssertionError: Required universal_checkpoint_info state is missing in checkpoint.",
    ),
    Entry(
        "deepspeed-tag",
        "concurrency",
        ("is not consistent across all ranks",),
        r"checkpoint tag name '?(?P<tag>[^']*)'? is not consistent across all ranks",
        why="each process saves under another name (`{tag}`), so that the parts of one checkpoint lie in several folders",
        remedy="Use one tag on all ranks (no time, no host in it).",
        also=("topology", "incomplete-save"),
        weight=0.88,
        example="[rank=1] The checkpoint tag name 'run-1' is not consistent across all ranks.",
    ),
    Entry(
        "zero-16bit-not-gathered",
        "incomplete-save",
        ("gather_16bit_weights_on_model_save", "gather_fp16_weights_on_model_save", "did not save the model"),
        r"stage3_gather_(?:fp16|16bit)_weights_on_model_save[^\n]{0,80}|Did not save the model [^\n]{0,120}",
        why="ZeRO-3 does not gather the weights at a save unless it is told to: no whole weights were written",
        remedy="Set `stage3_gather_16bit_weights_on_model_save: true`, or convert the parts with `zero_to_fp32.py`.",
        weigh=ranked(("incomplete-save", 0.78), ("topology", 0.74), ("format-mismatch", 0.4)),
        example="Did not save the model out/model.bin because `stage3_gather_16bit_weights_on_model_save` is False",
    ),
    Entry(
        "zero-to-fp32-other",
        "version-mismatch",
        (
            "zero_to_fp32",
            "zero checkpoint",
            "ds_to_universal",
            "deepspeed/checkpoint/",
            "detected checkpoint of type",
        ),
        r"(?P<where>zero_to_fp32|Processing zero checkpoint|Detected checkpoint of type zero|ds_to_universal"
        r"|deepspeed/checkpoint/)"
        r".{0,4000}?(?:Error|Exception)\b",
        why=(
            "the converter of DeepSpeed's parts fails: it belongs to another version, or the parts are of another "
            "kind than it reads"
        ),
        remedy="Use the `zero_to_fp32.py` that lies beside the checkpoint, with the DeepSpeed version that saved.",
        weigh=ranked(("version-mismatch", 0.56), ("format-mismatch", 0.54), ("incomplete-save", 0.5)),
        example=(
            "Processing zero checkpoint 'ckpt/global_step2'\nTypeError: helper() takes 1 positional argument but "
            "2 were given"
        ),
    ),
    Entry(
        "saved-too-small",
        "incomplete-save",
        ("zero", "stage", "deepspeed", "fsdp"),
        r"(?:zero[\s_\-]?3|stage[\s_\-]?3|deepspeed|fsdp).{0,300}?(?:only|just|merely|about) (?:about |has )?"
        r"(?P<size>\d+(?:\.\d+)? ?(?:kb|k|mb|m))\b",
        why="the file has {size}: each process holds a part, and only empty places for them were saved",
        remedy="`stage3_gather_16bit_weights_on_model_save: true`, or `zero_to_fp32.py` on the checkpoint's folder.",
        where=storing_or_alone,
        context=("saved", "save", "model.bin", "checkpoint", "safetensors"),
        only_in=True,
        weigh=ranked(("incomplete-save", 0.76), ("topology", 0.72), ("missing-tensor", 0.4)),
        test="names",
        example="with DeepSpeed ZeRO stage 3 the saved pytorch_model.bin is only 400 KB",
    ),
    Entry(
        "empty-places",
        "topology",
        ("torch.size([0])", "tensor([], "),
        r"[\w.]+\.(?:weight|bias)['\"]? ?[:,] ?(?:torch\.Size\(\[0\]\)|tensor\(\[\], )(?=.{0,200}?(?:torch\.Size\(\[0\]\)"
        r"|tensor\(\[\], ))",
        why="the parameters are empty: ZeRO-3 left places there, and the parts lie in the files of the ranks",
        remedy="Merge them (`python zero_to_fp32.py FOLDER OUT`), or gather when saving.",
        weigh=ranked(("topology", 0.82), ("incomplete-save", 0.76), ("shape-mismatch", 0.5)),
        test="names",
        example="a.weight : torch.Size([0])\nb.bias : torch.Size([0])",
    ),
)
