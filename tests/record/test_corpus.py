"""Silent failures that people reported, by their id in the corpus: what was fed to the model, and what its numbers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import DataContract, Vault

torch = pytest.importorskip("torch")

NAMES = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
OTHERWISE = ["O", "I-LOC", "B-PER", "B-LOC", "I-PER"]
"""The same names as a set gives them in another process."""


def numbered(names: list[str]) -> dict[str, int]:
    return {name: n for n, name in enumerate(names)}


def codes(findings: Any) -> list[str]:
    return [f.code for f in findings if f.severity in ("error", "warning")]


def saved(folder: Path, **recorded: Any) -> Path:
    with Vault(folder) as vault:
        vault.record(**recorded)
        path = vault.save(1, model=torch.nn.Linear(4, len(NAMES)), blocking=True).wait()
    return Path(path)


@pytest.mark.parametrize("form", [numbered, list], ids=["ids by name", "names in order"])
def test_pt_184_a_label_list_in_another_order(tmp_path: Path, form: Any) -> None:
    step = saved(tmp_path, preprocess={"labels": form(NAMES)})
    model = torch.nn.Linear(4, len(NAMES))
    model.load_state_dict(holdfast_state(step))  # fits: five classes are five classes
    report = holdfast.check(step, model=model, preprocess={"labels": form(OTHERWISE)})
    (finding,) = [f for f in report.findings if f.code == "D504"]
    assert "labels" in finding.message and "B-LOC" in f"{finding.message} {finding.evidence}"
    assert "D504" not in codes(holdfast.check(step, model=model, preprocess={"labels": form(NAMES)}).findings)


def test_pt_184_the_label_list_comes_back_with_the_model(tmp_path: Path) -> None:
    saved(tmp_path, preprocess={"labels": numbered(NAMES)})
    mine = numbered(OTHERWISE)
    with Vault(tmp_path) as vault:
        outcome = vault.restore(model=torch.nn.Linear(4, len(NAMES)), preprocess={"labels": mine})
    assert outcome is not None and mine == numbered(NAMES)
    assert [f.code for f in outcome.findings if f.code == "D504"] == [
        "D504"
    ]  # that it had been another is told


def test_pt_184_a_contract_knows_the_numbers_of_the_classes() -> None:
    rows = np.random.default_rng(0)
    x, y = rows.normal(size=(400, 4)).astype("f4"), rows.integers(0, len(NAMES), 400)
    contract = DataContract.from_batches((x, y), labels=numbered(NAMES))
    assert codes(contract.check((x[:64], y[:64]), labels=numbered(OTHERWISE))) == ["D417"]
    assert codes(contract.check((x[:64], y[:64]), labels=numbered(NAMES))) == []


def holdfast_state(step: Path) -> dict[str, Any]:
    with holdfast.open(step) as opened:
        return {
            name.removeprefix("model/"): torch.tensor(opened.read(name))
            for name in opened
            if opened[name].role == "weight"
        }


class Tokenizer:
    """Words to numbers, in the order in which they were met."""

    def __init__(self, text: str) -> None:
        self.ids: dict[str, int] = {}
        for word in text.split():
            self.ids.setdefault(word, len(self.ids))

    def __call__(self, text: str) -> list[int]:
        return [self.ids[word] for word in text.split()]


TEXT = "the path of a user to an item"


def test_pt_185_the_data_set_was_made_with_another_tokenizer(tmp_path: Path) -> None:
    step = saved(tmp_path, preprocess={"tokenizer": Tokenizer(TEXT)})
    model, other = torch.nn.Linear(4, len(NAMES)), Tokenizer(" ".join(reversed(TEXT.split())))
    assert other("a user") != Tokenizer(TEXT)("a user")  # the same words, and other ids
    report = holdfast.check(step, model=model, preprocess={"tokenizer": other})
    assert codes(report.findings) == ["D504"], [f.message for f in report.findings]
    assert codes(holdfast.check(step, model=model, preprocess={"tokenizer": Tokenizer(TEXT)}).findings) == []


def test_pt_185_the_vocabularys_file_is_another(tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.txt"
    file.write_text("\n".join(TEXT.split()))
    step = saved(tmp_path / "run", preprocess={"vocabulary": file})
    model = torch.nn.Linear(4, len(NAMES))
    assert codes(holdfast.check(step, model=model, preprocess={"vocabulary": file}).findings) == []
    file.write_text("\n".join(reversed(TEXT.split())))
    report = holdfast.check(step, model=model, preprocess={"vocabulary": file})
    assert codes(report.findings) == ["D504"], [f.message for f in report.findings]
