"""Texts of large and distributed runs, in wordings of our own: what is told of them, and of which nothing may be told."""

from __future__ import annotations

import pytest

import holdfast

SPEAKS = (
    ("concurrency", "RuntimeError: Failed to meet rendezvous 'save_checkpoint': Socket closed (14)"),
    ("concurrency", "    os.remove(old)\nFileNotFoundError: [Errno 2] No such file or directory: 'runs/checkpoint-40.ckpt'"),
    ("concurrency", "GLOBAL_RANK: 3, MEMBER: 4/8\nFileNotFoundError: Checkpoint at runs/last.ckpt not found."),
    ("concurrency", "resume_from_checkpoint\nRuntimeError: Trying to create tensor with negative dimension -7723412345678901"),
    ("concurrency", "load checkpoint\n    return _unpickler(io.BytesIO(buf)).load()\nEOFError: Ran out of input"),
    ("topology", "RuntimeError: Expected 4 entries in state dict, but got 8."),
    ("topology", "a.weight : torch.Size([0])\na.bias : torch.Size([0])\nnorm.weight : torch.Size([0])"),
    ("topology", "    part = shards[(tp_rank, pp_rank)]\nKeyError: (1, 3)"),
    ("topology", "merge weights\n    assert isinstance(value, DTensor)\nAssertionError"),
    ("topology", "state = restore_checkpoint(d, state)\nValueError: pmap got inconsistent sizes for array axes to be mapped:"),
    (
        "topology",
        "size mismatch for h.3.attn.qkv.weight: copying a param with shape torch.Size([1024, 2048]) from checkpoint, "
        "the shape in current model is torch.Size([4096, 2048]).",
    ),
    ("device-mismatch", "ValueError: Device CudaDevice_3 was not found in jax.local_devices()."),
    ("incomplete-save", "trained with zero3; the saved model.safetensors has only 312 KB"),
    ("incomplete-save", "ValueError: invalid literal for int() with base 10: '40.orbax-checkpoint-tmp-3'"),
    ("not-found", "ValueError: Error reading local file \"./w/.zarray\": Invalid key: \"./w/.zarray\" (zarr)"),
    ("not-found", ">> '--exit-on-missing-checkpoint' set ... exiting. <<"),
    ("optimizer-structure", "    p.lerp_(end=state['z'], weight=w)\nRuntimeError: The size of tensor a (8) must match"),
    ("optimizer-structure", "    save_checkpoint(d)\n    osd = self.optimizer.state_dict()\nIndexError: list index out of range"),
    ("shape-mismatch", "RuntimeError: Deserialised leaf at path (k,) has changed shape from (3, 4) in `like` to (4, 4) on disk."),
    ("storage", "  File \"checkpoint/filesystem.py\", line 8, in write_data\nio.UnsupportedOperation: seek"),
    ("version-mismatch", "ValueError: Unsupported checkpoint version: 9"),
    ("version-mismatch", 'ValueError: Object includes extra members: "recheck_cached"'),
    ("version-mismatch", "CheckpointingException: Object shard w/attention._extra_state/shard_0_2.pt not found"),
    ("version-mismatch", "saved opt_state restored\nValueError: Expected namedtuple, got dict"),
    ("version-mismatch", "manager.restore(None, directory=d)\nValueError: If step is None, directory must also be None"),
    ("version-mismatch", "AttributeError: 'RunCheckpoint' object has no attribute 'folder'"),
    ("version-mismatch", "CheckpointingException: ShardedTensor.flattened_range is no longer supported"),
    ("version-mismatch", "KeyError: 'key \"__size\" not found in TensorDict with keys [\\'0\\']'"),
    ("format-mismatch", "run/step_9 seems a bogus DeepSpeed checkpoint folder: Cannot find layer_02* files in there."),
    ("format-mismatch", "ValueError: the input of load_params() must be the raw params"),
    ("shape-mismatch", "req MetadataIndex(fqn='a', index=0) mismatch sizes torch.Size([3]) vs torch.Size([4])"),
    ("storage", "FileNotFoundError: [Errno 2] No such file or directory: 'run/step_4/.metadata' (on node 2)"),
    ("topology", "resuming with 12 devices\nValueError: the batch of 8 is not divisible by the 12 devices"),
    ("topology", "size mismatch for a.weight: copying a param with shape torch.Size([8, 4]) from checkpoint, the shape in "
     "current model is torch.Size([1])."),
    ("topology", "line 5, in slice_lora_b\nIndexError: too many indices for tensor of dimension 1"),
    ("topology", "    optim_shard = parts[index]\nKeyError: None"),
    ("unexpected-tensor", "ValueError: No module named layers.0.gate.lora_A.weight in the base model"),
    ("version-mismatch", 'ValueError: Item "net" and args "a" does not match with any registered handler! Registered: {}'),
    ("version-mismatch", "CheckpointingException: Cannot find a default strategy for: ('save', 'zarr', 1)"),
    ("format-mismatch", "ValueError: item_handlers must be a dict; it was saved using a non-composite handler."),
    ("format-mismatch", "ValueError: Invalid key head.w in Megatron state_dict."),
    ("missing-tensor", "ValueError: Missing 3 keys in structure path ('a',), including: b"),
    ("shape-mismatch", "Requested shape: (4,) is not compatible with the stored shape: (3,)."),
    ("incomplete-save", 'ValidationError: Expected run/4 (run/4) to contain the "commit_success.txt" file.'),
    ("incomplete-save", "ValueError: consumed 40 numels out of 90 - something is wrong"),
    ("topology", "RuntimeError: Checkpoint model-state file count 3 does not match tp=2 * pp=2."),
    ("topology", "ValueError: ShardedTensor have no local shards on all ranks!"),
    ("topology", "ValueError: Model is sharded but checkpoint is not sharded."),
    ("optimizer-structure", "ValueError: Differing optimizer state names for the unflattened parameters: [['step'], []]"),
    ("optimizer-structure", "ValueError: Param id 7 does not match any model sharded param"),
    ("resume-state", "ValueError: last_yielded_worker_id does not match, the dataset may have changed"),
    ("async-save", "RuntimeError: [rank 0] Checkpoint process died unexpectedly."),
    ("unsafe-pickle", "ValueError: The class a.B was blocked to prevent arbitrary code execution."),
    ("retention", "FileExistsError: Object run/ep3 already exists, but overwrite was set to False."),
    ("missing-tensor", "RuntimeError: The state of _OptimStateKey(unflat_param_names=('e.w',), is_fsdp_managed=True) is empty."),
)  # fmt: skip
"""A cause, and a text for which it must be one of the first three."""

