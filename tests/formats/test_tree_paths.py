"""Names as ``jax.tree_util.keystr`` spells them, in files of arrays by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import holdfast

PATHS = {
    "['params']['dense']['kernel']": "params/dense/kernel",
    "['params']['mlp/~/linear_0'][\"b\"]": "params/mlp/~/linear_0/b",
    "['opt_state'][0].mu['dense']['kernel']": "opt_state/0/mu/dense/kernel",
    "['opt_state'][<flat index 1>].count": "opt_state/1/count",
    ".step": "step",
}


def _values(names: list[str]) -> dict[str, np.ndarray]:
    return {name: np.full((2, 3), number, "float32") for number, name in enumerate(names)}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_name_is_the_path_that_it_spells(tmp_path: Path, ending: str) -> None:
    path, values = tmp_path / f"m{ending}", _values(list(PATHS))
    _write(path, values)
    with holdfast.open(path) as checkpoint:
        assert sorted(checkpoint) == sorted(PATHS.values())
        for key, name in PATHS.items():
            assert checkpoint[name].key == key
            assert np.array_equal(checkpoint.read(name), values[key])
        assert checkpoint["opt_state/0/mu/dense/kernel"].owner == "params/dense/kernel"
        assert checkpoint["opt_state/0/mu/dense/kernel"].slot == "mu"


@pytest.mark.parametrize(
    "names",
    [
        ["['a']['b']", "c/d"],  # one of another kind
        ["['a']['b']", "['a/b']"],  # two that would be one
        ["['a'", "['b']"],
        ["[0, 1]", "[0:2]"],
        [".a.b", ".c"],
    ],
)
def test_other_names_stay_as_they_are(tmp_path: Path, names: list[str]) -> None:
    _write(tmp_path / "m.safetensors", _values(names))
    with holdfast.open(tmp_path / "m.safetensors") as checkpoint:
        assert sorted(checkpoint) == sorted(names)


def test_an_index_of_such_names(tmp_path: Path) -> None:
    weight_map = {}
    for number, (key, value) in enumerate(_values(list(PATHS)[:3]).items()):
        file = f"model-{number}.safetensors"
        _write(tmp_path / file, {key: value})
        weight_map[key] = file
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 72}, "weight_map": weight_map}))
    assert [f.code for f in holdfast.examine(index).findings if f.severity != "note"] == []
    with holdfast.open(index) as checkpoint:
        assert sorted(checkpoint) == sorted(list(PATHS.values())[:3])


def _write(path: Path, values: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npz":
        np.savez(path, **values)  # type: ignore[arg-type]
    else:
        pytest.importorskip("safetensors")
        from safetensors.numpy import save_file

        save_file(values, path)
