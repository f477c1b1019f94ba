"""Messages of PyTorch and of what is built on it, one a family, filled in with values of our own: what is told of them first, or
among the first three, as a line with its class, as the bare message, and as the end of a traceback."""

from __future__ import annotations

import pytest

import holdfast
from holdfast._diagnose.diagnose import BARE

FIRST = (
    ("unsafe-pickle", "_pickle.UnpicklingError: Can only build Tensor, parameter or dict objects, but got <class 'a.B'>"),
    ("unsafe-pickle", "_pickle.UnpicklingError: Can only append to lists, but got <class 'collections.deque'>"),
    ("unsafe-pickle", "_pickle.UnpicklingError: Trying to call reduce for unrecognized function <class 'a.B'>"),
    ("unsafe-pickle", "_pickle.UnpicklingError: ``torch.distributed.tensor`` must be imported to load DTensors"),
    ("unsafe-pickle", "_pickle.UnpicklingError: Trying to load unsupported GLOBAL os.system whose module os is blocked."),
    ("unsafe-pickle", "RuntimeError: Can not safely load weights when explicit pickle_module is specified"),
    ("unsafe-pickle", "RuntimeError: Cannot use ``weights_only=True`` with files saved in the legacy .tar format."),
    ("unsafe-pickle", "ValueError: The class a.Net requested by the checkpoint does not resolve to an imported subclass "
     "and was blocked to prevent arbitrary code execution."),
    ("format-mismatch", "ValueError: Expected input to be a checkpoint returned by torch.save"),
    ("format-mismatch", "RuntimeError: Loading safetensors file with callable map_location is not supported."),
    ("format-mismatch", "_pickle.UnpicklingError: persistent IDs in protocol 0 must be ASCII strings"),
    ("format-mismatch", 'RuntimeError: While copying the parameter named "a.weight", expected torch.Tensor or Tensor-like '
     "object from checkpoint but received <class 'numpy.ndarray'>"),
    ("format-mismatch", "RuntimeError: PytorchStreamReader failed locating file bytecode.pkl: file not found ()"),
    ("format-mismatch", "RuntimeError: Model a not found in PT2 archive contents."),
    ("format-mismatch", "ValueError: Checkpoint not supported because layer lora_te_a not supported."),
    ("format-mismatch", "ValueError: Error: the file agent.zip wasn't a zip-file"),
    ("device-mismatch", "ValueError: map_location should be either None, string or torch.device, but got type: <class 'dict'>"),
    ("device-mismatch", "RuntimeError: don't know how to determine data location of torch.mlu.FloatStorage"),
    ("device-mismatch", "AssertionError: If capturable=True, params and state_steps must be CUDA tensors."),
    ("device-mismatch", "ValueError: The device_map provided does not give any device for the following parameters: a.weight"),
    ("version-mismatch", "RuntimeError: Attempted to read a PyTorch file with version 0, but the minimum supported version "
     "for reading is 1."),
    ("version-mismatch", "RuntimeError: Invalid protocol version: 1000"),
    ("version-mismatch", "RuntimeError: Serialized version 5.3 does not match our current schema version 8.9."),
    ("version-mismatch", "RuntimeError: The bytecode version of input model stream is supposed to be between 4 and 8"),
    ("version-mismatch", "UserWarning: This checkpoint contains apex AMP data, but apex support has been removed in v2.0.0."),
    ("version-mismatch", "Error while deserializing header: invalid JSON in header: unknown variant `F8_E9`, expected one of"),
    ("version-mismatch", "GGUFv1 is no longer supported. please use a more up-to-date version"),
    ("version-mismatch", "ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate"),
    ("custom-object", "UserWarning: Couldn't retrieve source code for container of type A. It won't be checked for correctness."),
    ("custom-object", "RuntimeError: Unpickler found unknown torch global, 'torch.nine'"),
    ("custom-object", "ImportError: package 'a.pt' needs the external module 'yaml' but that module has been disallowed"),
    ("custom-object", "KeyError: 'AHead is not in the models registry'"),
    ("unserialisable", "RuntimeError: Cannot save multiple tensors or storages that view the same data as different types"),
    ("unserialisable", "AssertionError: FSDP does not support deepcopy. Please use state dict for serialization."),
    ("unserialisable", "SerializeError: Unable to serialize custom class <A>. Please define serialization methods."),
    ("unserialisable", "UserWarning: Skipping 'a' parameter because it is not possible to safely dump to YAML."),
    ("lazy-build", "ValueError: Attempted to use an uninitialized parameter in <built-in method copy_ of Tensor object>."),
    ("lazy-build", "RuntimeError: FSDP parameters should be materialized from meta device before training, but the following "
     "were still on meta device: ['a.weight']"),
    ("corrupt", "RuntimeError: Malformed Flatbuffer module"),
    ("corrupt", "ValueError: Record data/w_0: size 7 is not a multiple of element size 4 for dtype torch.float32"),
    ("corrupt", "RuntimeError: unable to mmap 4194304 bytes from file <a.pt>: Invalid argument (22)"),
    ("memory", "RuntimeError: unable to mmap 4194304 bytes from file <a.pt>: Cannot allocate memory (12)"),
    ("memory", "llama_model_load: error loading model: unable to allocate CUDA0 buffer"),
    ("not-found", "RuntimeError: Cannot find callable resnet999 in hubconf"),
    ("not-found", "gguf_init_from_file: failed to open 'a.gguf': 'No such file or directory'"),
    ("optimizer-structure", "resuming the run: ValueError: Expected 2 lr_lambdas, but got 1"),
    ("optimizer-structure", "RuntimeError: The state of a.weight is empty. This should happen when use_orig_params=True."),
    ("optimizer-hyperparameters", "AssertionError: OptimizerParamScheduler: class input value 0.1 and checkpointvalue 0.2 for "
     "learning rate do not match"),
    ("resume-state", "ValueError: Tried to step 11 times. The specified number of steps is 10"),
    ("resume-state", "RuntimeError: RNG state is wrong size"),
    ("resume-state", "KeyError: 'Trying to restore learning rate scheduler state but checkpoint contains only the model.'"),
    ("topology", "ValueError: Cannot lookup a.weight since its a ShardedTensor and no offset was provided"),
    ("topology", "RuntimeError: Global rank at save time was 3, but at load time was 0"),
    ("missing-tensor", "safetensors_rust.SafetensorError: File does not contain slice a.weight"),
    ("missing-tensor", "ValueError: Exact match of `params` requested but got keys: expected {'a'} , got {'a', 'b'}"),
    ("shape-mismatch", "ValueError: Observation spaces do not match: Box(24,) != Box(25,)"),
    ("incomplete-save", "Global metadata is not found. Falling back to rank local metadata."),
    ("incomplete-save", "llama_model_load: error loading model: corrupted model: 48 tensors expected but 23 found"),
    ("retention", "UserWarning: Detected an existing checkpoint in runs/step_1, overwriting since self.overwrite=True."),
)  # fmt: skip
"""A cause, and a message that must get it first."""

