"""The data contract through a real vault: recorded, found again, held against data, and by `holdfast audit`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import DataContract, Keep, UsageError, Vault

X = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5)).astype("f4")
Y = (np.arange(2000) % 3).astype("i8")
SCALED = (X - 3.0) / 2.0


def model() -> dict[str, np.ndarray]:
    return {"w": np.arange(5, dtype="f4")}


def run(path: Path) -> Path:
    contract = DataContract.from_batches(
        ((SCALED[n : n + 50], Y[n : n + 50]) for n in range(0, 2000, 50)),
        labels=["a", "b", "c"],
        transform=np.sqrt,
    )
    with Vault(path, keep=Keep(last=2)) as vault:
        vault.save(1, model=model(), blocking=True)
        vault.record(contract=contract)
        for step in (2, 3):
            vault.save(step, model=model(), blocking=True)
    return path


def test_it_comes_back_with_the_restore_and_by_path(tmp_path: Path) -> None:
    path = run(tmp_path / "run")
    outcome = Vault(path).restore(model=model())
    assert outcome is not None and outcome.contract is not None
    for contract in (outcome.contract, DataContract.of(path), DataContract.of(path / "step-00000002")):
        assert isinstance(contract, DataContract)
        assert contract.labels == {"a": 0, "b": 1, "c": 2} and list(contract.fields) == ["0", "1"]
        assert contract.check((SCALED[:64], Y[:64])) == ()
        assert [f.code for f in contract.check((X[:64], Y[:64]))] == ["D410"]
        assert [f.code for f in contract.check((SCALED[:64], Y[:64]), labels=["b", "a", "c"])] == ["D417"]
    assert holdfast.restore(path / "step-00000003", model=model()).contract is not None


def test_where_there_is_none(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), blocking=True)
        outcome = vault.restore(model=model())
    assert outcome is not None and outcome.contract is None
    with pytest.raises(UsageError, match=r"vault\.record\(contract="):
        DataContract.of(tmp_path / "run")
    np.savez(tmp_path / "bare.npz", w=np.zeros(3))
    with pytest.raises(UsageError, match="no data contract"):
        DataContract.of(tmp_path / "bare.npz")
    with pytest.raises(holdfast.CheckpointNotFound):
        DataContract.of(tmp_path / "nothing")


def test_a_damaged_contract_is_no_contract(tmp_path: Path) -> None:
    path = run(tmp_path / "run") / "step-00000003"
    file = path / "recorded.safetensors"
    data = bytearray(file.read_bytes())
    data[-40] ^= 0x10
    file.write_bytes(data)
    with pytest.raises(holdfast.ChecksumMismatch):
        DataContract.of(path)


def test_a_step_that_is_gone_is_told(tmp_path: Path) -> None:
    path = run(tmp_path / "run")
    outcome = Vault(path).restore(model=model())
    shutil.rmtree(path)
    assert outcome is not None
    with pytest.raises(holdfast.CheckpointNotFound):
        _ = outcome.contract


def test_audit_holds_data_against_it(tmp_path: Path) -> None:
    path = run(tmp_path / "run")

    def audited(data: Any) -> tuple[list[str], str]:
        report = holdfast.audit(path, model=model(), data=data)
        return [f.code for f in report.findings], report.data

    assert audited((SCALED[:64], Y[:64])) == ([], "fits the data contract")
    codes, text = audited([(X[n : n + 64], Y[n : n + 64]) for n in range(0, 640, 64)])
    assert codes == ["D410"] and "0 is not normalised" in text
    assert audited(None) == ([], "")
    with Vault(tmp_path / "bare") as vault:
        vault.save(1, model=model(), blocking=True)
    bare = holdfast.audit(tmp_path / "bare", model=model(), data=SCALED)
    assert bare.data == "no data contract is recorded, so that the data was not looked at"
