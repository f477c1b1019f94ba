"""Native payloads: the framework's own loader opens what was frozen, and the step verifies with it."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import holdfast
from holdfast import Keep, SaveFailed, UsageError, Vault

from .freezing import Gate

torch = pytest.importorskip("torch")


def _trained() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model.register_parameter("small", torch.nn.Parameter(torch.randn(3, dtype=torch.bfloat16)))
    model.register_buffer("turned", torch.randn(3, 5).t())
    model.register_buffer("nothing", torch.empty(0, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 4])
    _step(model, optimizer, scheduler)
    return model, optimizer, scheduler


def _step(model: Any, optimizer: Any, scheduler: Any) -> None:
    optimizer.zero_grad()
    (model[2](model[1](model[0](torch.randn(8, 4)))).square().mean() + model.small.float().sum()).backward()
    optimizer.step()
    scheduler.step()


def _copied(tree: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree.detach().clone()
    if isinstance(tree, collections.Counter):
        return tree.copy()
    if isinstance(tree, dict):
        return type(tree)((k, _copied(v)) for k, v in tree.items())
    return [_copied(v) for v in tree] if isinstance(tree, list) else tree


def _same(a: Any, b: Any, path: str = "") -> None:
    assert type(a) is type(b), (path, type(a), type(b))
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape, path
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            _same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            _same(x, y, f"{path}/{n}")
    else:
        assert a == b, path


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_torch_loads_what_was_frozen(tmp_path: Path, proof: Any, overlap: bool) -> None:
    model, optimizer, scheduler = _trained()
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", payload="torch", proof=proof, overlap=overlap, sink=sink) as vault:
        wanted = {
            "step": 5,
            "model": _copied(model.state_dict()),
            "optimizer": _copied(optimizer.state_dict()),
            "scheduler": _copied(scheduler.state_dict()),
            "extra": {"names": ["a", None, 2.5], "array": torch.arange(6).reshape(2, 3)},
        }
        extra = {"names": ["a", None, 2.5], "array": np.arange(6).reshape(2, 3)}
        handle = vault.save(5, model=model, optimizer=optimizer, scheduler=scheduler, extra=extra)
        for _ in range(3):
            _step(model, optimizer, scheduler)
        sink.open.set()
        step = Path(handle.wait())
        assert handle.timings["native"] > 0
        for _ in range(2):  # the buffers of the first save are used again
            last = vault.save(6, model=model, optimizer=optimizer, scheduler=scheduler, blocking=True)
        assert last.path is not None
    found = torch.load(step / "checkpoint.pt", weights_only=True)
    _same(found, wanted)
    assert isinstance(found["scheduler"]["milestones"], collections.Counter)
    weights = found["model"]
    assert (
        weights["0.weight"].untyped_storage().data_ptr() == weights["2.weight"].untyped_storage().data_ptr()
    )
    fresh = _trained()
    for part, live in zip(("model", "optimizer", "scheduler"), fresh, strict=True):
        live.load_state_dict(found[part])
    _same(_copied(fresh[1].state_dict()), wanted["optimizer"])

    report = holdfast.verify(step).checkpoints[0]
    assert report.verdict == "sound"
    model, optimizer, scheduler = _trained()
    outcome = Vault(tmp_path / "run").restore(step=5, model=model, optimizer=optimizer, scheduler=scheduler)
    assert outcome is not None and outcome.step == 5
    _same(_copied(model.state_dict()), wanted["model"])
    with holdfast.open(step / "checkpoint.pt") as own, holdfast.open(step) as ours:
        assert set(own.read("model/0.weight").reshape(-1)) == set(
            np.asarray(ours.read("0.weight")).reshape(-1)
        )


def test_several_models_wrapped_and_a_tensor_that_the_catalog_does_not_name(tmp_path: Path) -> None:
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    averaged = torch.optim.swa_utils.AveragedModel(first)
    generator = torch.Generator().manual_seed(3)
    models = {"gen": first, "critic": torch.nn.DataParallel(second)}
    wanted = _copied({k: v.state_dict() for k, v in models.items()})
    ema, state = _copied(averaged.state_dict()), generator.get_state().clone()
    with Vault(tmp_path / "run") as vault:
        handle = vault.save(
            1, model=models, ema=averaged, generator=generator, payload=("safetensors", "torch")
        )
        with torch.no_grad():
            for model in (first, second, averaged):
                for parameter in model.parameters():
                    parameter.fill_(7)
        torch.rand(3, generator=generator)
        found = torch.load(Path(handle.wait()) / "checkpoint.pt", weights_only=True)
    _same(found["model"], {k: collections.OrderedDict(v) for k, v in wanted.items()})
    _same(found["ema"], ema)
    assert torch.equal(found["generator"], state)


def test_every_flip_in_the_native_file_is_found(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 3)
    with Vault(tmp_path / "run", payload="torch") as vault:
        vault.save(1, model=model, blocking=True)
        vault.save(2, model=model, blocking=True)
    file = tmp_path / "run" / "step-00000002" / "checkpoint.pt"
    whole = file.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        file.chmod(0o644)
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        report = holdfast.verify(file.parent).checkpoints[0]
        assert report.verdict != "sound", at
    file.write_bytes(whole)
    assert holdfast.verify(file.parent).checkpoints[0].verdict == "sound"


class _Odd:
    def state_dict(self) -> dict[str, Any]:
        return {"count": 3, "thing": object()}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def test_what_the_format_cannot_hold_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with Vault(tmp_path / "run", payload="torch") as vault:
        with pytest.raises(UsageError, match="thing"):
            vault.save(1, model=torch.nn.Linear(1, 1), sampler=_Odd())
        with pytest.raises(UsageError, match="float8_e3m4"):
            extra = {"a": np.ones(5000, ml_dtypes.float8_e3m4)}
            vault.save(1, model=torch.nn.Linear(1, 1), extra=extra)
        assert not list(vault)
        vault.save(2, model=torch.nn.Linear(1, 1), blocking=True)
        assert len(vault) == 1


def test_words_and_frameworks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such payload"):
        Vault(tmp_path / "run", payload="pickle")
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="no such payload"):
            vault.save(1, model={"a": np.ones(2)}, payload="hdf5")
        with pytest.raises(UsageError, match="own framework"):
            vault.save(1, model={"a": np.ones(2)}, payload="torch")
        step = vault.save(1, model={"a": np.ones(2)}, payload="safetensors", blocking=True).path
    assert step is not None and not list(Path(step).glob("*.pt"))


def test_a_disk_that_fills_up_within_the_native_file(tmp_path: Path) -> None:
    from holdfast.testing import FaultySink

    model = torch.nn.Linear(300, 300)
    with Vault(tmp_path / "run", keep=Keep(last=1), payload="torch") as vault:
        vault.save(1, model=model, blocking=True)
    counting = FaultySink(tmp_path / "other")
    with Vault(tmp_path / "other", sink=counting, payload="torch") as vault:
        vault.save(1, model=model, blocking=True)
    writes = [
        n
        for n, (kind, name) in enumerate(counting.operations, 1)
        if kind == "write" and name.endswith("checkpoint.pt")
    ]
    assert len(writes) > 3
    sink = FaultySink(tmp_path / "run", at=writes[len(writes) // 2], action="fail", forever=False)
    vault = Vault(tmp_path / "run", keep=Keep(last=1), payload="torch", sink=sink)
    with pytest.raises(SaveFailed, match="write"):
        vault.save(2, model=model, blocking=True)
    vault.save(3, model=model, blocking=True)
    vault.close()
    assert [c.step for c in Vault(tmp_path / "run")] == [3]