THREE = (
    ("topology", "AssertionError: [Rank 1] The checkpoint tag name 'step3' is not consistent across all ranks."),
    ("unexpected-tensor", "RuntimeError: An unexpected key, module.a.weight, exists. FQN is a.weight"),
    ("metrics", "UserWarning: The checkpoint was not created with WeightAveraging. Both the current and the average model "
     "will be initialized with state_dict."),
    ("optimizer-structure", "UserWarning: A single checkpoint file has been given. This means optimizer states cannot "
     "be restored."),
    ("renamed", "UserWarning: Already found a `peft_config` attribute in the model."),
    ("format-mismatch", "RuntimeError: Only Pickle protocol 2 is supported, found protocol = 4"),
    ("version-mismatch", "RuntimeError: Expected PROTO opcode at the start of pickle archive, found 80"),
    ("storage", "CheckpointingException: Checkpoint destination directory (runs/iter_1) is not empty"),
    ("other", "RuntimeError: `checkpoint_id` must be specified if storage_reader/storage_writer is None."),
)  # fmt: skip
"""A cause, and a message for which it must be one of the first three."""

_TRACE = 'Traceback (most recent call last):\n  File "train.py", line 9, in main\n    {}\n{}'
SILENT = (
    "UserWarning: torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly.",
    "none of output has requires_grad=True, this checkpoint() is not necessary",
    "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the forward.",
    "AssertionError: No inf checks were recorded for this optimizer.",
    _TRACE.format("scaler.step(opt)", "AssertionError: No inf checks were recorded for this optimizer."),
    _TRACE.format("batch = next(it)", "RuntimeError: unable to write to file </torch_18692_1954506624>"),
    _TRACE.format("out = model(x)", "RuntimeError: got mixed torch.Tensor and DTensor, need to convert all"),
    _TRACE.format("sched.step()", "UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`."),
    _TRACE.format("install()", "RuntimeError: Missing dependencies: timm"),
    _TRACE.format("find(x)", "ValueError: can't find 3 from here"),
    _TRACE.format("check(v)", "ValueError: size 7 is not a multiple of 4"),
    _TRACE.format("run(a)", "TypeError: is not supported"),
)  # fmt: skip
"""Messages that look alike and come from no save and no load."""


