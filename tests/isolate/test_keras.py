"""Keras: each planted fault is named, with proof, in each of its three formats; what is right is left alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import holdfast
from holdfast._isolate.isolating import isolated
from holdfast._isolate.keras_save import KerasSaver

keras = pytest.importorskip("keras")

from isolate.keras_faults import FAULTS, RIGHT, Good, branches, chain  # noqa: E402


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_and_proved(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    saver = KerasSaver(fault.make(), tmp_path, lambda path: None, save=fault.save, live=False)
    found = isolated(saver, "model", fault.save)
    assert sorted(c.path for c in found.culprits) == sorted(fault.paths)
    assert found.exit_code == 1 and found.complete
    assert found.verdict == ("not-saved" if fault.phase == "save" else "not-read-back")
    for culprit in found.culprits:
        assert fault.word in f"{culprit.what}: {culprit.why}"
        assert culprit.proved or culprit.path == "model"
        assert len(culprit.together) == (0 if culprit.path == "model" else fault.together)
        assert culprit.remedy and culprit.error and culprit.cause


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_saved(name: str) -> None:
    save, make = RIGHT[name]
    found = holdfast.isolate(make(), save)
    assert (found.verdict, found.culprits, found.error) == ("saved", (), "")
    assert found.nbytes and found.read and found.saves == 2


def test_a_live_model_is_as_it_was() -> None:
    import numpy as np

    model = branches(Good(object()))
    model.compile(optimizer="adam", loss="mse")
    model.train_on_batch(np.ones((2, 4), np.float32), np.ones((2, 3), np.float32))

    def state() -> list[object]:
        kinds = [
            (type(layer), layer.name, len(layer._inbound_nodes), sorted(vars(layer)))
            for layer in model.layers
        ]
        return [
            *kinds,
            dict(model._compile_config.config),
            [np.asarray(v.value).tobytes() for v in model.variables],
        ]

    before = state()
    for save in ("keras", "keras-h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert holdfast.isolate(model, save).culprits
        assert state() == before


def test_an_unbuilt_model_is_told_to_hold_nothing() -> None:
    found = holdfast.isolate(keras.Sequential([keras.layers.Dense(3)]), "keras")
    assert found.saved and any("not built" in note.text for note in found.notes)


def test_the_weights_alone_are_tried_as_a_way_out() -> None:
    found = holdfast.isolate(branches(Good(object())), "keras")
    assert any("save_weights" in note.text and "passes" in note.text for note in found.notes)


def test_the_fitting_save_of_a_keras_model() -> None:
    assert holdfast.isolate(chain()).save == "keras"


def test_what_is_no_keras_model_is_refused() -> None:
    with pytest.raises(holdfast.UsageError, match="no Keras model"):
        holdfast.isolate({"a": 1}, "keras")
