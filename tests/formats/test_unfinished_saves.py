"""Files that a ``torch.save`` left behind which did not finish."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

torch = pytest.importorskip("torch")


class _Unpicklable:
    def __reduce__(self) -> Any:
        raise ValueError("a lock cannot be pickled")


def model() -> Any:
    return torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(3)))


def findings(path: Path) -> list[Any]:
    return list(holdfast.examine(path).findings)


def test_a_save_that_raised_while_it_pickled(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(ValueError, match="a lock"):
        torch.save({"model": model().state_dict(), "lock": _Unpicklable()}, path)
    report = holdfast.examine(path)
    assert report.verdict == "lost"
    (finding,) = report.findings
    assert finding.code == "F111" and "the save did not finish" in finding.message
    assert "Nothing can be recovered" in finding.remedy and "holdfast doctor" in finding.remedy
    with pytest.raises(holdfast.PartMissing, match="did not finish"):
        holdfast.open(path)


def test_a_save_that_was_interrupted_between_its_storages(tmp_path: Path) -> None:
    """Its writer closes the file all the same, with a directory of what it has written."""
    whole, path, net = io.BytesIO(), tmp_path / "last.pt", model()
    torch.save(net.state_dict(), whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            folder, _, word = member.filename.rpartition("/")
            if not (folder.endswith("/data") and int(word) >= 2):
                new.writestr(member, old.read(member))
    report = holdfast.examine(path)
    (finding,) = (f for f in report.findings if f.severity == "error")
    assert finding.code == "F111" and "4 of 6 storages" in finding.message
    assert finding.tensors == ("1.weight", "1.bias", "2.weight", "2.bias")
    assert report.verdict == "damaged"
    with holdfast.open(path) as ckpt:
        assert np.array_equal(ckpt.read("0.weight"), net[0].weight.detach().numpy())


def test_a_save_that_was_killed_or_met_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save(model().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-900])
    (finding,) = findings(path)
    assert finding.code == "F101" and "the save did not finish" in finding.remedy
    assert "holdfast doctor" in finding.remedy


@pytest.mark.parametrize("members", [{"policy.pth": b"x"}, {"a/version": b"1", "a/readme.txt": b"words"}])
def test_other_zips_are_not_taken_for_one(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = tmp_path / "agent.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    report = holdfast.examine(path)
    assert report.checkpoints[0].format == "zip"
    assert "F111" not in [f.code for f in report.findings]


def test_a_finished_save_has_no_such_finding(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save(model().state_dict(), path)
    assert [f for f in findings(path) if f.severity != "note"] == []
