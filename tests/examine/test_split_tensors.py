"""A model that is split over ranks: ``check`` says what ``restore`` will, before anything is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed.fsdp", reason="distributed training is not in this build")
fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")


@pytest.fixture
def ranks() -> Iterator[Any]:
    """A mesh of two ranks, of which this process is the first."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    dist.init_process_group("fake", store=fake.FakeStore(), rank=0, world_size=2)
    yield init_device_mesh("cpu", (2,))
    dist.destroy_process_group()


def made(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4))


def saved(path: Path) -> Path:
    model = made()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 6)).square().sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return path


@pytest.mark.parametrize("rollback", [None, False])
def test_check_and_restore_refuse_split_tensors_alike(
    tmp_path: Path, ranks: Any, rollback: bool | None
) -> None:
    from torch.distributed.fsdp import fully_shard

    path, model = saved(tmp_path / "last.pt"), made(1)
    fully_shard(model, mesh=ranks)
    optimizer = torch.optim.AdamW(model.parameters())
    report = holdfast.check(path, model=model, optimizer=optimizer)
    (finding,) = (f for f in report.findings if f.severity == "error")
    assert finding.code == "T222" and "split over 2 ranks" in finding.message
    assert finding.remedy is not None and "fully_shard" in finding.remedy
    assert not report.checkpoints[0].attributes["fits"]
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    with pytest.raises(holdfast.RestoreRefused, match="split over 2 ranks"):
        holdfast.restore(path, model=model, optimizer=optimizer, rollback=rollback)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_buffers())


def test_silent_of_split_tensors_that_nothing_is_restored_into(tmp_path: Path, ranks: Any) -> None:
    from torch.distributed.fsdp import fully_shard

    path, model = saved(tmp_path / "last.pt"), made(1)
    whole = holdfast.check(path, model=model, optimizer=torch.optim.AdamW(model.parameters()))
    assert whole.checkpoints[0].attributes["fits"]  # before it is split
    fully_shard(model, mesh=ranks)
    report = holdfast.examine(model=model, optimizer=torch.optim.AdamW(model.parameters()))
    assert [f.code for f in report.findings] == []  # the next step of a split model runs
    kept = holdfast.check(
        path, model=model, allow=["keep-live:0.*", "keep-live:1.weight", "keep-live:1.bias"]
    )
    assert "T222" not in [f.code for f in kept.findings]  # its buffers are whole
