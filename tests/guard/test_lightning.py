"""Lightning under a guard: what its trainer loads is seen through PyTorch's own calls."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")
fabric = pytest.importorskip("lightning.fabric")

from torch import nn  # noqa: E402

from guard.watching import Watched  # noqa: E402

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
logging.getLogger("lightning.fabric").setLevel(logging.ERROR)


class Module(pl.LightningModule):
    def __init__(self, rate: float = 0.01, layers: int = 2, kind: Any = torch.optim.Adam) -> None:
        super().__init__()
        self.rate, self.kind = rate, kind
        self.net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))

    def training_step(self, batch: Any, index: int) -> Any:
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        return self.kind(self.parameters(), lr=self.rate)


def fitted(folder: Path, model: Any, epochs: int, **more: Any) -> Any:
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=str(folder),
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    data = torch.utils.data.TensorDataset(torch.randn(8, 4))
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=4), **more)
    return trainer


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = str(tmp_path / "saved.ckpt")
    fitted(tmp_path, Module(), 1).save_checkpoint(path)
    return path


def test_a_save_and_a_resume(watched: Watched, tmp_path: Path) -> None:
    path = str(tmp_path / "a.ckpt")
    fitted(tmp_path, Module(), 1).save_checkpoint(path)
    fitted(tmp_path, Module(), 2, ckpt_path=path)
    assert watched.codes() == []
    assert [(s.api, s.path) for s in watched.seen] == [
        (api, path)
        for api in (
            "Trainer.save_checkpoint",
            "torch.load",
            "Module.load_state_dict",
            "Optimizer.load_state_dict",
        )
    ]
    assert all("test_lightning.py" in s.site for s in watched.seen)
    assert "restored all 12 tensors" in watched.last().sentence


def test_the_learning_rate_of_the_code(saved: str, watched: Watched, tmp_path: Path) -> None:
    fitted(tmp_path, Module(rate=0.5), 2, ckpt_path=saved)
    assert watched.codes() == ["O207"]


def test_another_optimizer(saved: str, watched: Watched, tmp_path: Path) -> None:
    with pytest.raises(KeyError) as raised:
        fitted(tmp_path, Module(kind=torch.optim.SGD), 2, ckpt_path=saved)
    assert {"O203", "O312"} <= {*watched.codes()}
    assert any("Optimizer.load_state_dict" in note for note in raised.value.__notes__)


def test_the_last_one_where_there_is_none(watched: Watched, tmp_path: Path) -> None:
    fitted(tmp_path, Module(), 1, ckpt_path="last")
    assert watched.codes("warning") == ["T233"]
    assert "Trainer.fit(ckpt_path='last')" in watched.of("T233")


def test_load_from_checkpoint(saved: str, watched: Watched) -> None:
    Module.load_from_checkpoint(saved)
    assert watched.codes() == []
    Module.load_from_checkpoint(saved, layers=3, strict=False)
    assert watched.codes() == ["T201"]


def test_fabric(watched: Watched, tmp_path: Path) -> None:
    made = fabric.Fabric(accelerator="cpu", devices=1)
    path = str(tmp_path / "f.ckpt")

    def state() -> dict[str, Any]:
        model = nn.Linear(3, 2)
        model, optimizer = made.setup(model, torch.optim.Adam(model.parameters()))
        return {"model": model, "optimizer": optimizer, "step": 3}

    one = state()
    one["model"](torch.ones(1, 3)).sum().backward()
    one["optimizer"].step()
    made.save(path, one)
    other = state()
    made.load(path, other)
    assert watched.codes() == []
    assert watched.seen[0].api == "lightning.Fabric.save"
    assert [s.path for s in watched.seen] == [path] * len(watched.seen)
    assert torch.equal(other["model"].weight, one["model"].weight)


def test_everything_is_taken_back() -> None:
    before = (pl.Trainer.save_checkpoint, fabric.Fabric.save)
    made = Watched()
    assert pl.Trainer.save_checkpoint is not before[0]
    made.guard.close()
    assert before == (pl.Trainer.save_checkpoint, fabric.Fabric.save)
