"""E3: rules on the reader's versions, the device, and the readiness of the next step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast._core.fault import Fault
from holdfast._frameworks import live_catalog
from holdfast._rules.registry import Subject, rules
from memory_catalog import Memory, found, normal, subject, target


def held(catalog: Any, live: Any = None, reader: Any = None, *faults: Fault) -> Subject:
    return Subject(target(), catalog, None, "structure", list(faults), {}, live=live, reader=reader)


def tree(**arrays: np.ndarray) -> Any:
    return live_catalog(model=arrays)


def archive(version: str) -> Memory:
    words = {"keras_version": version, "model_class": "Functional"}
    return Memory({"dense/kernel": normal(2, 2)}, form="keras-archive", attributes=words)


@pytest.mark.parametrize(
    "version, reader, slug",
    [
        ("3.15.0", {"keras": "3.8.0"}, "reader-refuses"),
        ("3.15.0", {"keras": "3.13.0"}, None),
        ("3.8.0", {"keras": "3.15.1"}, None),
        ("2.15.0", {"keras": "3.15.1"}, "reader-refuses"),
        ("2.15.0", {"tf_keras": "2.16.0"}, None),
        ("3.15.0", {"torch": "1.0"}, None),
        ("3.15.0", None, None),
    ],
)
def test_the_reader_that_was_named(version: str, reader: Any, slug: str | None) -> None:
    of = held(archive(version), None, reader)
    said = [s for s in ("reader-refuses", "reader-loses") if found(s, of)]
    assert said == ([slug] if slug else [])
    if slug:
        (finding,) = found(slug, of)
        assert finding.severity == "error" and finding.remedy
        assert finding.message.startswith(f"keras {reader['keras']}: ")


def test_beside_a_live_model_the_installed_readers_are_a_note() -> None:
    keras = pytest.importorskip("keras")
    of = archive("2.15.0")
    live = tree(w=normal(2, 2))
    live.framework = "keras"
    assert [f.severity for f in found("reader-refuses", held(of, live))] == ["note"]
    live.framework = "torch"
    assert found("reader-refuses", held(of, live)) == []
    live.framework = "keras"
    assert [f.severity for f in found("reader-refuses", held(of, live, {"keras": keras.__version__}))] == [
        "error"
    ]


def test_losses_are_a_warning_and_name_what_is_lost() -> None:
    specs = {"m": {"role": "slot", "owner": "dense/kernel", "slot": "momentum"}}
    of = Memory(
        {"dense/kernel": normal(2, 2), "m": normal(2, 2)}, specs, form="keras-h5-legacy",
        attributes={"keras_version": "3.8.0", "model_class": "Functional"},
    )  # fmt: skip
    (finding,) = found("reader-loses", held(of, None, {"keras": "3.8.0"}))
    assert finding.severity == "warning" and finding.tensors == ("m",)
    assert finding.evidence["lost"] == "the optimizer's slots"
    plain = Memory(
        {"dense/kernel": normal(2, 2)}, form="keras-h5-legacy", attributes={"keras_version": "3.8.0"}
    )
    assert found("reader-loses", held(plain, None, {"keras": "3.8.0"})) == []


# -- devices -----------------------------------------------------------------------------------------------------


def gru(bias: tuple[int, ...], gates: int = 3, units: int = 4) -> Memory:
    return Memory(
        {
            "gru/kernel": normal(2, gates * units),
            "gru/recurrent_kernel": normal(units, gates * units),
            "gru/bias": normal(*bias),
        }
    )


@pytest.mark.parametrize(
    "bias, gates, said", [((24,), 3, 1), ((32,), 4, 1), ((2, 12), 3, 0), ((12,), 3, 0), ((16,), 4, 0)]
)
def test_cudnn_layouts(bias: tuple[int, ...], gates: int, said: int) -> None:
    assert len(found("packed-rnn", subject(gru(bias, gates)))) == said


def test_a_dense_bias_is_no_recurrent_one() -> None:
    assert found("packed-rnn", subject(Memory({"d/kernel": normal(4, 24), "d/bias": normal(24)}))) == []


def test_the_two_forms_of_gru() -> None:
    names = ("gru/kernel", "gru/recurrent_kernel", "gru/bias")
    after = live_catalog(model=dict(zip(names, (normal(2, 12), normal(4, 12), normal(2, 12)), strict=True)))
    (finding,) = found("recurrent-form", held(gru((12,)), after))
    assert "reset_after=False" in finding.message and "reset_after=True" in finding.message
    assert found("recurrent-form", held(gru((2, 12)), after)) == []
    assert found("recurrent-form", held(gru((12,)))) == []


@pytest.mark.parametrize(
    "dtype, device, said",
    [("bfloat16", "7.5", 1), ("bfloat16", "8.0", 0), ("float8_e4m3fn", "8.6", 1), ("float8_e4m3fn", "8.9", 0),
     ("float32", "3.0", 0), ("bfloat16", "none", 0), ("float16", "5.2", 1), ("float16", "7.0", 0)],
)  # fmt: skip
def test_types_that_the_device_does_not_compute(dtype: str, device: str, said: int) -> None:
    of = Memory({"w": normal(2, 2), "v": normal(2, 2)}, {"w": {"dtype": dtype}})
    assert len(found("type-on-device", held(of, None, {"cuda": device}))) == said
    assert found("type-on-device", held(of)) == []


def test_memory_formats() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 4, 3)
    live = live_catalog(model=conv)
    last = [27, 1, 9, 3]
    stored = Memory(
        {"weight": normal(4, 3, 3, 3), "bias": normal(4)}, {"weight": {"attributes": {"stride": last}}}
    )
    plain = Memory({"weight": normal(4, 3, 3, 3), "bias": normal(4)})
    kept = dict(live["weight"].attributes)
    live = live_catalog(model=conv.to(memory_format=torch.channels_last))
    if "stride" not in live["weight"].attributes:
        pytest.skip(f"the live catalog tells no strides: {kept}")
    assert len(found("channels-last", held(plain, live))) == 1
    assert found("channels-last", held(stored, live)) == []
    assert found("channels-last", held(plain)) == []


def test_precision_policies() -> None:
    of = Memory({"w": normal(2, 2)}, attributes={"precision_policy": "mixed_float16"})
    live = tree(w=normal(2, 2))
    assert found("precision-policy", held(of, live)) == []
    live.attributes = {"precision_policy": "float32"}
    (finding,) = found("precision-policy", held(of, live))
    assert finding.severity == "note" and "mixed_float16" in finding.message
    live.attributes = {"precision_policy": "mixed_float16"}
    assert found("precision-policy", held(of, live)) == []


# -- readiness ---------------------------------------------------------------------------------------------------

READINESS = {
    "unknown-variable": "note",
    "foreign-variable": "warning",
    "duplicate-variable": "warning",
    "slot-mismatch": "warning",
    "gradient-mismatch": "warning",
    "gradient-none": "warning",
    "gradient-left": "note",
    "frozen-in-optimizer": "note",
    "optimizer-order": "warning",
    "not-built": "warning",
    "stale-constants": "warning",
    "average-not-begun": "warning",
}


@pytest.mark.parametrize("slug", READINESS)
def test_a_readiness_fault_is_told_by_its_one_rule(slug: str) -> None:
    words = {"fails": False, "remedy": "Do this."}
    fault = Fault(
        slug, "the next step goes so", tensor="w", tensors=("w",), seen=1, expected=2, attributes=words
    )
    of = held(None, tree(w=normal(2, 2)), None, fault)
    assert [r.slug for r in rules() if r.live and list(r.check(r, of))] == [slug]
    (finding,) = found(slug, of)
    assert (finding.severity, finding.remedy, finding.where.tensor) == (READINESS[slug], "Do this.", "w")
    assert finding.evidence["seen"] == 1 and "remedy" not in finding.evidence
    fails = Fault(slug, "the next step raises", attributes={"fails": True})
    (finding,) = found(slug, held(None, None, None, fails))
    assert finding.severity == "error" and finding.remedy
    assert found(slug, held(None, None, None, Fault("version", "other"))) == []
