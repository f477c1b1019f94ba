"""Whole reports on real files: sound ones, and each kind of damage made by script."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.errors import CheckpointNotFound, UsageError
from holdfast._core.finding import CheckpointReport
from holdfast._examine import examine as module
from holdfast._examine.examine import chosen, examine_target
from holdfast._examine.verdict import verdict_of
from holdfast._formats.registry import recognise
from holdfast._layouts.target import Target
from holdfast._rules.registry import rule_named, rules
from holdfast._storage import open_local
from memory_catalog import Memory, normal, target

MODEL = {
    "fc1.weight": normal(64, 300, seed=1),
    "fc1.bias": np.zeros(64, np.float32),
    "fc2.weight": normal(10, 64, seed=2),
    "fc2.bias": normal(10, seed=3),
}


def written(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    from safetensors.numpy import save_file

    save_file(arrays, path)
    return path


def examined(path: Path, **options) -> CheckpointReport:
    source, store, name = open_local(path)
    form = recognise(source)
    source.close()
    return examine_target(Target(str(path), store, name, form), **options)


def slugs(report: CheckpointReport) -> list[str]:
    return [f.slug for f in report.findings]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "model.safetensors", MODEL)


def payload(path: Path) -> int:
    return 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]


def place_of(path: Path, name: str) -> int:
    raw = path.read_bytes()
    return payload(path) + json.loads(raw[8 : payload(path)])[name]["data_offsets"][0]


def test_a_sound_file(model: Path) -> None:
    report = examined(model)
    assert (report.verdict, report.findings) == ("sound", ())
    assert report.loads is not None and set(report.loads) == set(MODEL) and report.lost == ()
    assert report.tensors == 4 and report.nbytes == sum(a.nbytes for a in MODEL.values())
    assert any("every value of 4 tensors" in s for s in report.looked_at)
    assert report.not_looked_at


def test_depth_header_reads_no_values_and_says_so(model: Path) -> None:
    raw = bytearray(model.read_bytes())
    raw[place_of(model, "fc2.weight") : place_of(model, "fc2.weight") + 4] = struct.pack("<f", float("nan"))
    model.write_bytes(raw)
    report = examined(model, depth="header")
    assert report.findings == () and report.loads is None
    assert any("values" in s for s in report.not_looked_at) and any(
        "checksums" in s for s in report.not_looked_at
    )
    assert slugs(examined(model)) == ["nan"]


def test_nan_zeroed_page_and_flipped_exponent(model: Path) -> None:
    raw = bytearray(model.read_bytes())
    at = place_of(model, "fc1.weight")
    page = (at // 4096 + 2) * 4096
    raw[page : page + 4096] = bytes(4096)
    model.write_bytes(raw)
    report = examined(model)
    assert slugs(report) == ["zeroed-pages"] and report.verdict == "damaged"
    assert report.findings[0].where.offset is not None and abs(report.findings[0].where.offset - page) < 4

    written(model, MODEL)
    raw = bytearray(model.read_bytes())
    raw[at + 4003] ^= 0x40
    model.write_bytes(raw)
    assert slugs(examined(model)) == ["absurd-values"]


def test_a_cut_file_tells_one_finding_and_what_still_loads(model: Path) -> None:
    raw = model.read_bytes()
    model.write_bytes(raw[: len(raw) - 100])
    report = examined(model)
    errors = [f for f in report.findings if f.severity == "error"]
    assert [f.slug for f in errors] == ["truncated"]
    assert report.verdict in ("damaged", "lost")
    if report.verdict == "damaged":
        assert report.loads and report.lost and not set(report.loads) & set(report.lost)


def test_select_and_ignore(model: Path) -> None:
    raw = bytearray(model.read_bytes())
    raw[place_of(model, "fc2.weight") : place_of(model, "fc2.weight") + 4] = struct.pack("<f", float("nan"))
    model.write_bytes(raw)
    assert slugs(examined(model, ignore=["N101"])) == []
    assert slugs(examined(model, ignore=["nan"])) == []
    assert slugs(examined(model, select=["F"])) == []
    assert slugs(examined(model, select=["N"])) == ["nan"]
    assert slugs(examined(model, select=["N101"], ignore=["N"])) == ["nan"], "the longer text wins"
    with pytest.raises(UsageError):
        examined(model, select=["Q9"])
    with pytest.raises(UsageError):
        examined(model, depth="deep")


def test_choice_of_rules() -> None:
    nan = rule_named("nan")
    assert nan is not None
    assert chosen(nan, (), ()) and chosen(nan, ("n1",), ()) and not chosen(nan, ("F",), ())
    assert not chosen(nan, ("N",), ("N",)) and chosen(nan, ("nan",), ("N",))


def test_a_bug_in_a_rule_is_told_and_the_rest_stands(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    def broken(rule, subject):
        raise ZeroDivisionError("oh")
        yield

    dead = dataclasses.replace(rule_named("dead-tensor"), check=broken)
    monkeypatch.setattr(module, "rules", lambda: (*rules(), dead))
    report = examined(model)
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("H000", "error")
    assert "dead-tensor" in finding.message and "ZeroDivisionError: oh" in finding.message
    assert report.tensors == 4


def test_a_bug_in_a_reader_is_told(model: Path) -> None:
    import dataclasses

    source, store, name = open_local(model)
    form = recognise(source)
    source.close()
    assert form is not None

    def broken(source, store):
        raise TypeError("a reader's bug")

    report = examine_target(Target(str(model), store, name, dataclasses.replace(form, open=broken)))
    assert slugs(report) == ["internal"] and "a reader's bug" in report.findings[0].message


def test_a_format_without_reader_is_unknown_and_no_error(model: Path) -> None:
    import dataclasses

    source, store, name = open_local(model)
    form = recognise(source)
    source.close()
    assert form is not None
    report = examine_target(
        Target(str(model), store, name, dataclasses.replace(form, open=None, hint="Use X."))
    )
    assert report.verdict == "unknown" and slugs(report) == ["not-readable"]
    assert report.findings[0].remedy == "Use X."


def test_verdicts() -> None:
    def of(*told, lost=(), catalog=None):
        from holdfast._core.finding import Finding

        findings = [Finding(rule_named(s).code, s, rule_named(s).severity, s) for s in told]
        return verdict_of(findings, catalog, lost, True)

    two = Memory({"a": normal(2), "b": normal(2)})
    assert of(catalog=two) == "sound"
    assert of("hole", "device-tag", catalog=two) == "sound"
    assert of("checksum", catalog=two, lost=("a",)) == "damaged"
    assert of("checksum", catalog=two, lost=("a", "b")) == "lost"
    assert of("part-missing", catalog=two, lost=("c", "d")) == "damaged", "what is here loads"
    assert of("part-missing", catalog=Memory({}), lost=("c",)) == "lost"
    assert of("lfs-pointer") == "lost"
    assert of("truncated") == "lost"
    assert of("not-recognised") == "unknown"
    assert of("not-readable") == "unknown"


def test_junk_by_name(tmp_path: Path) -> None:
    pytest.importorskip("holdfast._layouts.resolve")
    from holdfast._layouts.resolve import resolve

    cases = {
        "empty-file": b"",
        "zero-file": bytes(5000),
        "html-page": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>x</body></html>",
        "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
        + b"a" * 64
        + b"\nsize 12345\n",
    }
    for slug, content in cases.items():
        path = tmp_path / slug / "model.pt"
        path.parent.mkdir()
        path.write_bytes(content)
        (one,) = resolve(path)
        report = examine_target(one)
        assert slugs(report) == [slug]
        assert report.verdict == "lost"
        assert report.findings[0].remedy


def test_examine_takes_one_path_or_several(tmp_path: Path) -> None:
    pytest.importorskip("holdfast._layouts.resolve")
    a, b = written(tmp_path / "a.safetensors", MODEL), written(tmp_path / "b.safetensors", MODEL)
    assert module.examine(a).verdict == "sound"
    assert [c.path for c in module.examine([a, b]).checkpoints] == [str(a), str(b)]
    assert len(module.examine(tmp_path, recursive=True).checkpoints) == 2
    with pytest.raises(CheckpointNotFound):
        module.examine(tmp_path / "nothing.pt")


def test_an_unopened_target_with_faults_only() -> None:
    from holdfast._core.fault import Fault

    report = examine_target(
        target("gone.index", Fault("part-missing", "no shard", file="gone.data-00000-of-00001"))
    )
    assert report.verdict == "lost" and slugs(report) == ["part-missing"]
