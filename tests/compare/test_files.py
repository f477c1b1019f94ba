"""Comparison of real files: what frameworks wrote, across formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Catalog, HoldfastError
from holdfast._compare.compare import compare
from holdfast._compare.delta import Delta
from shared import ZOO, needs_shared, zoo_cases


def codes(delta: Delta) -> dict[str, int]:
    counts: dict[str, int] = {}
    for difference in delta.differences:
        counts[difference.code] = counts.get(difference.code, 0) + 1
    return counts


def opened(case: dict[str, Any]) -> Catalog | None:
    folder = ZOO / case["folder"]
    names = [f["name"] if isinstance(f, dict) else f for f in case["files"]]
    for path in (folder, *(folder / name for name in names)):
        try:
            return holdfast.open(path)
        except HoldfastError:
            continue
    return None


@needs_shared
def test_every_case_of_the_zoo_is_the_same_as_itself() -> None:
    compared = 0
    for case in zoo_cases():
        one, other = opened(case), opened(case)
        if one is None or other is None:
            continue
        for depth in ("header", "full"):
            delta = compare(one, other, depth=depth)
            # what a file describes but does not hold (meta tensors, skipped data) cannot be compared
            assert set(codes(delta)) <= {"T217"}, (case["id"], depth, delta.summary)
        compared += 1
    assert compared > 200


def _case(case_id: str) -> Catalog:
    found = next((c for c in zoo_cases() if c["id"] == case_id), None)
    catalog = opened(found) if found else None
    if catalog is None:
        pytest.skip(f"no case {case_id}")
    return catalog


@needs_shared
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("tensorflow-2.21.0/dot_keras", "tensorflow-2.21.0/keras_weights_v3_h5"),
        ("keras-3.15.0/jax_dot_keras", "keras-3.15.0/jax_keras_weights_v3_h5"),
    ],
)
@pytest.mark.parametrize("depth", ["header", "structure", "full"])
def test_two_formats_of_one_model(a: str, b: str, depth: str) -> None:
    delta = compare(_case(a), _case(b), depth=depth)
    assert delta.same, delta.summary


@needs_shared
def test_names_alone_never_contradict_the_content() -> None:
    """Where the layers' names are not in one of the files, header depth may leave open, but must not pair
    wrong."""
    a, b = _case("tensorflow-2.16.2/dot_keras"), _case("tensorflow-2.16.2/keras_weights_v3_h5")
    by_content = {p.a: p.b for p in compare(a, b, depth="full").pairs}
    assert all(np.array_equal(a.read(x), b.read(y)) for x, y in by_content.items())
    assert len(by_content) == len(a)


@needs_shared
def test_wrappers_of_real_torch_checkpoints() -> None:
    delta = compare(_case("torch-2.13.0/data_parallel"), _case("torch-2.13.0/compiled"), depth="full")
    assert codes(delta) == {"T216": 18}
    assert [str(e) for e in delta.plan] == ["rename:module.*->_orig_mod.*"]
    training = compare(_case("torch-2.13.0/train_adam"), _case("torch-2.13.0/data_parallel"))
    assert codes(training) == {"O202": 1, "T202": 1, "T216": 18}


# -- files written here ----------------------------------------------------------------------------
def test_torch_and_its_safetensors_export(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file, save_model

    torch.manual_seed(0)

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.emb = torch.nn.Embedding(7, 4)
            self.body = torch.nn.Sequential(
                torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4)
            )
            self.out = torch.nn.Linear(4, 7, bias=False)
            self.out.weight = self.emb.weight

    net = Net()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    save_model(net, str(tmp_path / "net.safetensors"))
    halves = {n: v.to(torch.bfloat16) if v.is_floating_point() else v for n, v in net.state_dict().items()}
    save_file({n: v.clone() for n, v in halves.items()}, str(tmp_path / "half.safetensors"))
    wrapped = {f"module.{n}": v for n, v in net.state_dict().items()}
    torch.save({"model_state_dict": wrapped, "epoch": 3}, tmp_path / "wrapped.pt")
    for depth in ("header", "structure", "full"):
        for pair in (("net.pt", "net.safetensors"), ("net.safetensors", "net.pt")):
            delta = compare(tmp_path / pair[0], tmp_path / pair[1], depth=depth)
            assert delta.same, (depth, pair, delta.summary)
        cast = compare(tmp_path / "net.pt", tmp_path / "half.safetensors", depth=depth)
        assert set(codes(cast)) == {"T204"}
        assert [str(e) for e in cast.plan] == ["cast:*:f32->bf16"]
        prefixed = compare(tmp_path / "wrapped.pt", tmp_path / "net.pt", depth=depth)
        assert set(codes(prefixed)) == {"T216"}
        assert [str(e) for e in prefixed.plan] == ["rename:model_state_dict/module.*->*"]
    # enc and dec crossed: the same names and shapes, silently loaded by every framework
    crossed = net.state_dict()
    crossed["body.0.weight"], crossed["body.2.weight"] = crossed["body.2.weight"], crossed["body.0.weight"]
    torch.save(crossed, tmp_path / "crossed.pt")
    delta = compare(tmp_path / "crossed.pt", tmp_path / "net.pt")
    assert codes(delta) == {"T209": 2}


@pytest.mark.long
def test_keras_files_and_a_tensorflow_checkpoint_of_one_model(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(5, name="head"),
        ]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((4, 8, 8, 3)), np.ones((4, 5)), verbose=0)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    paths = [str(tmp_path / name) for name in ("m.keras", "m.weights.h5", "ckpt")]
    for a in paths:
        for b in paths:
            delta = compare(a, b, depth="full")
            # .weights.h5 does not hold layer names, so that file may differ in names, never in values or
            # number
            assert set(codes(delta)) <= ({"T205"} if "weights.h5" in a + b else set()), (a, b, delta.summary)
            assert delta.different == 0
