"""T: names, ties and structure of one checkpoint."""

from __future__ import annotations

import numpy as np

from holdfast._core.fault import Fault
from holdfast._core.spec import TensorSpec
from memory_catalog import Memory, found, normal, subject


def test_two_tensors_of_one_name() -> None:
    twin = TensorSpec("dense/kernel", (4, 4), "float32", key="layers/dense_1/vars/0")
    of = subject(Memory({"dense/kernel": normal(4, 4)}, more=(twin,)), depth="header")
    (finding,) = found("name-clash", of)
    assert "layers/dense_1/vars/0" in finding.evidence["seen"]
    assert found("name-clash", subject(Memory({"dense/kernel": normal(4, 4)}))) == []


def test_plain_and_wrapped_names_side_by_side() -> None:
    w = normal(4, 4)
    of = Memory({"fc.weight": w, "module.fc.weight": w + 1, "_orig_mod.fc.weight": w})
    (finding,) = found("name-variants", subject(of))
    assert set(finding.tensors) == set(of)
    assert found("name-variants", subject(Memory({"module.fc.weight": w, "module.fc.bias": w[0]}))) == []
    apart = Memory({"state_dict/fc.weight": w, "ema_state_dict/module.fc.weight": w})
    assert found("name-variants", subject(apart)) == [], "two state dicts are two models"


def test_weights_stored_twice() -> None:
    w = normal(16, 16)
    (finding,) = found(
        "stored-twice", subject(Memory({"embed.weight": w, "head.weight": w.copy(), "x": w * 2}))
    )
    assert finding.tensors == ("embed.weight", "head.weight") and finding.severity == "note"
    swapped = w.copy().reshape(-1)
    swapped[[0, 1]] = swapped[[1, 0]]  # same numbers, another order
    assert found("stored-twice", subject(Memory({"a": w, "b": swapped.reshape(16, 16)}))) == []
    ones = np.ones((16, 16), np.float32)
    assert found("stored-twice", subject(Memory({"a": ones, "b": ones.copy()}))) == []
    tied = Memory({"a": w, "b": w}, {"a": {"shares": "0"}, "b": {"shares": "0"}})
    assert found("stored-twice", subject(tied)) == []


def norm(prefix: str, *words: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.{w}": np.ones((), np.int64) if w == "num_batches_tracked" else normal(8) for w in words
    }


WHOLE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def test_a_norm_without_its_statistics() -> None:
    of = Memory(norm("bn1", *WHOLE) | norm("bn2", "weight", "bias"))
    (finding,) = found("statistics-missing", subject(of))
    assert finding.where.tensor == "bn2.weight"
    half = Memory(norm("bn1", *WHOLE) | norm("bn2", "weight", "bias", "running_mean"))
    assert "running_var" in found("statistics-missing", subject(half))[0].message
    counted = Memory(norm("layer.3", "weight", "bias", "num_batches_tracked"))
    assert len(found("statistics-missing", subject(counted))) == 1


def test_norms_that_need_none() -> None:
    of = Memory(norm("bn1", *WHOLE) | norm("ln", "weight", "bias") | norm("fc", "weight", "bias"))
    assert found("statistics-missing", subject(of)) == []
    assert found("statistics-missing", subject(Memory(norm("bn1", "weight", "bias")))) == []
    ema = {n: {"role": "average"} for n in norm("ema.bn1", "weight", "bias")}
    of = Memory(norm("bn1", *WHOLE) | norm("ema.bn1", "weight", "bias"), ema)
    assert found("statistics-missing", subject(of)) == []
    keras = {
        f"batch_normalization/{w}": normal(4) for w in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    assert found("statistics-missing", subject(Memory(keras))) == []


def test_one_wide_weight_among_many() -> None:
    arrays = {f"l{i}.weight": normal(4, 4) for i in range(10)}
    odd = arrays | {"l3.weight": normal(4, 4, dtype=np.float64)}
    (finding,) = found("odd-dtype", subject(Memory(odd)))
    assert finding.tensors == ("l3.weight",) and finding.edit == "cast:l3.weight:float64->float32"
    assert found("odd-dtype", subject(Memory(arrays))) == []
    half = {n: (a.astype(np.float16) if i % 2 else a) for i, (n, a) in enumerate(arrays.items())}
    assert found("odd-dtype", subject(Memory(half))) == []


def test_placeholders_of_a_sharded_save() -> None:
    empty = {f"l{i}.weight": np.zeros((0,), np.float32) for i in range(5)}
    assert [f.severity for f in found("empty-tensor", subject(Memory(empty)))] == ["warning"]
    one = {f"l{i}.weight": normal(4, 4) for i in range(5)} | {"none": np.zeros((0,), np.float32)}
    assert found("empty-tensor", subject(Memory(one))) == []


def test_many_views_are_one_finding() -> None:
    faults = [Fault("view-whole-storage", f"view {i}", file="m.pt", tensor=f"t{i}") for i in range(9)]
    (finding,) = found("view-whole-storage", subject(None, *faults))
    assert len(finding.tensors) == 9
