"""Sound files of many writers stay quiet; the same files damaged by script do not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.finding import CheckpointReport
from holdfast._examine.examine import examine
from shared import FILES, ZOO, file_cases, needs_files, needs_shared, zoo_cases

OWN = Path(__file__).resolve().parent.parent / "zoo"


def reports(path: Path) -> tuple[CheckpointReport, ...]:
    return examine(path, jobs=1).checkpoints


def told(path: Path, *severities: str) -> list[str]:
    return [f"{f.slug}: {f.message}" for r in reports(path) for f in r.findings if f.severity in severities]


def entry(folder: Path, files: list[str]) -> Path | None:
    """What a person would name of a case: the folder of several files, or the one file."""
    tops = sorted({f.split("/")[0] for f in files if not f.startswith("...")})
    index = [f for f in files if f.endswith((".index", ".index.json", ".weights.json"))]
    name = tops[0] if len(tops) == 1 else (index or tops)[0]
    return folder / name if (folder / name).exists() else None


@pytest.mark.parametrize(
    "folder",
    sorted(p.name for p in OWN.iterdir() if p.is_dir() and p.name != "__pycache__") if OWN.exists() else [],
)
def test_our_own_zoo_is_quiet(folder: str) -> None:
    found = told(OWN / folder, "error", "warning")
    assert found == []


@needs_shared
def test_no_error_on_any_sound_case_of_the_zoo() -> None:
    errors: dict[str, list[str]] = {}
    warnings = 0
    looked = 0
    for case in zoo_cases():
        files = [f if isinstance(f, str) else f["path"] for f in case["files"]]
        path = entry(ZOO / case["folder"], files)
        if path is None:
            continue
        looked += 1
        said = told(path, "error")
        warnings += len(told(path, "warning"))
        if said:
            errors[case["id"]] = said
    assert errors == {}
    assert warnings <= 0.25 * looked, "warnings on sound files should be rare"
    assert looked > 250


@needs_files
def test_public_files_broken_ones_and_only_those_are_told() -> None:
    wrong: dict[str, list[str]] = {}
    for case in file_cases():
        paths = case["paths"]
        if case["format"] == "orbax" or not paths:
            continue
        path = FILES / paths[0] if len(paths) == 1 else FILES / os.path.commonpath(paths)
        if not path.exists():
            continue
        said = told(path, "error")
        if bool(said) != bool(case["broken"]):
            wrong[case["id"]] = said
    assert wrong == {}


def flip(path: Path, at: int, bit: int = 0x40) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= bit
    path.write_bytes(raw)


def errors(path: Path) -> list[str]:
    return [f.slug for r in reports(path) for f in r.findings if f.severity == "error"]


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        n: rng.normal(scale=0.02, size=(64, 128)).astype(np.float32)
        for n in ("a.weight", "b.weight", "c.weight")
    }


def test_a_flipped_bit_in_a_torch_zip_is_one_checksum_finding(tmp_path: Path, weights) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "m.pt"
    torch.save({n: torch.from_numpy(w) for n, w in weights.items()}, path)
    assert errors(path) == []
    at = path.read_bytes().index(weights["b.weight"].tobytes()) + 4003
    flip(path, at)
    (report,) = reports(path)
    (finding,) = [f for f in report.findings if f.severity == "error"]
    assert finding.slug == "checksum", "the absurd value is folded under what proves it"
    assert "b.weight" in (*finding.tensors, finding.where.tensor)
    assert [f.slug for f in finding.related] == ["absurd-values"]
    assert report.verdict == "damaged" and report.lost == ("b.weight",)
    assert set(report.loads or ()) == {"a.weight", "c.weight"}


def test_npz_flip_and_cut(tmp_path: Path, weights) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, **weights)
    assert errors(path) == []
    whole = path.read_bytes()
    flip(path, whole.index(weights["c.weight"].tobytes()) + 17, 0x01)
    assert errors(path) == ["checksum"]
    path.write_bytes(whole[: len(whole) // 2])
    assert errors(path) != []
    assert reports(path)[0].verdict in ("lost", "damaged")


def test_nan_in_an_h5_weight(tmp_path: Path, weights) -> None:
    h5py = pytest.importorskip("h5py")
    source = OWN / "keras_weights_h5"
    found = list(source.glob("*.h5"))
    if not found:
        pytest.fail("our own zoo has no .weights.h5")
    path = tmp_path / found[0].name
    shutil.copy(found[0], path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) and o.ndim >= 2 else None)
        kernel = file[next(n for n in names if not n.startswith("optimizer"))]
        values = kernel[()]
        values.reshape(-1)[0] = np.nan
        kernel[...] = values
    assert errors(path) == ["nan"]


def test_a_missing_safetensors_shard_is_one_finding(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    one, two = {"a": np.ones((4, 4), np.float32) * 2}, {"b": np.arange(16, dtype=np.float32).reshape(4, 4)}
    save_file(one, tmp_path / "model-00001-of-00002.safetensors")
    save_file(two, tmp_path / "model-00002-of-00002.safetensors")
    index = {
        "metadata": {"total_size": 128},
        "weight_map": {n: f"model-0000{k}-of-00002.safetensors" for n, k in (("a", 1), ("b", 2))},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    path = tmp_path / "model.safetensors.index.json"
    assert errors(path) == []
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    (report,) = reports(path)
    found = [f for f in report.findings if f.severity == "error"]
    assert [f.slug for f in found] == ["part-missing"]
    assert report.verdict == "damaged" and report.lost == ("b",) and report.loads == ("a",)


def test_torch_training_checkpoint_with_a_resized_weight(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 6)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    path = tmp_path / "train.pt"
    torch.save(state, path)
    assert errors(path) == []
    state["optimizer"]["state"][2]["exp_avg"] = torch.zeros(3, 9)
    torch.save(state, path)
    assert errors(path) == ["slot-shape"]


def test_a_torch_checkpoint_saved_in_the_middle_of_a_step(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        model(torch.randn(4, 6)).sum().backward()
        optimizer.step()
    state = optimizer.state_dict()
    path = tmp_path / "train.pt"
    torch.save({"model": model.state_dict(), "optimizer": state}, path)
    assert "steps-disagree" not in [f.slug for f in reports(path)[0].findings]
    state["state"][0]["step"] = state["state"][0]["step"] - 1
    torch.save({"model": model.state_dict(), "optimizer": state}, path)
    (finding,) = [f for f in reports(path)[0].findings if f.slug == "steps-disagree"]
    assert finding.severity == "warning" and finding.evidence["seen"] == {"2": 1, "3": 3}


def test_a_pickle_that_calls_the_system_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"x": Bomb()}, protocol=2))
    torch = pytest.importorskip("torch")
    zipped = tmp_path / "evil.pt"
    torch.save({"w": torch.ones(2, 2), "x": Bomb()}, zipped)
    (report,) = reports(zipped)
    (finding,) = [f for f in report.findings if f.severity == "error"]
    assert finding.slug == "pickle-global" and "system" in finding.message
    assert any(name.endswith("w") for name in report.loads or ())
    reports(path)
    assert not (tmp_path / "ran").exists()


def test_a_data_file_of_another_save_is_one_finding(tmp_path: Path) -> None:
    shutil.copytree(OWN / "tf_saver", tmp_path / "ck")
    (index,) = (tmp_path / "ck").rglob("*.index")
    (data,) = sorted(index.parent.glob(index.stem + ".data-*"))[:1]
    prefix = index.with_suffix("")
    assert errors(prefix) == []
    whole = data.read_bytes()
    flip(data, len(whole) // 2)
    assert errors(prefix) == ["checksum"], "one place is damage"
    data.write_bytes(bytes(b ^ 0x01 for b in whole))
    (report,) = reports(prefix)
    found = [f for f in report.findings if f.severity == "error"]
    assert [f.slug for f in found] == ["shards-mixed"]
    assert report.verdict == "lost" and report.loads == ()
