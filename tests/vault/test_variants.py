"""A model whose structure changed goes on in the same vault: another variant, of which nothing is lost or mixed up."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Keep, Vault
from holdfast._core.errors import RestoreRefused
from holdfast._vault.folder.listing import record_of
from holdfast._vault.folder.variants import fit_key, variant_of_record
from holdfast._vault.restoring import fallback

torch = pytest.importorskip("torch")
nn = torch.nn


def net(width: int = 4, activation: type = nn.ReLU, dropout: float = 0.1) -> Any:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(3, width), activation(), nn.Dropout(dropout), nn.Linear(width, 2))


def fill(model: Any, value: float) -> Any:
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(value)
    return model


def save(vault: Vault, step: int, model: Any, **given: Any) -> Path:
    return Path(vault.save(step, model=fill(model, step), blocking=True, **given).wait())


def first(model: Any) -> float:
    return float(model[0].weight.detach()[0, 0])


def steps(vault: Vault) -> list[int]:
    return [c.step for c in vault]


# -- what is a variant -----------------------------------------------------------------------------------------------
def test_one_model_is_one_variant(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        model = net()
        optimizer = torch.optim.Adam(model.parameters())
        save(vault, 1, model)
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        save(vault, 2, model, optimizer=optimizer)
        model[0].requires_grad_(False)
        save(vault, 3, model, extra={"x": np.arange(5)})
        save(vault, 4, net(dropout=0.5))
        save(vault, 5, net().eval())
        found = {c.variant for c in vault}
        assert len(found) == 1
        (variant,) = found
        assert len(variant) == 8
        for c in vault:
            record = record_of(c.path)
            assert record.lineage is not None
            assert record.lineage["variant"] == variant == variant_of_record(record)


@pytest.mark.parametrize(
    "other",
    [
        net(5),
        net(activation=nn.GELU),
        net().to(torch.bfloat16),
        nn.Sequential(*net(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 2)),
        nn.ModuleDict({"body": net()}),
    ],
    ids=["width", "activation", "dtype", "layer", "bias", "names"],
)
def test_another_structure_is_another_variant(tmp_path: Path, other: Any) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        save(vault, 2, other)
        save(vault, 3, net())
        a, b, c = (row.variant for row in vault)
        assert a == c != b
        assert len({row.lineage for row in vault}) == 1, "the run goes on"


def test_a_record_without_the_word_still_tells(tmp_path: Path) -> None:
    """Steps of earlier versions."""
    with Vault(tmp_path) as vault:
        path = save(vault, 1, net())
    record = record_of(str(path))
    assert record.lineage is not None
    variant = record.lineage.pop("variant")
    assert variant_of_record(record) == variant


# -- restoring -------------------------------------------------------------------------------------------------------
def test_restore_takes_the_newest_that_matches_and_names_the_newer_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            save(vault, step, net())
        for step in (3, 4):
            save(vault, step, net(5))
        old, new = (c.variant for c in (vault.checkpoints()[0], vault.checkpoints()[3]))
        model = net()
        with caplog.at_level(logging.WARNING):
            outcome = vault.restore(model=model)
        assert outcome is not None
        assert first(model) == 2
        assert [name for name, _ in outcome.passed_over] == ["step-00000004", "step-00000003"]
        for name, why in outcome.passed_over:
            assert f"variant {new} of the model, this one is {old}" in why
            assert f"{name} was passed over" in caplog.text
        assert "step-00000004 was passed over" in outcome.summary
        wide = net(5)
        outcome = vault.restore(model=wide)
        assert outcome is not None
        assert outcome.passed_over == ()
        assert first(wide) == 4
        assert steps(vault) == [1, 2, 3, 4], "nothing is set aside"


def test_each_variant_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    real = fallback.restore_path

    def restore_path(path: str, **given: Any) -> Any:
        tried.append(Path(path).name)
        return real(path, **given)

    monkeypatch.setattr(fallback, "restore_path", restore_path)
    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        for step in range(2, 7):
            save(vault, step, net(5))
        for step in range(7, 10):
            save(vault, step, net(6))
        vault.restore(model=net())
    assert tried == ["step-00000009", "step-00000006", "step-00000001"]


def test_what_else_a_step_holds_makes_it_worth_a_try_of_its_own(tmp_path: Path) -> None:
    """One variant, and yet the one may fit where the other does not: it has the optimizer's state."""
    with Vault(tmp_path) as vault:
        model = net()
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        save(vault, 1, model, optimizer=optimizer)
        save(vault, 2, model)
        save(vault, 3, model, metrics={"loss": 1.0})
        assert len({c.variant for c in vault}) == 1
        with_optimizer, without, again = (fit_key(record_of(c.path)) for c in vault)
    assert with_optimizer != without == again


