"""Fitted preprocessing comes back bit for bit, and a difference is told in the words of who fitted it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import UsageError, Vault
from holdfast._vault.folder.listing import record_of

sklearn = pytest.importorskip("sklearn")
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler  # noqa: E402

X = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 0.1]
WORDS = np.array([["a", "x"], ["b", "y"], ["c", "x"], ["a", "z"]] * 10, dtype=object)


def model() -> dict[str, np.ndarray]:
    return {"w": np.arange(6, dtype="f4")}


def told(outcome: Any) -> list[tuple[str, str]]:
    return [(f.code, f.message) for f in outcome.findings if f.code.startswith(("D", "R2"))]


def test_scalers_and_pipelines_come_back(tmp_path: Path) -> None:
    def made() -> dict[str, Any]:
        columns = [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
            ("m", MinMaxScaler(), slice(2, 4)),
        ]
        return {"columns": ColumnTransformer(columns), "words": OneHotEncoder(handle_unknown="ignore")}

    fitted, fresh = made(), made()
    expected = fitted["columns"].fit_transform(X), fitted["words"].fit_transform(WORDS).toarray()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess=fitted, blocking=True)
        outcome = vault.restore(model=model(), preprocess=fresh)
    assert outcome is not None
    assert told(outcome) == [], "an object that was not fitted yet differs from nothing"
    assert outcome.preprocess == fresh
    assert np.array_equal(fresh["columns"].transform(X), expected[0])
    assert np.array_equal(fresh["words"].transform(WORDS).toarray(), expected[1])
    assert not list(Path(outcome.path).glob("*.pkl"))


def test_a_scaler_that_was_fitted_again_is_put_back_and_told(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    mean = scaler.mean_.copy()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess={"scaler": scaler}, blocking=True)
        same = vault.restore(model=model(), preprocess={"scaler": StandardScaler().fit(X)})
        assert same is not None and told(same) == []
        other = StandardScaler().fit(X + np.array([0, 0, 0, 0.5]))
        outcome = vault.restore(model=model(), preprocess={"scaler": other})
    assert outcome is not None
    assert np.array_equal(other.mean_, mean)
    ((code, text),) = told(outcome)
    assert code == "D503"
    assert text.startswith(f"scaler: mean_[3] was {mean[3]:.6g}, and is {mean[3] + 0.5:.6g}"), text


def test_other_settings_are_refused_before_anything_changes(tmp_path: Path) -> None:
    live = model()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess={"scaler": StandardScaler().fit(X)}, blocking=True)
        live["w"][:] = 0
        for other, text in (
            (StandardScaler(with_std=False), "with_std was True, and is False"),
            (MinMaxScaler(), "StandardScaler"),
        ):
            with pytest.raises(UsageError, match=text):
                vault.restore(model=live, preprocess={"scaler": other})
        assert not live["w"].any()


def test_one_callable_is_the_probe_s_and_its_own_state_is_saved(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Normalise:
        def __init__(self, mean: float) -> None:
            self.mean = np.float32(mean)

        def __call__(self, batch: Any) -> Any:
            return batch - self.mean

    net = torch.nn.Linear(4, 2)
    raw = torch.ones(3, 4)
    with Vault(tmp_path / "run") as vault:
        vault.record(probe=raw, preprocess=Normalise(0.5))
        vault.save(1, model=net, blocking=True)
        mine = Normalise(0.9)
        outcome = vault.restore(model=net, preprocess=mine, prove=True)
        assert outcome is not None, "put back before the probe is replayed: else it would not agree"
        assert mine.mean == np.float32(0.5)
        assert [code for code, _ in told(outcome)] == ["D503"]
        vault.restore(model=net, preprocess={"preprocess": mine}, prove=True)


def test_a_function_has_no_state_and_an_estimator_is_transform(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(4, 2).double()
    scaler = StandardScaler().fit(X)
    with Vault(tmp_path / "run") as vault:
        vault.record(probe=torch.from_numpy(X[:4]), preprocess=lambda batch: batch)
        vault.save(1, model=net, blocking=True)
        assert "preprocess" not in (record_of(vault.checkpoints()[0].path).resume or {})
        vault.record(probe=X[:4], preprocess=scaler)
        vault.save(2, model=_Taking(net), blocking=True)
        again = StandardScaler()
        outcome = vault.restore(model=_Taking(net), preprocess=again, prove=True)
        assert outcome is not None
        assert np.array_equal(again.mean_, scaler.mean_)


def _Taking(net: Any) -> Any:
    import torch

    class Taking(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any) -> Any:
            return self.net(torch.as_tensor(x))

    return Taking()


def test_a_callable_that_cannot_be_saved_is_only_called(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Decode:
        def __init__(self) -> None:
            self.rows = iter([1, 2])

        def __call__(self, batch: Any) -> Any:
            return batch * 2

    net = torch.nn.Linear(4, 2)
    with Vault(tmp_path / "run") as vault:
        vault.record(probe=torch.ones(3, 4), preprocess=Decode())
        vault.save(1, model=net, blocking=True)
        outcome = vault.restore(model=net, prove=True)
        assert outcome is not None and outcome.preprocess == {} and told(outcome) == []
        with pytest.raises(UsageError, match="rows"):
            vault.save(2, model=net, preprocess={"decode": Decode()}, blocking=True)


def test_what_was_recorded_is_put_back_also_for_an_evaluation(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    with Vault(tmp_path / "run") as vault:
        vault.record(preprocess={"scaler": scaler})
        vault.save(1, model=model(), blocking=True)
        mean = scaler.mean_.copy()
        scaler.fit(X * 3)
        vault.save(2, model=model(), blocking=True)
        vault.restore(step=1, model=model())
        assert np.array_equal(scaler.mean_, mean)


def test_a_vocabulary_file_and_a_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")

    def trained(texts: list[str]) -> Any:
        made = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="?"))
        made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        made.train_from_iterator(texts, tokenizers.trainers.WordLevelTrainer(special_tokens=["?"]))
        return made

    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nemu\n")
    tokenizer = trained(["a b c", "b c", "c"])
    text = tokenizer.to_str()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess={"labels": labels, "tokenizer": tokenizer}, blocking=True)
        other = trained(["x y z"])
        back = tmp_path / "elsewhere" / "labels.txt"
        outcome = vault.restore(model=model(), preprocess={"labels": back, "tokenizer": other})
        assert outcome is not None
        assert other.to_str() == text
        assert back.read_text() == "cat\ndog\nemu\n"
        assert [code for code, _ in told(outcome)] == ["D504"]
        labels.write_text("cat\nemu\ndog\n")
        with pytest.raises(UsageError, match="holds something else"):
            vault.restore(model=model(), preprocess={"labels": labels})
        assert labels.read_text() == "cat\nemu\ndog\n", "nobody's file is written over"
        unasked = vault.restore(model=model())
        assert unasked is not None
        assert unasked.preprocess["labels"].files == {"labels.txt": b"cat\ndog\nemu\n"}


def test_a_tokenizer_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")

    def made(texts: list[str], **given: Any) -> Any:
        inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="?"))
        inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        inner.train_from_iterator(texts, tokenizers.trainers.WordLevelTrainer(special_tokens=["?"]))
        return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?", **given)

    one, two = made(["a b c", "b c"], model_max_length=77), made(["x y"])
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess={"tokenizer": one}, blocking=True)
        outcome = vault.restore(model=model(), preprocess={"tokenizer": two})
        assert outcome is not None and [code for code, _ in told(outcome)] == ["D504"]
        assert two("a b zz")["input_ids"] == one("a b zz")["input_ids"]
        assert two.model_max_length == 77
        again = vault.restore(model=model(), preprocess={"tokenizer": two})
        assert again is not None and told(again) == []


def test_too_large_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast._record.stateful.file_on_disk.LARGEST_FILE", 10)
    file = tmp_path / "big.txt"
    file.write_bytes(bytes(11))
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="too large"):
            vault.save(1, model=model(), preprocess={"big": file}, blocking=True)
        with pytest.raises(UsageError, match="no such file"):
            vault.save(1, model=model(), preprocess={"gone": tmp_path / "gone.txt"}, blocking=True)


def test_one_checkpoint_by_its_path(tmp_path: Path) -> None:
    scaler, rng = StandardScaler().fit(X), np.random.default_rng(1)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess={"scaler": scaler}, data={"rng": rng}, blocking=True)
        path = vault.checkpoints()[0].path
    mine, own = StandardScaler(), np.random.default_rng(7)
    outcome = holdfast.restore(path, model=model(), preprocess={"scaler": mine}, data={"rng": own})
    assert np.array_equal(mine.mean_, scaler.mean_)
    assert own.random() == rng.random()
    assert outcome.data == {"rng": own} and told(outcome) == []
    np.savez(tmp_path / "m.npz", **model())
    other = holdfast.restore(tmp_path / "m.npz", model=model(), preprocess={"scaler": mine})
    assert [code for code, _ in told(other)] == ["R212"], "another tool's checkpoint holds none"


# -- check and audit -------------------------------------------------------------------------------------------------
def test_check_and_audit_tell_what_differs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(4, 2)
    scaler = StandardScaler().fit(X)
    words = OneHotEncoder().fit(WORDS)
    with Vault(tmp_path / "run") as vault:
        vault.save(
            1,
            model=net,
            preprocess={"scaler": scaler, "words": words},
            metrics={"val_loss": 1.0},
            blocking=True,
        )
        path = vault.checkpoints()[0].path
    same = {"scaler": StandardScaler().fit(X), "words": OneHotEncoder().fit(WORDS)}
    other = {"scaler": StandardScaler().fit(X * 2), "words": OneHotEncoder().fit(WORDS[1:3])}

    def checked(preprocess: Any) -> list[tuple[str, str]]:
        report = holdfast.check(path, model=net, preprocess=preprocess)
        return [(f.code, f.severity) for f in report.checkpoints[0].findings if f.code.startswith("D")]

    def audited(preprocess: Any) -> list[tuple[str, str]]:
        report = holdfast.audit(
            path, model=net, evaluate=lambda model: {"val_loss": 1.0}, preprocess=preprocess
        )
        return [(f.code, f.severity) for f in report.findings if f.code.startswith("D")]

    for ask in (checked, audited):
        assert ask(same) == []
        assert ask(other) == [("D503", "error"), ("D504", "error")]
        assert ask(same["scaler"]) == [] and ask(same["scaler"].transform) == []
        assert ask(other["scaler"]) == [("D503", "error")], "one object is held against the one of its class"
        assert ask(StandardScaler()) == [("D503", "error")], "not fitted at all"
        assert ask(lambda batch: batch) == []
    assert np.array_equal(other["scaler"].mean_, X.mean(0) * 2), "nothing is changed"
