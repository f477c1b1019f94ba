"""What is said where no message is known: by the kind of the error, and by what people tell in words of their own."""

from __future__ import annotations

import pytest

import holdfast
from holdfast._diagnose.by_words import by_words
from holdfast._diagnose.causes.words import telling, telling_files
from holdfast._diagnose.reading import read_text
from holdfast._diagnose.surroundings import around

SAVE = 'Traceback (most recent call last):\n  File "t.py", line 9, in save_checkpoint\n    write_all(state)\n{}\n'
LOAD = (
    'Traceback (most recent call last):\n  File "t.py", line 9, in load_checkpoint\n    read_all(path)\n{}\n'
)
STEP = 'Traceback (most recent call last):\n  File "t.py", line 9, in training_step\n    loss = f(x)\n{}\n'


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (SAVE.format("OSError: the flux is inverted"), "storage"),
        (SAVE.format("NotImplementedError: the flux is inverted"), "unserialisable"),
        (SAVE.format("ConnectionResetError: the flux is inverted"), "concurrency"),
        (LOAD.format("EOFError: the flux is inverted"), "corrupt"),
        (LOAD.format("NameError: the flux is inverted"), "custom-object"),
    ],
)
def test_the_kind_of_an_error_speaks_softly_where_its_message_is_not_known(text: str, label: str) -> None:
    found = holdfast.diagnose(text, files=False)
    assert found.causes[0].label == label
    assert found.causes[0].status == "possible"
    assert "the message is not known" in found.causes[0].why


@pytest.mark.parametrize("error", ["ValueError: the flux is inverted", "RuntimeError: the flux is inverted"])
def test_the_kind_of_an_error_of_a_step_says_nothing(error: str) -> None:
    assert not holdfast.diagnose(STEP.format(error), files=False).is_checkpoint_failure


def test_a_message_that_is_known_is_heard_before_the_kind() -> None:
    found = holdfast.diagnose(SAVE.format("OSError: [Errno 28] No space left on device"), files=False)
    assert (found.causes[0].label, found.causes[0].status) == ("storage", "likely")
    assert "not known" not in found.causes[0].why


@pytest.mark.parametrize("entry", [*telling.ENTRIES, *telling_files.ENTRIES], ids=lambda entry: entry.slug)
def test_what_is_told_in_words_counts_in_prose_alone(entry) -> None:
    found = holdfast.diagnose(entry.example, files=False)
    assert entry.label in [cause.label for cause in found.causes[:3]]
    assert not entry.look(read_text(STEP.format(f"ValueError: {entry.example}")))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (
            "Saving takes ages and the model is not there the next day, the bucket has no trace of it",
            "storage",
        ),
        ("Our restored net answers with nonsense", "metrics"),
        ("I expected the snapshot to bring back the sampler, it did not", "resume-state"),
    ],
)
def test_single_words_speak_softly_where_no_sentence_is_known(text: str, label: str) -> None:
    found = by_words(read_text(text))
    assert found[0].label == label
    assert all(guess.confidence < 0.5 for guess in found)
    assert not by_words(read_text(STEP.format(f"ValueError: {text}")))


@pytest.mark.parametrize(
    "text",
    [
        "The checkpoint holds the optimizer, the learning rate and the accuracy of the best epoch.",
        "The accuracy is bad, the memory is full and the optimizer is wrong",
    ],
)
def test_words_without_a_complaint_or_without_a_save_say_nothing(text: str) -> None:
    assert not by_words(read_text(text))


@pytest.mark.parametrize(
    "text",
    [
        "My network overfits and the accuracy on the test set is low",
        "Training is stuck at a plateau, the learning rate is back at 0.1",
        "The GPU memory grows with every batch",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 4x8)",
    ],
)
def test_words_of_something_else_say_nothing(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure


def test_what_a_program_prints_is_no_prose() -> None:
    assert around(read_text("After loading the checkpoint the accuracy is random")).prose
    for printed in (
        "Missing keys: net.fc.weight",
        "WARNING: checkpoint not found",
        "ValueError: loading failed",
    ):
        assert not around(read_text(printed)).prose, printed


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("OSError: [Errno 95] Operation not supported: '/drive/run/last.ckpt'", "storage"),
        ("OSError: The paging file is too small for this operation to complete. (os error 1455)", "memory"),
        ("OSError: [WinError 123] The filename is incorrect: 'ckpt/10:30.pt'", "storage"),
        ("OSError: [Errno 75] Value too large for defined data type: 'ckpt/a.pt'", "size-limit"),
    ],
)
def test_the_number_of_the_system_tells(text: str, label: str) -> None:
    assert holdfast.diagnose(text, files=False).causes[0].label == label


def test_the_number_of_the_system_is_no_matter_of_checkpoints_for_other_files() -> None:
    for path in ("/data/train/0001.jpg", "/data/a.csv"):
        assert not holdfast.diagnose(
            f"OSError: [Errno 95] Operation not supported: '{path}'"
        ).is_checkpoint_failure


def test_a_copy_in_memory_is_no_file_that_takes_its_state_back() -> None:
    torch = pytest.importorskip("torch")
    with pytest.warns(FutureWarning):
        model = torch.nn.utils.weight_norm(torch.nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="deepcopy protocol") as caught:
        torch.optim.swa_utils.AveragedModel(model)
    assert not holdfast.diagnose(caught.value, files=False).is_checkpoint_failure


def test_a_whole_state_dict_for_a_model_that_is_split_over_ranks() -> None:
    text = (
        "RuntimeError: Error(s) in loading state_dict for FSDPNet:\n"
        '\tWhile copying the parameter named "0.weight", whose dimensions in the model are torch.Size([16, 8]) and whose '
        "dimensions in the checkpoint are torch.Size([16, 8]), an exception occurred : ({}).\n"
    )
    mixed = (
        "'aten.copy_.default got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to DTensor'"
    )
    found = holdfast.diagnose(text.format(mixed), files=False).causes[0]
    assert found.label == "topology"
    assert "set_model_state_dict" in found.remedy
    packed = "'Copying from quantized Tensor to non-quantized Tensor is not allowed'"
    assert holdfast.diagnose(text.format(packed), files=False).causes[0].label == "dtype-mismatch"
