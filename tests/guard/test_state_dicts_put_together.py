"""State dicts that a program puts together of a file's tensors and the model's own, or from which it leaves some out: what came
of the file is told, and what the program kept. State dicts that come from no file are its own affair."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.watching import Watched

torch = pytest.importorskip("torch")
nn = torch.nn


def net(classes: int = 4) -> Any:
    return nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), "head": nn.Linear(5, classes)}
    )


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = str(tmp_path / "pretrained.pt")
    torch.save({"model": net().state_dict(), "epoch": 3}, path)
    return path


def update(model: Any, loaded: Any) -> None:
    own = model.state_dict()
    own.update({k: v for k, v in loaded.items() if k in own and v.shape == own[k].shape})
    model.load_state_dict(own)


def update_of_a_copy(model: Any, loaded: Any) -> None:
    own = copy.deepcopy(model.state_dict())
    own.update({k: v for k, v in loaded.items() if k in own and v.shape == own[k].shape})
    model.load_state_dict(own)


def own_in_place_of_the_file_s(model: Any, loaded: Any) -> None:
    own = model.state_dict()
    model.load_state_dict({k: v if v.shape == own[k].shape else own[k] for k, v in loaded.items()})


def values_into_own(model: Any, loaded: Any) -> None:
    own = model.state_dict()
    for name, value in loaded.items():
        if own[name].shape == value.shape:
            own[name].copy_(value)
    model.load_state_dict(own)


def popped(model: Any, loaded: Any) -> None:
    loaded.pop("head.weight")
    loaded.pop("head.bias")
    model.load_state_dict(loaded, strict=False)


def picked(model: Any, loaded: Any) -> None:
    model.load_state_dict({k: v for k, v in loaded.items() if "head" not in k}, strict=False)


@pytest.mark.parametrize(
    "load", [update, update_of_a_copy, own_in_place_of_the_file_s, values_into_own, popped, picked]
)
def test_a_head_of_its_own_is_told(load: Callable[[Any, Any], None], file: str, watched: Watched) -> None:
    load(net(2), torch.load(file)["model"])
    assert watched.codes("error", "warning") == ["T201"] and watched.last().worst == "warning"
    assert {"head.weight", "head.bias"} <= {*watched.last().facts["initial"]}
    assert "left out by the program: the checkpoint has them" in watched.of("T201")
    assert "(4, 5) where the model's is (2, 5)" in watched.of("T201")
    assert "2 tensors of the checkpoint went nowhere: `model/head.weight`" in watched.last().sentence
    assert "7 of 9" in watched.last().sentence or "restored 7" in watched.last().sentence


def test_of_two_models_in_a_file_the_one_that_is_loaded_counts(tmp_path: Path, watched: Watched) -> None:
    path = str(tmp_path / "averaged.pt")
    torch.save({"state": net(4).state_dict(), "average": net(6).state_dict()}, path)
    update(net(2), torch.load(path)["average"])
    assert "(6, 5) where the model's is (2, 5)" in watched.of("T201")
    assert "average/head.weight" in watched.last().sentence


def test_a_layer_that_the_file_does_not_have_is_an_error_as_ever(file: str, watched: Watched) -> None:
    model = net()
    model["more"] = nn.Linear(2, 2)
    update(model, torch.load(file)["model"])
    assert watched.codes("error") == ["T201"] and "not in the checkpoint" in watched.of("T201")


@pytest.mark.parametrize("way", [update, update_of_a_copy])
def test_a_prefix_that_lets_nothing_through(
    tmp_path: Path, watched: Watched, way: Callable[..., None]
) -> None:
    path = str(tmp_path / "parallel.pt")
    torch.save({f"module.{k}": v for k, v in net().state_dict().items()}, path)
    way(net(), torch.load(path))
    assert watched.codes("error") == ["T233"]
    assert "`module.body.0.weight`" in watched.of("T233")


def test_names_of_another_kind_let_nothing_through(tmp_path: Path, watched: Watched) -> None:
    path = str(tmp_path / "other.pt")
    torch.save({"stem.conv.weight": torch.randn(3, 3), "stem.conv.bias": torch.randn(3)}, path)
    update(net(), torch.load(path))
    assert watched.codes("error") == ["T233"]


def test_a_weight_that_fits_and_was_left_out_is_an_error(file: str, watched: Watched) -> None:
    loaded = torch.load(file)["model"]
    del loaded["head.bias"]
    net().load_state_dict(loaded, strict=False)
    assert watched.codes("error") == ["T201"]
    told = next(f for f in watched.last().findings if f.code == "T201")
    assert "load it too" in str(told.remedy)


def test_a_weight_that_fits_is_told_beside_a_new_head(file: str, watched: Watched) -> None:
    loaded = {k: v for k, v in torch.load(file)["model"].items() if "head" not in k and k != "body.0.bias"}
    net(2).load_state_dict(loaded, strict=False)
    assert watched.codes("error") == ["T201"] and "`body.0.bias` was left out" in watched.of("T201")
    assert watched.codes("warning") == ["T201"]


def test_a_key_that_was_left_out_and_is_asked_for(file: str, watched: Watched) -> None:
    loaded = torch.load(file)["model"]
    del loaded["head.bias"]
    with pytest.raises(RuntimeError):
        net().load_state_dict(loaded)
    assert "left out by the program" in watched.of("T201")


def test_what_an_earlier_load_has_set_may_stay(file: str, watched: Watched, tmp_path: Path) -> None:
    model = net()
    model.load_state_dict(torch.load(file)["model"])
    torch.save({"body.0.weight": torch.randn(5, 3)}, tmp_path / "finer.pt")
    update(model, torch.load(tmp_path / "finer.pt"))
    assert watched.codes() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda k, v: v,
        lambda k, v: v.clone(),
        lambda k, v: v.clone() if "1." in k else v,
        lambda k, v: v.float().contiguous(),
    ],
    ids=["as-is", "clones", "some-clones", "cast"],
)
def test_all_of_a_file_is_a_resume(change: Any, file: str, watched: Watched) -> None:
    model = net()
    loaded = torch.load(file)["model"]
    model.load_state_dict({k: change(k, v) for k, v in loaded.items()})
    own = model.state_dict()
    own.update(loaded)
    model.load_state_dict(own)
    assert watched.codes() == [] and "went nowhere" not in watched.last().sentence


def test_copies_that_come_from_no_file(file: str, watched: Watched) -> None:
    torch.load(file)
    model, other = net(), net()
    average = copy.deepcopy(model)
    model.load_state_dict(average.state_dict())
    best = copy.deepcopy(model.state_dict())
    model.load_state_dict(copy.deepcopy(best))
    other.load_state_dict(model.state_dict())
    assert watched.codes() == []


def test_its_own_state_beside_data(tmp_path: Path, watched: Watched) -> None:
    torch.save({"images": torch.randn(4, 3), "labels": torch.arange(4)}, tmp_path / "data.pt")
    torch.load(tmp_path / "data.pt")
    model = net()
    model.load_state_dict(model.state_dict())
    assert watched.codes() == []


def test_the_rest_of_the_file_in_a_second_call(file: str, watched: Watched) -> None:
    model, loaded = net(), torch.load(file)["model"]
    for part in ("body", "head"):
        model.load_state_dict({k: v for k, v in loaded.items() if k.startswith(part)}, strict=False)
    assert watched.codes() == [] and "went nowhere" not in watched.last().sentence


def test_a_wrapper_s_prefix_is_named_with_what_takes_it_off(tmp_path: Path, watched: Watched) -> None:
    whole = net()
    path = str(tmp_path / "bare.pt")
    torch.save(whole.state_dict(), path)
    wrapped = nn.DataParallel(net())
    wrapped.load_state_dict(torch.load(path), strict=False)
    assert "it has `body.0.weight`, the model `module.body.0.weight`" in watched.of("T233")
    told = next(f for f in watched.last().findings if f.code == "T233")
    assert "model.module.load_state_dict" in str(told.remedy)

    path = str(tmp_path / "wrapped.pt")
    torch.save(wrapped.state_dict(), path)
    net().load_state_dict(torch.load(path), strict=False)
    told = next(f for f in watched.last().findings if f.code == "T233")
    assert "k.removeprefix('module.')" in str(told.remedy)


def test_tied_weights_that_the_file_has_once(tmp_path: Path, watched: Watched) -> None:
    def tied() -> Any:
        model = nn.ModuleDict({"embedding": nn.Embedding(6, 4), "head": nn.Linear(4, 6, bias=False)})
        model["head"].weight = model["embedding"].weight
        return model

    path = str(tmp_path / "tied.pt")
    state = tied().state_dict()
    del state["head.weight"]
    torch.save(state, path)
    tied().load_state_dict(torch.load(path), strict=False)
    assert watched.codes() == [] and "restored all 2 tensors" in watched.last().sentence


def test_a_second_network_that_is_kept_in_step_is_none_of_a_file(file: str, watched: Watched) -> None:
    torch.load(file)
    online = net()
    target = copy.deepcopy(online)
    target.load_state_dict(online.state_dict())
    assert watched.codes("error", "warning") == []


def test_best_weights_that_are_put_back_after_training_are_none_of_a_file(
    file: str, watched: Watched
) -> None:
    torch.load(file)
    model = net()
    best = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model["head"].weight += 1
    model.load_state_dict(best)
    assert watched.codes("error", "warning") == []