def labels(text: str) -> list[str]:
    return [cause.label for cause in holdfast.diagnose(text, files=False).causes]


@pytest.mark.parametrize(("cause", "text"), FIRST, ids=lambda part: part[:40])
def test_the_cause_of_a_message_comes_first(cause: str, text: str) -> None:
    assert labels(text)[:1] == [cause]
    assert holdfast.diagnose(text, files=False).is_checkpoint_failure
    named, _, bare = text.partition(": ")
    if named.isidentifier() or "." in named.split(" ")[0]:
        assert cause in labels(bare)[:3]
        assert labels(_TRACE.format("state = torch.load(path)", text))[:1] == [cause]


@pytest.mark.parametrize(("cause", "text"), THREE, ids=lambda part: part[:40])
def test_the_cause_of_a_message_is_among_the_first(cause: str, text: str) -> None:
    assert cause in labels(text)[:3]


@pytest.mark.parametrize("text", SILENT, ids=lambda text: text[-40:])
def test_of_messages_that_look_alike_nothing_is_told(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure


def test_shared_memory_is_a_checkpoint_s_only_beside_a_save() -> None:
    text = "RuntimeError: unable to write to file </torch_18692_1954506624>"
    alone = holdfast.diagnose(text, files=False)
    assert not alone.is_checkpoint_failure and alone.note == BARE
    assert {"memory", "storage"} <= set(labels(text))
    beside = _TRACE.format("torch.save(model.state_dict(), 'last.pt')", text)
    assert holdfast.diagnose(beside, files=False).is_checkpoint_failure
    assert labels(beside)[0] == "memory"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            ("conv.weight_g", "conv.weight_v"),
            ("conv.parametrizations.weight.original0", "conv.parametrizations.weight.original1"),
        ),
        (("weight_orig", "weight_u"), ("parametrizations.weight.original", "parametrizations.weight.0._u")),
    ],
)
def test_a_normed_weight_under_the_names_of_another_age(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    for missing, unexpected in ((old, new), (new, old)):
        text = (
            "RuntimeError: Error(s) in loading state_dict for Net:\n"
            f"\tMissing key(s) in state_dict: {', '.join(f'{chr(34)}{n}{chr(34)}' for n in missing)}. \n"
            f"\tUnexpected key(s) in state_dict: {', '.join(f'{chr(34)}{n}{chr(34)}' for n in unexpected)}. "
        )
        found = holdfast.diagnose(text, files=False).causes[0]
        assert found.label == "renamed" and "parametrizations" in found.why


def test_other_parametrised_names_are_no_renaming() -> None:
    text = (
        "RuntimeError: Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "head.weight_g", "head.weight_v". \n'
        '\tUnexpected key(s) in state_dict: "body.parametrizations.weight.original0". '
    )
    assert all(
        "by the older function" not in cause.why for cause in holdfast.diagnose(text, files=False).causes
    )