_TRACE = 'Traceback (most recent call last):\n  File "/a/train.py", line 9, in main\n    {}\n{}'
SILENT = (
    "AttributeError: 'CheckpointFunctionBackward' object has no attribute 'inputs'",
    "ValueError: the batch of 8 is not divisible by the 12 devices",
    "    part = shards[index]\nZeroDivisionError: division by zero",
    "ValueError: If weights is None, bias must also be None",
    _TRACE.format("n = int(argv[1])", "ValueError: invalid literal for int() with base 10: 'abc'"),
    _TRACE.format("x = torch.cat(xs)", "RuntimeError: zero-dimensional tensor (at position 0) cannot be concatenated"),
    _TRACE.format("assert isinstance(x, DTensor)", "AssertionError"),
    _TRACE.format("f.fileno()", "io.UnsupportedOperation: fileno"),
    _TRACE.format("d[(1, 2)]", "KeyError: (1, 2)"),
    _TRACE.format("os.remove(p)", "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/plot.png'"),
    _TRACE.format("torch.zeros(n)", "RuntimeError: Trying to create tensor with negative dimension -1: [-1]"),
    _TRACE.format("jax.tree.map(f, a, b)", "ValueError: Expected tuple, got list"),
    _TRACE.format("xm.rendezvous('init')", "RuntimeError: Failed to meet rendezvous 'init': Socket closed (14)"),
    _TRACE.format("tf.constant(d)", "ValueError: Attempt to convert a value ({}) with an unsupported type (<class 'dict'>)"),
    _TRACE.format("out = f(x)", "ValueError: pmap was requested to map its argument along axis 0"),
    _TRACE.format("ray.init(address='auto')", "ConnectionError: Could not find any running Ray instance."),
    _TRACE.format("dist.init_process_group('nccl')", "torch.distributed.DistStoreError: Timed out after 601 s"),
    _TRACE.format("shutil.rmtree('/tmp/plots')", "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/plots'"),
    _TRACE.format("llm.generate(p)", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB."),
    "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
    "ValueError: Unsupported API version 3",
)  # fmt: skip


@pytest.mark.parametrize(("cause", "text"), SPEAKS, ids=lambda part: part[:24])
def test_what_is_told_of_large_runs(cause: str, text: str) -> None:
    assert cause in [told.label for told in holdfast.diagnose(text, files=False).causes][:3]


@pytest.mark.parametrize("text", SILENT, ids=lambda text: text[-24:])
def test_of_other_failures_of_large_runs_nothing_is_told(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure
