"""What launchers, trainers and pastes put around an error is read through."""

from __future__ import annotations

import pytest

import holdfast

KEYS = (
    "Traceback (most recent call last):\n"
    '  File "/a/train.py", line 3, in main\n'
    "    model.load_state_dict(sd)\n"
    "RuntimeError: Error(s) in loading state_dict for Net:\n"
    '\tMissing key(s) in state_dict: "fc.weight", "fc.bias". \n'
    '\tUnexpected key(s) in state_dict: "module.fc.weight", "module.fc.bias". \n'
)
LINES = KEYS.splitlines()

WRAPPED = {
    "alone": KEYS,
    "the message alone": "\n".join(LINES[3:]),
    "one rank": "\n".join(f"[rank3]: {line}" for line in LINES),
    "ranks in turn": "\n".join(f"[rank{rank}]: {line}" for line in LINES for rank in (0, 1)),
    "a process of ray": "\n".join(f"(train_fn pid=4711, ip=10.0.0.2) {line}" for line in LINES),
    "an error of ray": "ray.exceptions.RayTaskError(RuntimeError): \x1b[36mray::train()\x1b[39m (pid=1, ip=10.0.0.1)\n"
    + "\n".join(LINES[1:]),
    "colours": KEYS.replace("RuntimeError", "\x1b[31mRuntimeError\x1b[0m").replace(
        "Missing", "\x1b[1mMissing\x1b[0m"
    ),
    "the times of a log": "\n".join(f"2026-11-21 10:00:00,123 ERROR {line}" for line in LINES),
    "windows' ends of lines": KEYS.replace("\n", "\r\n"),
    "an epoch before": "epoch 1 loss 2.3\nepoch 2 loss 2.1\n" + KEYS,
    "another error after": KEYS + "\nDuring handling of the above exception, another exception occurred:\n\n"
    'Traceback (most recent call last):\n  File "/a/train.py", line 9, in main\n    logger.close()\n'
    "ValueError: I/O operation on closed file\n",
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED.keys())
def test_the_prefix_of_a_wrapper_is_seen_through_what_is_put_around_it(wrapped: str) -> None:
    first = holdfast.diagnose(wrapped, files=False).causes[0]
    assert first.label == "renamed"
    assert "`module.`" in first.why


OTHERS = (
    (
        "missing-tensor",
        "torch.distributed.checkpoint.api.CheckpointException: CheckpointException ranks:dict_keys([0, 1])\n"
        "Traceback (most recent call last): (RANK 0)\n"
        '  File "/p/torch/distributed/checkpoint/utils.py", line 9, in reduce_scatter\n'
        "    local_data = map_fun()\nRuntimeError: Missing key in checkpoint state_dict: model.2.weight.\n",
    ),
    (
        "storage",
        "torch.distributed.checkpoint.api.CheckpointException: CheckpointException ranks:dict_keys([1])\n"
        'Traceback (most recent call last): (RANK 1)\n  File "/p/torch/distributed/checkpoint/filesystem.py", line 9, in write\n'
        "OSError: [Errno 28] No space left on device\n",
    ),
    (
        "storage",
        "tensorflow.python.framework.errors_impl.InternalError: 2 root error(s) found.\n"
        "  (0) Internal: Could not append to the internal temporary file.\n\t [[node save/SaveV2]]\n",
    ),
    (
        "storage",
        "tensorflow.python.framework.errors_impl.UnknownError: /runs/model.ckpt-100.data-00000-of-00001.tempstate123; "
        "Input/output error\n\t [[node save/SaveV2]]\n",
    ),
    (
        "not-found",
        '  File "/p/lightning/pytorch/trainer/connectors/checkpoint_connector.py", line 9, in resume_start\n'
        "    loaded_checkpoint = self.trainer.strategy.load_checkpoint(checkpoint_path)\n"
        "FileNotFoundError: Checkpoint file not found: runs/last.ckpt. Aborting training.\n",
    ),
    (
        "corrupt",
        '  File "/p/accelerate/checkpointing.py", line 200, in load_accelerator_state\n'
        "    optimizer_state = torch.load(input_optimizer_file, map_location=map_location)\n"
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory\n",
    ),
    (
        "shape-mismatch",
        "\tsize mismatch for roi_heads.box_predictor.cls_score.weight: copying a param with sha",
    ),
)


@pytest.mark.parametrize(("label", "text"), OTHERS)
def test_errors_of_wrappers_are_called_what_they_wrap(label: str, text: str) -> None:
    assert holdfast.diagnose(text, files=False).causes[0].label == label
