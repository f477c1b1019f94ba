"""Where a vault may lie, and that it stays one object: what would save into a folder that nobody means is refused."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import UsageError, Vault
from holdfast._storage.save_errors import save_failed


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3://bucket/run", "Mount the store"), (Path("gs://bucket/run"), "an address"), ("dbfs:/run", "an address"),
        ("file:///data/run", "Name it as a path: /data/run"), ("", "the path is empty"),
        ("~/run", os.path.expanduser("~/run")), ("~", "stands in this path as it is"),
    ],
)  # fmt: skip
def test_a_path_that_means_no_folder_here(
    path: str | Path, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        Vault(path)
    assert says in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["a:b", "run:/x", "~x", "~x/run", "s3", "step-00000001", "c:/run", "it's 3 %"]
)
def test_odd_names_are_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Vault(name).path == str(tmp_path / name)


def test_a_folder_that_is_called_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    assert Vault("~/run").path == str(tmp_path / "~" / "run")


def test_a_step_is_no_vault(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        path = vault.save(3, model={"w": np.ones(2)}, blocking=True).path
    assert path is not None
    with pytest.raises(UsageError, match="one step of a vault") as caught:
        Vault(path)
    assert f"Vault({str(tmp_path / 'run')!r}).restore(step='step-00000003', ...)" in str(caught.value)
    outcome = Vault(tmp_path / "run").restore(step="step-00000003", model={"w": np.zeros(2)})
    assert outcome is not None and outcome.step == 3


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_vault_is_neither_copied_nor_pickled(how: Callable[[Any], Any], tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="the one writer") as caught:
            how({"vault": [vault]} if how is not copy.copy else vault)
        assert isinstance(caught.value, TypeError)  # as of anything that cannot be pickled
        vault.save(1, model={"w": np.ones(2)}, blocking=True)
        assert pickle.loads(pickle.dumps(vault.latest)) == vault.latest
        assert copy.deepcopy(vault.keep) == holdfast.Keep()


def test_a_limit_on_the_size_of_files_is_told() -> None:
    told = str(save_failed("write", "model.safetensors", OSError(errno.EFBIG, "File too large")))
    assert "larger than is allowed" in told and "ulimit -f" in told
