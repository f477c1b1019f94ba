"""Errors that are put down to a checkpoint and have nothing to do with one: what they are."""

from __future__ import annotations

import re
from typing import NamedTuple

from .reading import Reading

__all__ = ["ELSEWHERE", "Elsewhere", "told_elsewhere"]


class Elsewhere(NamedTuple):
    """has: a literal (small letters) that must stand in the text. says: the pattern of the message. why: what it is.
    example: a text that it must be found in."""

    has: str
    says: str
    why: str
    example: str


ELSEWHERE = (
    Elsewhere(
        "serialize non-leaf tensor",
        r"refusing to serialize non-leaf tensor",
        "a tensor that belongs to a graph is sent to another process (a queue, a worker of a DataLoader); `torch.save` writes "
        "such tensors. Send `tensor.detach()`",
        "RuntimeError: Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
        "crossing process boundaries.",
    ),
    Elsewhere(
        "is not json serializable",
        r"type (?:Decimal|datetime|date|timedelta|UUID|ObjectId|Response|QuerySet|Cursor) is not JSON serializable",
        "a value of a database or a web service is turned into JSON, which has no such kind: `json.dumps(value, default=str)`, "
        "or turn it into text or a number first",
        "TypeError: Object of type Decimal is not JSON serializable",
    ),
    Elsewhere(
        "; try pickling a ",
        r"annot pickle (?:CUDA|meta) storage; try pickling",
        "the memory of a tensor is sent to another process, where only the tensor itself can be sent; nothing is saved. Send the "
        "tensor, or its copy on the host (`tensor.cpu()`)",
        "RuntimeError: Cannot pickle CUDA storage; try pickling a CUDA tensor instead",
    ),
    Elsewhere(
        "distributedvariable.handle",
        r"DistributedVariable\.handle is not available outside the replica context",
        "the training step was called directly, in the strategy's scope; a mirrored variable can be updated only where "
        "`strategy.run(step, args=...)` runs it. Saving in the same loop is sound",
        "ValueError: DistributedVariable.handle is not available outside the replica context or a "
        "`tf.distribute.Strategy.update()` call.",
    ),
    Elsewhere(
        'inside "with strategy.scope()"',
        r"Need to be inside \"with strategy\.scope\(\)\"",
        "the optimizer makes its variables at the first step, and that was outside `strategy.scope()`: build it in the scope "
        "(`optimizer.build(model.trainable_variables)`) and run the step by `strategy.run`",
        'RuntimeError: Need to be inside "with strategy.scope()" for <MirroredStrategy object>',
    ),
    Elsewhere(
        "checkpoint",
        r"(?:torch\.utils\.checkpoint\W|this checkpoint\(\) is not necessary|use_reentrant parameter should be passed)",
        "activation checkpointing (`torch.utils.checkpoint`) computes activations anew in the backward pass to save "
        "memory; nothing is "
        "written to disk. Pass `use_reentrant=False`, and keep what runs in it the same both times",
        "UserWarning: torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly.",
    ),
    Elsewhere(
        "has no setter",
        r"property '(?P<name>dtype|compute_dtype|variable_dtype)' of '(?P<layer>\w+)' object has no setter|can't set attribute"
        r" '?(?P<name2>dtype|compute_dtype|variable_dtype)",
        "the dtype of a Keras layer is fixed when the layer is made, and its variables never change theirs (setting "
        '`dtype_policy` leaves them too). Make the layer anew, with dtype="mixed_float16" for float32 variables that a '
        "float32 checkpoint restores exactly",
        "AttributeError: property 'dtype' of 'Dense' object has no setter",
    ),
)


def told_elsewhere(reading: Reading) -> str:
    """What the error is, in words; empty where it is none of these."""
    for known in ELSEWHERE:
        if known.has in reading.lower and re.search(known.says, reading.flat):
            return known.why
    return ""
