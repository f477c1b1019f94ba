"""What people put down to their checkpoint: calls that do not exist, names without their number, errors from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast
from holdfast._diagnose.elsewhere import ELSEWHERE

NOT_FOUND = (
    "tensorflow.python.framework.errors_impl.NotFoundError: Error when restoring from checkpoint or SavedModel at {path}: "
    "Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {path}"
)


@pytest.mark.parametrize("known", ELSEWHERE, ids=lambda known: known.has)
def test_what_it_is_stands_in_the_note(known):
    found = holdfast.diagnose(known.example, files=False)
    assert not found.is_checkpoint_failure
    assert found.note == known.why


def test_other_errors_get_no_such_note():
    found = holdfast.diagnose("AttributeError: property 'name' of 'Reader' object has no setter", files=False)
    assert not found.is_checkpoint_failure
    assert found.note == "nothing in it comes from saving or loading"


def _saved(folder: Path, *numbers: int) -> str:
    zoo = Path(__file__).parents[1] / "zoo" / "tf_object"
    for number in numbers:
        for ending in (".index", ".data-00000-of-00001"):
            (folder / f"ckpt-{number}{ending}").write_bytes((zoo / f"ckpt-1{ending}").read_bytes())
    return str(folder / "ckpt")


@pytest.mark.parametrize("named", [True, False])
def test_the_number_that_save_put_behind_the_name(tmp_path, named):
    prefix = _saved(tmp_path, 9, 10)
    text = NOT_FOUND.format(path=prefix)
    found = holdfast.diagnose(text, checkpoint=prefix if named else None)
    first = found.causes[0]
    assert (first.label, first.status) == ("not-found", "proved")
    assert f'restore("{prefix}-10")' in first.remedy
    assert "puts a number behind" in first.why


def test_another_name_is_no_number(tmp_path):
    _saved(tmp_path, 9)
    prefix = str(tmp_path / "model")
    first = holdfast.diagnose(NOT_FOUND.format(path=prefix), checkpoint=prefix).causes[0]
    assert first.label == "not-found"
    assert "puts a number behind" not in first.why


def test_the_exception_bears_it_as_a_note():
    with pytest.raises(AttributeError) as known, holdfast.explaining():
        raise AttributeError("property 'dtype' of 'Dense' object has no setter")
    assert known.value.__notes__[0].startswith(
        "holdfast: this is no checkpoint failure: the dtype of a Keras layer is fixed"
    )
    with pytest.raises(AttributeError) as other, holdfast.explaining():
        raise AttributeError("property 'name' of 'Reader' object has no setter")
    assert not getattr(other.value, "__notes__", [])


def test_what_two_threads_that_save_run_into():
    raced = "ValueError: Called Trackable._track_trackable() with name='{}', but a Trackable with this name is already declared"
    first = holdfast.diagnose(raced.format("save_counter"), files=False).causes[0]
    assert first.label == "concurrency"
    assert not any("counter" in c.why for c in holdfast.diagnose(raced.format("encoder"), files=False).causes)


SAVE_WEIGHTS = """Traceback (most recent call last):
  File "/site-packages/keras/src/saving/saving_api.py", line 244, in save_weights
    raise ValueError(
ValueError: The filename must end in `.weights.h5`. Received: filepath=run/ckpt_1
"""


def test_the_ending_that_save_weights_wants():
    first = holdfast.diagnose(SAVE_WEIGHTS, files=False).causes[0]
    assert first.label == "format-mismatch"
    assert first.why.startswith("nothing was saved")
    assert 'save_weights("run/ckpt_1.weights.h5")' in first.remedy
