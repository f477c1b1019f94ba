"""What a run records with every save: probe, data contract, configuration; and what is proved by it at a restore."""

from __future__ import annotations

import argparse
import dataclasses
import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import DataContract
from holdfast._layouts.opening import open_path
from holdfast._restore.recorded import contract_of, probe_of
from holdfast._vault.folder.listing import record_of

torch = pytest.importorskip("torch")

RAW = np.random.default_rng(0).normal(5.0, 3.0, (64, 8)).astype("f4")


class Net(torch.nn.Module):
    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.body = torch.nn.Linear(8, 16)
        self.norm = torch.nn.LayerNorm(16, eps=eps)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.drop(torch.relu(self.norm(self.body(x)))))


def scaled(batch: np.ndarray) -> np.ndarray:
    return (batch - 5.0) / 3.0


def saved(folder: Path, **given: Any) -> tuple[Any, str]:
    """A vault's only step, saved in training mode."""
    torch.manual_seed(0)
    model = Net().train()
    with holdfast.Vault(folder) as vault:
        vault.record(**given)
        path = vault.save(1, model=model, blocking=True).path
    assert path is not None
    return model, path


def test_what_was_saved_is_proved_by_its_probe(tmp_path: Path) -> None:
    saved(tmp_path, probe=RAW[:8], preprocess=scaled)
    model = Net()
    outcome = holdfast.restore(tmp_path, model=model, prove=True, preprocess=scaled)
    assert "the probe gives the same: 5 layer outputs" in outcome.summary
    with holdfast.Vault(tmp_path) as vault:
        vault.record(preprocess=scaled)
        again = vault.restore(model=Net(), prove=True)
    assert again is not None and again.proved == outcome.proved


def test_saving_with_a_probe_leaves_the_model_as_it_is_and_draws_nothing(tmp_path: Path) -> None:
    model = Net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    with holdfast.Vault(tmp_path) as vault:
        vault.record(probe=RAW[:8])
        vault.save(1, model=model, blocking=True)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_another_function_with_the_same_tensors_is_not_proved(tmp_path: Path) -> None:
    model, path = saved(tmp_path, probe=RAW[:8])
    other = Net(eps=1e-2)
    with pytest.raises(
        holdfast.NotProved, match=r"diverges at `norm` \(LayerNorm\): eps 1e-05 became 0.01"
    ) as told:
        holdfast.restore(path, model=other, prove=True, allow=["function:*"])
    assert [f.code for f in told.value.findings] == ["D502"]
    assert torch.equal(other.head.weight, model.head.weight), "the values are restored all the same"
    assert told.value.outcome.restored


def test_other_preprocessing_is_told_apart_from_the_model(tmp_path: Path) -> None:
    saved(tmp_path, probe=RAW[:8], preprocess=scaled)
    with pytest.raises(holdfast.NotProved, match="preprocessing gives something else"):
        holdfast.restore(tmp_path, model=Net(), prove=True, preprocess=lambda batch: (batch - 4.0) / 3.0)


def test_without_a_probe_nothing_is_changed_and_nothing_is_proved(tmp_path: Path) -> None:
    saved(tmp_path)
    model = Net()
    before = model.head.weight.clone()
    with pytest.raises(holdfast.UsageError, match="holds no probe"):
        holdfast.restore(tmp_path, model=model, prove=True)
    assert torch.equal(model.head.weight, before)
    with pytest.raises(holdfast.UsageError, match="without a model"):
        holdfast.restore(tmp_path, optimizer=torch.optim.SGD(model.parameters(), 0.1), prove=True)


def test_a_batch_that_the_model_cannot_take_fails_the_save_and_says_so(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path) as vault:
        vault.record(probe=RAW[:8, :3])
        with pytest.raises(holdfast.UsageError):
            vault.save(1, model=Net(), blocking=True)
        vault.record(probe=RAW[:8])
        vault.save(2, model=Net(), blocking=True)
        assert [c.step for c in vault] == [2]


def test_a_jax_tree_is_probed_through_apply(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    tree = {"w": jax.numpy.ones((8, 2))}

    def apply(model: Any, batch: Any) -> Any:
        return batch @ model["w"]

    with holdfast.Vault(tmp_path) as vault:
        vault.record(probe=RAW[:4], apply=apply)
        vault.save(1, model=tree, blocking=True)
        outcome = vault.restore(model={"w": jax.numpy.zeros((8, 2))}, prove=True)
    assert outcome is not None and "the probe gives the same" in outcome.proved
    with pytest.raises(holdfast.NotProved, match="the outputs differ"):
        holdfast.restore(tmp_path, model=tree, prove=True, apply=lambda m, b: 2 * apply(m, b))


def test_the_contract_comes_back_as_it_was(tmp_path: Path) -> None:
    contract = DataContract.from_batches({"x": RAW, "y": np.arange(64) % 3})
    _, path = saved(tmp_path, contract=contract)
    with open_path(path) as stored:
        found = contract_of(record_of(path), stored)
        assert probe_of(record_of(path), stored) is None
    assert found is not None
    assert found.fields["x"].rows.shape == (64, 8)
    np.testing.assert_allclose(found.fields["x"].rows, contract.fields["x"].rows, rtol=1e-6)
    assert found.fields["y"].categories == contract.fields["y"].categories


class Kind(enum.Enum):
    SMALL = "small"


@dataclasses.dataclass
class Config:
    lr: float = 0.1
    kind: Kind = Kind.SMALL
    root: Path = Path("data/x")
    api_key: str = "sk-abcdefghijklmnopqrstuvwxyz"
    url: str = "https://me:geheim@host/x"
    tags: frozenset[str] = frozenset({"b", "a"})


@pytest.mark.parametrize("config", [Config(), argparse.Namespace(**dataclasses.asdict(Config()))])
def test_a_configuration_is_recorded_without_its_secrets(tmp_path: Path, config: Any) -> None:
    _, path = saved(tmp_path, config=config)
    record = record_of(path)
    assert record.environment is not None
    assert record.environment["config"] == {
        "lr": 0.1,
        "kind": "small",
        "root": "data/x",
        "api_key": "<filtered>",
        "url": "https://<filtered>@host/x",
        "tags": ["a", "b"],
    }


def test_a_configuration_that_json_cannot_say_is_refused_at_once(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path) as vault, pytest.raises(holdfast.UsageError, match="config/fn"):
        vault.record(config={"fn": len})
    with holdfast.Vault(tmp_path) as vault, pytest.raises(holdfast.UsageError, match="no data contract"):
        vault.record(contract=RAW)  # type: ignore[arg-type]


def test_a_changed_byte_of_the_probe_is_found(tmp_path: Path) -> None:
    _, path = saved(tmp_path, probe=RAW[:8])
    file = Path(path, "recorded.safetensors")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(holdfast.ChecksumMismatch):
        holdfast.restore(path, model=Net(), prove=True)
    assert holdfast.verify(path).verdict == "damaged"
