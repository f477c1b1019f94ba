"""PyTorch: each planted fault is named, with proof; what is right is left alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")

from isolate.torch_faults import FAULTS, RIGHT, Fault, Net  # noqa: E402


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_and_proved(name: str) -> None:
    fault: Fault = FAULTS[name]
    given = fault.make()
    found = holdfast.isolate(given, "torch")
    assert [c.path[: len(path)] for c, path in zip(found.culprits, fault.paths, strict=True)] == list(
        fault.paths
    )
    assert found.exit_code == 1 and found.complete
    assert found.verdict == ("not-saved" if fault.phase == "save" else "not-read-back")
    for culprit in found.culprits:
        assert fault.what in culprit.what
        assert culprit.proved and culprit.alone is (culprit.phase != "load afresh")
        assert culprit.why and culprit.remedy and culprit.error and culprit.cause
        if fault.what:
            assert culprit.phase == fault.phase
    assert 4 <= found.saves <= 30


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_saved(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = holdfast.isolate(RIGHT[name](), "torch")
    assert (found.verdict, found.culprits, found.error) == ("saved", (), "")
    assert found.nbytes and "torch.load(path, weights_only=False)" in found.read


def test_weights_only_is_told_both_ways() -> None:
    plain = holdfast.isolate(RIGHT["state dicts"](), "torch")
    assert "torch.load(path)" in plain.read and not plain.notes
    whole = holdfast.isolate(Net(), "torch")
    assert "torch.load(path)" not in whole.read
    refused = next(note for note in whole.notes if "weights_only" in note.text)
    assert "does not take isolate.torch_faults.Net, torch.nn.modules." in refused.text  # one's own code first
    assert "model.layers[0]" in refused.paths


def test_a_model_that_fails_whole_is_told_that_its_state_dict_passes() -> None:
    found = holdfast.isolate(FAULTS["hook"].make(), "torch")
    assert any("model.state_dict()" in note.text and "passes" in note.text for note in found.notes)


def test_the_other_ways_to_a_shared_object_are_told() -> None:
    (culprit,) = holdfast.isolate({"a": [f := (lambda: 0)], "b": {"c": f}}, "torch").culprits
    assert (culprit.path, culprit.also) == ('checkpoint["a"][0]', ('checkpoint["b"]["c"]',))


def test_nothing_of_what_is_given_is_changed() -> None:
    given = FAULTS["two at once"].make()
    before = (dict(given), dict(vars(given["config"])))
    holdfast.isolate(given, "torch")
    assert (dict(given), dict(vars(given["config"]))) == before


def test_many_of_one_kind_are_all_found() -> None:
    given: dict[str, Any] = {f"part {n}": torch.ones(1) if n % 10 else (lambda: 0) for n in range(200)}
    found = holdfast.isolate(given, "torch")
    assert [c.path for c in found.culprits] == [f'checkpoint["part {n}"]' for n in range(0, 200, 10)]


class _Fresh:
    """Gives a new lambda each time it is asked: no object of it can be left out by itself."""

    def __getstate__(self) -> dict[str, Any]:
        return {"a": 1, "f": lambda: 0}


def test_where_the_state_is_made_anew_each_time_its_owner_is_named() -> None:
    found = holdfast.isolate({"x": [1, {"y": _Fresh()}], "w": torch.ones(2)}, "torch")
    assert [c.path for c in found.culprits] == ['checkpoint["x"][1]["y"]'] and found.complete


def test_a_lightning_module_stands_for_its_checkpoint() -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self, width: int, callback: Any) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(width, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = holdfast.isolate(Module(2, lambda: 0))
    assert [c.path for c in found.culprits] == ['checkpoint["hyper_parameters"]["callback"]']
    assert "LightningModule" in found.title


def test_a_lightning_trainer_stands_for_what_it_saves(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, number: int) -> Any:
            return self.layer(batch).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Callback(lightning.Callback):
        def __init__(self, held: Any) -> None:
            self.held = held

        @property
        def state_key(self) -> str:
            return "Callback"

        def state_dict(self) -> dict[str, Any]:
            return {"held": self.held}

    def fitted(held: Any) -> Any:
        trainer = lightning.Trainer(
            max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[Callback(held)], default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(Module(), torch.utils.data.DataLoader(torch.ones(4, 2)))
        return trainer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = holdfast.isolate(fitted(lambda: 0))
        right = holdfast.isolate(fitted(3))
    assert [c.path for c in found.culprits] == [
        'checkpoint["callbacks"]["Callback"]["held"]'
    ] and found.complete
    assert right.saved and "trainer.save_checkpoint" in right.title
    assert list(tmp_path.rglob("*.ckpt")) == []
