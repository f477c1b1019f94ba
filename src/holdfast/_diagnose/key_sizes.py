"""What shapes that do not agree say of a load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .key_lists import Sized, decoded
from .knowledge import Guess, Look

__all__ = ["CONFIRM", "sized", "sized_otherwise"]

CONFIRM = "Hold the checkpoint's names and shapes against the model's: `holdfast check CKPT module:factory`."


def sized(look: Look, all_sizes: Sequence[Sized]) -> Guess:
    """What the sizes that do not agree say."""
    one = all_sizes[0]
    lower = look.reading.lower
    why = f"`{one.name}` has shape {list(one.checkpoint)} in the checkpoint" + (
        f" and {list(one.model)} in the model" if one.model else ""
    )
    label, sure = "shape-mismatch", 0.9
    remedy = "Build the layer with the recorded size, or leave it out on purpose and train it anew."
    packed = any(word in lower for word in ("4bit", "8bit", "quantiz", "params4bit", "gptq", "bnb"))
    if one.model and one.checkpoint == one.model and "got mixed torch.tensor and dtensor" in lower:
        label, sure = "topology", 0.9
        why = (
            f"`{one.name}` is split over ranks in the model (a DTensor, by fully_shard or tensor parallelism), and whole in the "
            "state dict"
        )
        remedy = (
            "Hand it out to the ranks: torch.distributed.checkpoint.state_dict.set_model_state_dict(model, state, "
            "options=StateDictOptions(full_state_dict=True)), on all ranks; or load before fully_shard."
        )
    elif one.model and one.checkpoint == one.model:
        why = f"`{one.name}` has the same shape {list(one.model)} on both sides, and copying it failed all the same"
        wrong = any(word in lower for word in ("cuda", "device")) and not packed
        label, sure = ("device-mismatch", 0.6) if wrong else ("dtype-mismatch", 0.72)
        why += (
            ": the error of the device stands below it"
            if wrong
            else ": the number type differs (a quantised tensor, a float one)"
        )
        remedy = (
            "Read the exception that follows the list; build the model with the same quantisation and number "
            "type as was saved."
        )
    elif packed and len(one.model) == 2 and 1 in (*one.checkpoint, *one.model):
        label, sure = "dtype-mismatch", 0.85
        why, remedy = why + "; a packed (quantised) weight", "Build it with the same quantisation."
    elif len(all_sizes) > 1 and all(o.checkpoint in ((0,), (1,)) and len(o.model) > 1 for o in all_sizes):
        label, sure = "topology", 0.9
        why += (
            ", as all the others: what was saved are the placeholders that stay where ZeRO-3 or FSDP "
            "keeps the weights in pieces"
        )
        remedy = (
            "Save the gathered weights (DeepSpeed: `stage3_gather_16bit_weights_on_model_save`, or `zero_to_fp32.py` on its own "
            "checkpoint; FSDP: a full state dict)."
        )
    elif "flat_param" in one.name:
        label, sure = "topology", 0.88
        why += ": a flattened piece of FSDP, cut for another number of processes or another wrapping"
        remedy = "Load under the same wrapping and world size, or save full or sharded state dicts in place of local ones."
    elif (ranks := _cut_in_ranks(one)) > 1:
        label, sure = "topology", 0.9
        why += f": one side holds a {ranks}th of one dimension, as tensor parallelism cuts such a layer among {ranks} processes"
        remedy = "Load with the number of processes that saved, or merge the parts first (the trainer's conversion script)."
    elif one.same_count:
        why += "; the number of elements is the same, so the layout changed (reshape or transpose it)"
        remedy = "Reshape or transpose these tensors when loading; the values are the same."
    elif one.changed is not None:
        a, b = one.changed
        why += f": {a} became {b}" + decoded(a, b, one.name)
    if label == "shape-mismatch" and any(
        word in one.name.lower() for word in ("embed", "wte", "lm_head", "shared.weight")
    ):
        remedy = "Resize the embedding to the tokenizer of the checkpoint (`resize_token_embeddings(len(tokenizer))`) first."
    facts = {"tensor": one.name, "checkpoint": one.checkpoint, "model": one.model}
    return Guess(label, sure, why, remedy, one.text, CONFIRM, facts, "names", look.entry.slug)


def sized_otherwise(look: Look, first: Guess) -> list[Guess]:
    """What else sizes that do not agree may come from: another version of the layer, another vocabulary."""
    if first.label != "shape-mismatch":
        return [replace(first, label="shape-mismatch", confidence=0.5)]
    name = str(first.facts["tensor"]).lower()
    old = "the layer is of another version of the code (or of PyTorch), which keeps its tensors in another shape"
    version = replace(
        first, label="version-mismatch", confidence=0.42, why=old, remedy="Use the version that saved."
    )
    one = (first.facts["checkpoint"], first.facts["model"])
    if len(one[0]) > 3 and one[0] != one[1] and sorted(one[0]) == sorted(one[1]):
        why = f"the dimensions stand in another order ({list(one[0])}, {list(one[1])}): the library keeps this layer otherwise"
        remedy = (
            "Use the version of the library that saved (spconv 1 and 2 differ so), or permute these tensors."
        )
        return [replace(version, confidence=0.95, why=why, remedy=remedy)]
    if _SCALAR.search(look.reading.flat):
        why = "one side keeps a number as a tensor without dimensions and the other with one: PyTorch 0.4 changed that"
        return [replace(version, confidence=0.95, why=why)]
    if any(word in name for word in ("emb", "wte", "lm_head", "vocab", "symbol", "char", "text")):
        why = "another tokenizer, vocabulary or list of labels was in use when the checkpoint was saved"
        remedy = "Use the vocabulary that was saved with it."
        return [replace(first, label="preprocessing", confidence=0.46, why=why, remedy=remedy), version]
    return [version, replace(first, label="missing-tensor", confidence=0.3)]


def _cut_in_ranks(one: Sized) -> int:
    """Into how many parts a layer is cut that large-model trainers cut, told by its name and its one changed dimension."""
    if one.changed is None or len(one.model) > 2 or _CUT.search(one.name) is None:
        return 0
    small, large = sorted(one.changed)
    parts, rest = divmod(large, small) if small else (0, 0)
    return parts if not rest and parts in (2, 4, 8, 16) and large >= 1024 else 0


_CUT = re.compile(
    r"(?:transformer|language_model|decoder)\.(?:layers|h|wte|word_embeddings|encoder\.layers|embedding)\b"
    r"|query_key_value|dense_h_to_4h|dense_4h_to_h|word_embeddings"
)
_SCALAR = re.compile(
    r"torch\.Size\(\[\]\).{0,90}?torch\.Size\(\[1\]\)|torch\.Size\(\[1\]\).{0,90}?torch\.Size\(\[\]\)"
)
