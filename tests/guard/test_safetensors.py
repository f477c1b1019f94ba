"""safetensors' own calls under a guard."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import numpy as np  # noqa: E402
import safetensors  # noqa: E402
import safetensors.numpy  # noqa: E402
import safetensors.torch  # noqa: E402
from torch import nn  # noqa: E402

import holdfast  # noqa: E402
from guard.watching import Watched  # noqa: E402


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def test_every_way_in(watched: Watched, tmp_path: Path) -> None:
    model = net()
    path = str(tmp_path / "m.safetensors")
    safetensors.torch.save_file(model.state_dict(), path)
    safetensors.torch.load_model(net(), path)
    net().load_state_dict(safetensors.torch.load_file(path))
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.keys() == ["0.bias", "0.weight", "1.bias", "1.weight"]
        assert file.metadata() is None
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        part = file.get_slice("0.weight")
        assert part.get_shape() == [4, 3]
        assert torch.equal(part[1:3], model[0].weight[1:3])
    other = net()
    other.load_state_dict(found)
    assert torch.equal(other[0].weight, model[0].weight)
    assert watched.codes() == []
    assert {s.path for s in watched.seen} == {path}
    assert [s.api for s in watched.seen] == [
        "safetensors.torch.save_file", "safetensors.torch.load_file", "Module.load_state_dict",
        "safetensors.torch.load_file", "Module.load_state_dict", "safetensors.safe_open", "Module.load_state_dict",
    ]  # fmt: skip


def test_a_model_saved_whole(watched: Watched, tmp_path: Path) -> None:
    path = str(tmp_path / "m.safetensors")
    model = net()
    model[1].bias = nn.Parameter(model[1].bias.data)
    safetensors.torch.save_model(model, path)
    safetensors.torch.load_model(model, path)
    assert watched.codes() == []
    assert watched.seen[0].kind == "save"


def test_leniently_into_another_model(watched: Watched, tmp_path: Path) -> None:
    path = str(tmp_path / "m.safetensors")
    safetensors.torch.save_file({f"model.{n}": t for n, t in net().state_dict().items()}, path)
    missing, _ = safetensors.torch.load_model(net(), path, strict=False)
    assert len(missing) == 4
    assert watched.codes() == ["T233"]


def test_an_optimizer_beside_sorted_names_is_not_out_of_order(watched: Watched, tmp_path: Path) -> None:
    """The file lists names by the alphabet, which is no record of the order in which the optimizer had them."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.first = nn.Linear(4, 4), nn.Linear(4, 4)

    def pair() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = Net()
        return model, torch.optim.Adam(model.parameters())

    model, optimizer = pair()
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    model, optimizer = pair()
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    assert watched.codes() == []
    assert "restored all 12 tensors" in watched.last().sentence


def test_shards_one_after_the_other(watched: Watched, tmp_path: Path) -> None:
    import json

    model = net()
    state = model.state_dict()
    shards = {
        "model-00001-of-00002.safetensors": ["0.weight", "0.bias"],
        "model-00002-of-00002.safetensors": ["1.weight", "1.bias"],
    }
    for name, keys in shards.items():
        safetensors.torch.save_file({k: state[k] for k in keys}, tmp_path / name)
    index = {
        "metadata": {"total_size": 104},
        "weight_map": {k: n for n, keys in shards.items() for k in keys},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    other = net()
    for name in shards:
        other.load_state_dict(safetensors.torch.load_file(tmp_path / name), strict=False)
    assert torch.equal(other[1].bias, model[1].bias)
    assert [c for c in watched.codes() if c.startswith("T")] == []


def test_a_flipped_bit_that_only_a_seal_knows(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file(net().state_dict(), path)
    holdfast.seal(str(path))
    data = bytearray(path.read_bytes())
    data[-6] ^= 0x80
    path.write_bytes(data)
    net().load_state_dict(safetensors.torch.load_file(path))
    assert watched.codes() == ["F102"]


def test_numpy(watched: Watched, tmp_path: Path) -> None:
    path = str(tmp_path / "a.safetensors")
    safetensors.numpy.save_file({"w": np.ones((2, 2), np.float32)}, path)
    assert safetensors.numpy.load_file(path)["w"].shape == (2, 2)
    assert watched.codes() == []
    assert [s.kind for s in watched.seen] == ["save", "read"]


def test_everything_is_taken_back() -> None:
    before = (safetensors.safe_open, safetensors.torch.load_file, safetensors.torch.save_file)
    made = Watched()
    assert safetensors.torch.load_file is not before[1]
    made.guard.close()
    assert before == (safetensors.safe_open, safetensors.torch.load_file, safetensors.torch.save_file)


def test_the_order_of_a_file_is_no_record_of_the_model_s(watched: Watched, tmp_path: Path) -> None:
    """The file is sorted by dtype and name: BatchNorm's counter comes apart from the rest."""

    def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
        return model, optimizer

    model, optimizer = trained()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    again, resumed = trained()
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    assert watched.codes() == []
