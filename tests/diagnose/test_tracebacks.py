"""Tracebacks as programs and notebooks print them, whatever the exception's class is called."""

from __future__ import annotations

import pytest

import holdfast
from holdfast._diagnose.reading import read_text

BEFORE = 'Traceback (most recent call last):\n  File "/a/load.py", line 3, in load\n    read(path)\n'


@pytest.mark.parametrize(
    "kind",
    ["Exception", "zlib.error", "binascii.Error", "exceptions.NotFound", "a.b.Refusal", "KeyError", "error"],
)
def test_a_traceback_ends_with_any_class(kind: str) -> None:
    (one,) = read_text(BEFORE + f"{kind}: something is wrong\nwith a second line\n").raised
    assert (one.type, one.message.splitlines()[0]) == (kind, "something is wrong")
    assert [frame.name for frame in one.frames] == ["load"]


@pytest.mark.parametrize("line", ["Epoch: 3", "loss.mean: 0.3", "os.path: /a", "Loading: model.pt"])
def test_lines_of_a_log_are_no_exceptions(line: str) -> None:
    assert read_text(f"{line}\n").raised == ()
    (one,) = read_text(BEFORE + f"ValueError: no\n{line}\n").raised
    assert one.type == "ValueError"


def test_a_traceback_of_colab() -> None:
    text = (
        "---------------------------------------------------------------------------\n"
        "UnpicklingError                           Traceback (most recent call last)\n"
        "3 frames\n"
        "[/usr/lib/python3.10/torch/serialization.py](https://localhost:8080/#) in _legacy_load(f, map_location)\n"
        "   1244             )\n"
        "   1245 \n"
        "-> 1246     magic_number = pickle_module.load(f)\n"
        "   1247     if magic_number != MAGIC_NUMBER:\n"
    )
    ending = "\nUnpicklingError: invalid load key, '<'.\n"
    for given, message in ((text, ""), (text + ending, "invalid load key, '<'.")):
        (one,) = read_text(given).raised
        assert one.type == "UnpicklingError" and one.message.strip() == message
        (frame,) = one.frames
        assert (frame.name, frame.code) == ("_legacy_load", "magic_number = pickle_module.load(f)")
        assert holdfast.diagnose(given, files=False).causes[0].label == "corrupt"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (BEFORE + "Exception: No encoder models found in encoder/saved_models", "not-found"),
        ("There is no model-100.ckpt\n", "not-found"),
        (
            'Traceback (most recent call last):\n  File "train.py", line 34, in <module>\n    optimizer.step()\n'
            '  File "/env/torch/optim/sgd.py", line 101, in step\n    buf.mul_(momentum).add_(1 - dampening, d_p)\n'
            "RuntimeError: The expanded size of the tensor (3) must match the existing size (64) at non-singleton dimension 3",
            "optimizer-structure",
        ),
        (
            'Traceback (most recent call last):\n  File "train.py", line 34, in <module>\n    optimizer.step()\n'
            '  File "/env/torch/optim/adam.py", line 73, in step\n    exp_avg.mul_(beta1).add_(1 - beta1, grad)\n'
            "TypeError: add_ received an invalid combination of arguments - got (float, torch.cuda.FloatTensor), but expected "
            "one of:\n * (float value)\n * (torch.FloatTensor other)\n",
            "device-mismatch",
        ),
        (
            'Not found: Tensor name "a/b/beta" not found in checkpoint files m.ckpt-5\nNot found: Tensor name "c"',
            "missing-tensor",
        ),
    ],
)
def test_what_older_versions_print(text: str, label: str) -> None:
    assert holdfast.diagnose(text, files=False).causes[0].label == label


@pytest.mark.parametrize(
    "text",
    [
        "No tests found in tests/",
        "There is no spoon.",
        'Traceback (most recent call last):\n  File "train.py", line 34, in forward\n    return a + b.expand(3)\n'
        "RuntimeError: The expanded size of the tensor (3) must match the existing size (64) at non-singleton dimension 0",
        'Traceback (most recent call last):\n  File "train.py", line 3, in forward\n    return x.add_(y)\n'
        "TypeError: add_ received an invalid combination of arguments - got (str), but expected one of:\n * (Tensor other)\n",
    ],
)
def test_and_what_is_no_checkpoint(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure
