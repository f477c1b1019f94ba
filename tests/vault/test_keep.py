"""Retention: what must stay stays, for every rule and every run; what goes is what no rule wants."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from holdfast import Keep, Vault
from holdfast._core.errors import DamagedCheckpoint, SaveFailed, UsageError
from holdfast._vault.folder.keep import Kept, dropped

IN_MEMORY = True
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
MODEL = {"w": np.arange(3.0)}
keeps = some.builds(
    Keep,
    last=some.none() | some.integers(1, 4),
    best=some.integers(0, 3),
    by=some.just("loss"),
    mode=some.sampled_from(("min", "max")),
    every=some.none() | some.integers(1, 6).map(lambda n: n * HOUR),
)


@some.composite
def runs(draw: some.DrawFn) -> list[Kept]:
    """A run: saves in order, each a while after the one before, some with a metric, some pinned."""
    at, found = START, []
    for order in range(1, draw(some.integers(0, 12)) + 1):
        at += draw(some.integers(0, 4)) * HOUR
        loss = draw(some.none() | some.sampled_from([0.5, 1.0, 2.0, float("nan"), float("inf")]))
        metrics = {} if loss is None else {"loss": loss}
        found.append(Kept(f"step-{order:08d}", order, at, metrics, draw(some.integers(0, 4)) == 0))
    return found


@settings(max_examples=300, deadline=None)
@given(keeps, runs(), some.randoms(use_true_random=False), some.data())
def test_what_must_stay_stays(keep: Keep, run: list[Kept], chance, data: some.DataObject) -> None:  # type: ignore[no-untyped-def]
    verified = data.draw(some.sampled_from([c.name for c in run])) if run else None
    shuffled = list(run)
    chance.shuffle(shuffled)
    gone = dropped(keep, shuffled, newest_verified=verified)
    left = [c for c in run if c.name not in gone]
    assert gone == [c.name for c in run if c.name in set(gone)], "the oldest first, each once"
    assert not run or left
    assert verified is None or verified not in gone
    assert not [c for c in run if c.pinned and c.name in gone]
    last = 1 if keep.last is None else keep.last
    assert run[-last:] == [c for c in run[-last:] if c in left]
    if keep.everything:
        assert not gone
    # the best: nobody that went is better than the worst of the best that stayed
    sign = 1 if keep.mode == "min" else -1
    rated, rated_left = (
        sorted(
            sign * c.metrics["loss"]
            for c in some_of
            if c.metrics.get("loss", np.nan) == c.metrics.get("loss")
        )
        for some_of in (run, left)
    )
    assert rated_left[: keep.best] == rated[: keep.best]
    if keep.every is not None:  # no hole longer than `every` and one gap between saves, where saves were
        for c in run:
            assert any(k.created <= c.created < k.created + keep.every for k in left)


@settings(max_examples=200, deadline=None)
@given(keeps, runs())
def test_dropping_is_settled_in_one_go(keep: Keep, run: list[Kept]) -> None:
    """What is left after a drop is what the next one would leave: no step is lost by being looked at twice."""
    newest = run[-1].name if run else None
    gone = set(dropped(keep, run, newest_verified=newest))
    assert dropped(keep, [c for c in run if c.name not in gone], newest_verified=newest) == []


@settings(max_examples=200, deadline=None)
@given(some.integers(1, 4), runs())
def test_last_alone_drops_all_others(last: int, run: list[Kept]) -> None:
    gone = dropped(Keep(last=last), run, newest_verified=run[-1].name if run else None)
    assert gone == [c.name for c in run[:-last] if not c.pinned]


@pytest.mark.parametrize(
    "wrong",
    [
        {"last": 0},
        {"last": -1},
        {"best": 2},
        {"best": -1, "by": "x"},
        {"mode": "least"},
        {"every": timedelta(0)},
    ],
)
def test_senseless_rules_are_refused(wrong: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError):
        Keep(**wrong)


def test_a_tie_keeps_the_newer(tmp_path: Path) -> None:
    run = [Kept(f"s{n}", n, START, {"loss": 1.0}) for n in range(1, 5)]
    assert dropped(Keep(last=1, best=2, by="loss"), run, newest_verified="s4") == ["s1", "s2"]


# -- on a real vault -------------------------------------------------------------------------------------------------
def _steps(vault: Vault) -> list[int]:
    return [c.step for c in vault]


def test_last_best_and_pins_on_disk(tmp_path: Path) -> None:
    losses = {1: 0.9, 2: 0.1, 3: 0.8, 4: 0.7, 5: 0.6, 6: 0.65}
    with Vault(tmp_path, Keep(last=2, best=1, by="loss")) as vault:
        for step, loss in losses.items():
            vault.save(step, model=MODEL, metrics={"loss": loss}, blocking=True)
            if step == 3:
                vault.pin(3)
        assert _steps(vault) == [2, 3, 5, 6]
        vault.pin(3, False)
        vault.save(7, model=MODEL, metrics={"loss": 0.6}, blocking=True)
        assert _steps(vault) == [2, 6, 7]
        best = vault.best()
        assert best is not None
        assert best.step == 2


def test_a_diverged_metric_is_best_of_nothing(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1, best=1, by="loss")) as vault:
        for step, loss in ((1, 3.0), (2, float("nan")), (3, float("-inf")), (4, 5.0)):
            vault.save(step, model=MODEL, metrics={"loss": loss}, blocking=True)
        assert _steps(vault) == [1, 4]


def test_metrics_measured_later_count(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1, best=1, by="acc", mode="max")) as vault:
        for step in (1, 2):
            vault.save(step, model=MODEL, metrics={"acc": 0.5}, blocking=True)
        vault.annotate(2, metrics={"acc": 0.9})
        vault.save(3, model=MODEL, metrics={"acc": 0.6}, blocking=True)
        assert _steps(vault) == [2, 3]


@pytest.mark.parametrize("text", [b"", b"{", b'["step-00000001"', b"\xff", b'{"a": 1}', b"[1]"])
def test_with_a_damaged_list_of_pins_nothing_is_dropped(tmp_path: Path, text: bytes) -> None:
    with Vault(tmp_path, Keep(last=1)) as vault:
        vault.save(1, model=MODEL, blocking=True)
        vault.pin(1)
        (tmp_path / "pins.json").write_bytes(text)
        vault.save(2, model=MODEL, blocking=True)
        vault.save(3, model=MODEL, blocking=True)
        assert _steps(vault) == [1, 2, 3]
        with pytest.raises(DamagedCheckpoint, match="pinned steps cannot be read"):
            vault.pin(2)
        (tmp_path / "pins.json").unlink()
        vault.pin(2)
        vault.save(4, model=MODEL, blocking=True)
        assert _steps(vault) == [2, 4]


def test_pinning_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=MODEL, blocking=True)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(SaveFailed, match="the disk is full"):
            vault.pin(1)
        assert not vault.checkpoints()[0].pinned


def test_damaged_steps_count_for_nothing_and_are_not_deleted(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=2)) as vault:
        for step in (1, 2):
            vault.save(step, model=MODEL, blocking=True)
        for name in ("holdfast.json", "holdfast.json.copy"):
            (tmp_path / "step-00000001" / name).write_bytes(b"{")
        for step in (3, 4, 5):
            vault.save(step, model=MODEL, blocking=True)
        assert _steps(vault) == [1, 4, 5]
        assert [bool(c.fault) for c in vault] == [True, False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"last": 2.5}, {"last": "3"}, {"last": True}, {"best": 1.5, "by": "loss"}, {"best": None}, {"full_every": "2"},
        {"every": 10}, {"every": "1h"},
    ],
)  # fmt: skip
def test_what_is_no_number_or_time_is_refused_before_anything_is_saved(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=rf"Keep\({next(iter(wrong))}=\)"):
        Keep(**wrong)  # type: ignore[arg-type]


def test_keep_is_a_keep(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep is a Keep"):
        Vault(tmp_path, keep=3)  # type: ignore[arg-type]


def test_integers_of_numpy_are_steps(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        handle = vault.save(np.int64(3), model=MODEL, blocking=True)  # type: ignore[arg-type]
        assert type(handle.step) is int
        outcome = vault.restore(step=np.int32(3), model=MODEL)  # type: ignore[arg-type]
        assert outcome is not None and outcome.step == 3
        for wrong in (3.0, "3", True, np.int64(-1), np.float32(3)):
            with pytest.raises(UsageError, match="whole number"):
                vault.save(wrong, model=MODEL)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (({"loss": 0.3}, {"loss": 0.2}, {"loss": 0.1}), True),
        (({}, {}, {}), False),  # annotated later
        (({"loss": 0.3}, {}, {"loss": 0.1}), False),
        (({"val_loss": float("nan")}, {"loss": 0.2}, {"loss": 0.1}), False),
        (({"loss": 0.3, "val_loss": 0.4}, {"loss": 0.2}, {"loss": 0.1}), False),
    ],
)
def test_a_metric_that_no_checkpoint_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, metrics: tuple[dict[str, float], ...], told: bool
) -> None:
    with Vault(tmp_path, Keep(last=1, best=1, by="val_loss")) as vault, caplog.at_level("WARNING"):
        for step, given_now in enumerate(metrics):
            vault.save(step, model=MODEL, metrics=given_now, blocking=True)
    assert caplog.text.count("goes by 'val_loss', which no checkpoint has (they have: loss)") == told
