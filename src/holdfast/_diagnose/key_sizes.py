"""What shapes that do not agree say of a load."""

from __future__ import annotations

from collections.abc import Sequence

from .key_lists import Sized, decoded
from .knowledge import Guess, Look

__all__ = ["CONFIRM", "sized"]

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
    if packed and len(one.model) == 2 and 1 in (*one.checkpoint, *one.model):
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
