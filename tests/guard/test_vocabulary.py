"""A load into a model that looks words up in another vocabulary, under a guard; and when that is silent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
import keras
from keras import layers

from guard.watching import Watched


def net(words: list[str], rows: int = 12) -> Any:
    keras.backend.clear_session()
    look = layers.StringLookup(name="look")
    look.set_vocabulary(words)
    return keras.Sequential([keras.Input((1,), dtype="string"), look, layers.Embedding(rows, 3, name="emb")])


def test_load_weights(tmp_path: Path, watched: Watched) -> None:
    path = tmp_path / "m.keras"
    net(["a", "b", "c"]).save(path)
    keras.saving.load_model(path)
    net(["a", "b", "c"]).load_weights(path)
    assert watched.codes() == []
    net(["c", "b", "a"]).load_weights(path)
    assert watched.codes("error") == ["T225"]
    finding = next(f for f in watched.last().findings if f.code == "T225")
    assert "set_vocabulary(holdfast.open(" in str(finding.remedy) and "allow" not in str(finding.remedy)


def test_a_table_that_begins_anew(tmp_path: Path, watched: Watched) -> None:
    path = tmp_path / "m.keras"
    net(["a", "b", "c"]).save(path)
    net(["c", "b", "a", "d"], rows=14).load_weights(path, skip_mismatch=True)
    assert "T225" not in watched.codes("error")


def test_a_program(tmp_path: Path) -> None:
    net(["a", "b", "c"]).save(tmp_path / "m.keras")
    (tmp_path / "program.py").write_text(
        "import keras\n"
        "look = keras.layers.StringLookup(name='look')\n"
        "look.adapt([['c'], ['c'], ['c'], ['b'], ['b'], ['a']])\n"
        "table = keras.layers.Embedding(12, 3, name='emb')\n"
        "model = keras.Sequential([keras.Input((1,), dtype='string'), look, table])\n"
        "model.load_weights('m.keras')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "T225" in done.stderr, done.stderr
