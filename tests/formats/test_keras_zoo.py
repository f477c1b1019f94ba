"""Every Keras case of the zoo and of the public files: values bit for bit, names, owners, no false alarm."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from shared import FILES, file_cases, needs_files, needs_shared, zoo_cases

from .keras_cases import compare, opened, unprovable

FORMATS = {
    "keras_h5_model": "keras-h5-legacy",
    "keras_h5_weights": "keras-h5-legacy",
    "keras_v3": "keras-archive",
    "keras_weights_h5_v3": "keras-weights-h5",
    "keras_weights_h5_sharded": "keras-weights-sharded",
}


@needs_shared
@pytest.mark.parametrize("case", zoo_cases(*FORMATS), ids=lambda c: c["folder"])
def test_zoo_case(case):
    result = compare(case)
    catalog, truth = result["catalog"], result["truth"]
    assert catalog.format == FORMATS[case["format"]]
    assert not result["wrong"]
    assert result["values"] == result["tensors"] > 0
    if not unprovable(case):
        # a variable of the user's own class has no recorded name: `own` of the subclassed model, and its slot
        assert result["names"] >= result["tensors"] - 2 * ("subclass" in case["folder"])
    assert [f.slug for f in catalog.faults] == []
    for optimizer in catalog.optimizers:
        counters = [s for s in catalog.values() if s.role == "counter" and "step_counter" not in s.name]
        assert optimizer.step == int(
            catalog.read(counters[-1 if optimizer.attributes.get("wrapper") else 0].name).item()
        )
        rate = truth["hyperparameters"].get("learning_rate", truth["hyperparameters"].get("lr"))
        if isinstance(rate, float) and isinstance(optimizer.learning_rate, float):
            assert optimizer.learning_rate == pytest.approx(rate)


@needs_shared
@pytest.mark.parametrize(
    "case",
    [c for c in zoo_cases("keras_v3", "keras_h5_model") if "lora" not in c["folder"]],
    ids=lambda c: c["folder"],
)
def test_every_slot_has_an_owner_of_its_shape(case):
    """With configuration or names in the file, order and shapes prove all owners; names of slots contain
    their owner's.
    """
    catalog = compare(case)["catalog"]
    for spec in catalog.values():
        if spec.role in ("slot", "average"):
            assert spec.owner in catalog, spec.name
            owner = catalog[spec.owner]
            if spec.shape != (1,) or owner.shape == (1,):
                assert spec.shape == owner.shape
            flat = owner.name.removesuffix(":0")
            if (
                case["folder"].startswith(("keras-3", "tensorflow-2.1", "tensorflow-2.2", "tensorflow-2.8"))
                and "copy_of" not in spec.attributes
            ):
                assert flat in spec.name or flat.replace("/", "_") in spec.name


@needs_shared
def test_share_of_names_right(capsys):
    """98 % or more of the names that a file can prove."""
    total = right = 0
    for case in zoo_cases(*FORMATS):
        if not unprovable(case):
            result = compare(case)
            total += result["tensors"]
            right += result["names"]
    with capsys.disabled():
        print(f"\nKeras names right: {right} of {total} ({right / total:.2%})")
    assert right / total >= 0.98


@needs_files
@pytest.mark.parametrize("case", [c for c in file_cases() if "keras" in c["format"]], ids=lambda c: c["id"])
def test_public_file(case):
    catalog = opened(FILES / case["paths"][0])
    truth = case["truth"]
    where = truth.get("all")
    expected = json.loads((FILES / where).read_text()) if where else truth["sample"]
    expected = (
        expected.get("tensors", expected) if isinstance(expected, dict) else {e["name"]: e for e in expected}
    )
    assert len(catalog) == truth["n_tensors"]
    for name, entry in expected.items():
        array = catalog.read(name)
        assert list(array.shape) == entry["shape"]
        assert hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() == entry["sha256"], name
    assert not [f for f in catalog.faults if f.slug not in ("custom-object", "lambda-layer")]