def test_another_function_of_the_same_tensors(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1, net(activation=nn.ReLU))
        save(vault, 2, net(activation=nn.GELU))
        model = net(activation=nn.ReLU)
        outcome = vault.restore(model=model)
        assert outcome is not None
        assert [name for name, _ in outcome.passed_over] == ["step-00000002"]
        assert first(model) == 1
        with pytest.raises(RestoreRefused) as refused:
            vault.restore(model=net(activation=nn.Tanh))
        assert {f.code for f in refused.value.findings if f.severity == "error"} == {"T218"}
        edit = next(f.edit for f in refused.value.findings if f.code == "T218")
        model = net(activation=nn.Tanh)
        outcome = vault.restore(model=model, allow=[edit])
        assert outcome is not None
        assert outcome.passed_over == ()
        assert first(model) == 2, "the newest, once it is allowed"


def test_a_step_of_another_variant_by_its_number_is_refused(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        save(vault, 2, net(5))
        with pytest.raises(RestoreRefused):
            vault.restore(model=net(), step=2)


def test_going_back_to_the_old_variant_goes_on_from_there(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        save(vault, 2, net(5))
        vault.restore(model=net())
        save(vault, 2, net())
        rows = list(vault)
        assert [c.name for c in rows] == ["step-00000001", "step-00000002", "step-00000002.2"]
        assert rows[2].parent == "step-00000001"
        assert rows[2].variant == rows[0].variant


# -- retention -------------------------------------------------------------------------------------------------------
def test_each_variant_keeps_its_own_last(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=2)) as vault:
        for step in (1, 2, 3):
            save(vault, step, net())
        for step in (4, 5, 6):
            save(vault, step, net(5))
        assert steps(vault) == [2, 3, 5, 6]
        save(vault, 7, net())
        assert steps(vault) == [3, 5, 6, 7]


def test_each_variant_keeps_its_own_best(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1, best=1, by="loss")) as vault:
        for step, width, loss in ((1, 4, 0.5), (2, 4, 0.9), (3, 5, 0.1), (4, 5, 0.2), (5, 5, 0.3)):
            save(vault, step, net(width), metrics={"loss": loss})
        assert steps(vault) == [1, 2, 3, 5]
        best = vault.best()
        assert best is not None
        assert best.step == 3


def test_the_only_checkpoint_of_a_variant_stays(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1)) as vault:
        save(vault, 1, net(5))
        for step in (2, 3, 4):
            save(vault, step, net())
        assert steps(vault) == [1, 4]
        model = net(5)
        vault.restore(model=model)
        assert first(model) == 1


# -- history ---------------------------------------------------------------------------------------------------------
def test_history_shows_variants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from click.testing import CliRunner

    from holdfast._cli.group import main

    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        save(vault, 2, net(5))
        save(vault, 3, net(5))
    with Vault(tmp_path) as vault:
        a, b, c = list(vault)
    text = CliRunner().invoke(main, ["history", str(tmp_path)]).output
    assert text.count(f"variant {b.variant}") == 1, text
    assert text.index("step-00000001") < text.index(f"variant {b.variant}") < text.index("step-00000002")
    assert f"variant {a.variant}" not in text, "the first needs no word"
    rows = json.loads(CliRunner().invoke(main, ["history", str(tmp_path), "--format", "json"]).output)
    assert [row["variant"] for row in rows["checkpoints"]] == [a.variant, b.variant, c.variant]
    assert [row["note"] for row in rows["checkpoints"]] == [None] * 3


def test_history_shows_what_was_verified_and_what_a_copy_saved(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from holdfast._cli.group import main

    with Vault(tmp_path) as vault:
        save(vault, 1, net())
        assert vault.scrub().damaged == ()
        (save(vault, 2, net()) / "holdfast.json").write_bytes(b"")
    first, second = [
        line
        for line in CliRunner().invoke(main, ["history", str(tmp_path)]).output.splitlines()
        if "step-" in line
    ]
    assert "verified 20" in first
    assert "verified" not in second
    assert "its copy is whole" in second
    rows = json.loads(CliRunner().invoke(main, ["history", str(tmp_path), "--format", "json"]).output)[
        "checkpoints"
    ]
    assert rows[0]["last_verified"]["verdict"] == "sound"
    assert rows[1]["last_verified"] is None
    assert rows[1]["note"].startswith("holdfast.json cannot be used")
