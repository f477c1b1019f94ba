"""Errors raised on the spot by the real frameworks: the first cause is right, and proved where the files can show it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import holdfast
from diagnose.live_keras_names import NAMES
from diagnose.live_torch import SCENES, Scene


def diagnosed(scene: Scene, folder: Path) -> None:
    """Raise the scene's error, and hold its diagnosis against the scene's label."""
    path = scene.make(folder)
    with pytest.raises(Exception) as told:
        scene.fail(folder)
    error = told.value
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    found = holdfast.diagnose(text, checkpoint=path)
    assert found.causes, f"not known: {text[-600:]}"
    first = found.causes[0]
    assert first.label == scene.label, f"{found.causes}\n{text[-800:]}"
    if scene.proved:
        assert first.status == "proved", f"{first}"
    by_text = [cause.label for cause in holdfast.diagnose(text, files=False).causes[:4]]
    assert scene.label in by_text, f"{by_text}\n{text[-800:]}"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_torch(scene: Scene, tmp_path: Path) -> None:
    diagnosed(scene, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_keras_tensorflow_and_jax(name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    from diagnose.live_keras import SCENES as KERAS

    diagnosed({scene.name: scene for scene in KERAS}[name], tmp_path)
