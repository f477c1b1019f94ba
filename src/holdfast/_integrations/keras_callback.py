"""Saving and resuming ``fit``: what Keras's ``ModelCheckpoint`` and ``BackupAndRestore`` do together, through a vault.

Facts of Keras: a callback learns of epochs and batches from its list (keras/src/callbacks/callback_list.py); ``fit``
begins at ``model._initial_epoch`` where that is set (keras/src/backend/*/trainer.py; ``BackupAndRestore`` sets it);
``model`` of a callback brings the variables up to date on the JAX backend (keras/src/callbacks/callback.py).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

import keras
import numpy as np

from .._core.errors import HoldfastError, NothingToRestore, UsageError
from .._frameworks.keras.virtual import build_unforeseen
from .._restore.outcome import Outcome
from .._vault.handle import SaveHandle
from .._vault.restoring.extra import extra_of
from .._vault.vault import Vault
from .keras_last import Last, list_of, training_data_of
from .keras_metrics import Measured
from .keras_position import Best, Position, direction
from .keras_skip import let_go, pass_over, running_metrics, set_running_metrics
from .keras_states import put_states, states_of

__all__ = ["VaultCallback"]

LOG = logging.getLogger("holdfast.vault")
_SECTION = "keras"


class VaultCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves a compiled model with its optimizer while ``fit`` runs, and lets ``fit`` go on where it was killed.

    ``vault``: a :class:`holdfast.Vault`, or the path of one (closed when ``fit`` ends). ``every``: ``"epoch"``, a number
    of batches, or a :class:`datetime.timedelta`; the last epoch is saved in any case. The vault's step is the number of
    batches trained. Saves are written in the background; one that failed is raised by the next one, or at the end.

    ``monitor``: the metric whose best value is kept in ``best``, with ``best_step`` (``mode`` ``"min"``, ``"max"`` or
    ``"auto"``); ``None`` for none; an epoch that improves on it is saved whatever ``every``
    says where the vault's ``Keep`` wants the best. ``only_best=True`` saves, of the epochs' ends, those alone that improve on it.

    ``resume``: at the first ``fit`` of this object restore the newest checkpoint that verifies and fits, and begin at its
    epoch and batch; ``"required"`` raises :class:`NothingToRestore` where the vault is empty. ``allow`` goes to the restore.
    Weights, optimizer, learning rate, random generators of layers, history, the epoch's running metrics, and the state of
    the other callbacks come back (Keras's own, and those with ``state_dict`` and ``load_state_dict``).
    What ``fit(...)`` returns, and ``model.history``, then have all epochs, those before the interruption included, as if
    there had been none; ``outcome.history.keras()`` gives the same without ``fit``.

    A data pipeline cannot be rewound. ``skip=True``: the batches of the broken epoch that were trained are drawn once more
    and not trained (other callbacks see their numbers go by), which is right for data in a fixed order
    (``shuffle=False``). ``skip="run"``: those of all epochs, for one endless data set with ``steps_per_epoch``.
    ``skip=False``: none; the data set itself begins after ``steps_done``, and gives what is left of the epoch.

    ``extra``: a function whose nest of values is saved along; it comes back as ``outcome.extra``.

    Attributes
    ----------
    epoch, batch: where training stands: whole epochs done, and batches of the next. steps_done: batches trained in all;
        before ``fit``, those of the newest checkpoint. best, best_step. outcome: the restore's, or ``None``. handle: the
        last save's.
    """

    def __init__(
        self,
        vault: Vault | str | os.PathLike[str],
        *,
        every: Literal["epoch"] | int | timedelta = "epoch",
        monitor: str | None = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        only_best: bool = False,
        resume: bool | Literal["required"] = True,
        skip: bool | Literal["run"] = True,
        allow: Iterable[str] = (),
        extra: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if not (every == "epoch" or number or (isinstance(every, timedelta) and every > timedelta(0))):
            raise UsageError(
                "no such every", found=every, expected='"epoch", a number of batches, or a timedelta'
            )
        if only_best and (monitor is None or every != "epoch"):
            raise UsageError('only_best=True needs monitor=, and every="epoch"', found=(monitor, every))
        self._own = not isinstance(vault, Vault)
        self.vault = vault if isinstance(vault, Vault) else _own_vault(os.fspath(vault))
        self.every = every
        self.resume, self.skip = resume, skip
        self.only_best = only_best
        self.allow = tuple(allow)
        self.extra = extra
        self.record = Best(monitor, mode)
        self.measured = Measured()
        self.outcome: Outcome | None = None
        self.handle: SaveHandle | None = None
        # Keras may call such a callback from another thread while the next batch trains; saves between epochs alone
        # leave that on, as on_train_batch_end only counts then
        self.async_safe = every == "epoch"
        self._at: Position | None = None
        self._resumed = False
        self._left: dict[str, Any] = {}
        self._last: Last | None = None
        self._began: int | None = None
        self._saved_at = (0, time.monotonic())
        self._skipping = 0
        self._left_out = 0
        self._closed = False
        self._rate: float | None = None
        self._counting = threading.Lock()

    # -- where training stands ---------------------------------------------------------------------------------------
    @property
    def position(self) -> Position:
        """Epoch, batch and steps; before the first ``fit``, those of the newest checkpoint of the vault."""
        if self._at is not None:
            return self._at
        own = self._saved() if self.resume else {}
        return _position({_SECTION: own}, 0) if own else Position()

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.position.epoch

    @property
    def batch(self) -> int:
        """Batches done of the epoch that runs."""
        return self.position.batch

    @property
    def steps_done(self) -> int:
        """Batches trained in all."""
        return self.position.steps

    @property
    def best(self) -> float | None:
        """The best value of ``monitor`` so far."""
        return self.record.value

    @property
    def best_step(self) -> int | None:
        """The step that had it."""
        return self.record.step

    # -- events ------------------------------------------------------------------------------------------------------
    def on_train_begin(self, logs: Any = None) -> None:
        """Resume, and take the last place among the callbacks."""
        model = self.model
        let_go(model)
        self._left = {}
        self._began = model._initial_epoch
        self.record.mode = direction(self.record, self.vault.keep, model)
        if self._closed:
            self.vault, self._closed = _own_vault(self.vault.path), False
        if not self._resumed:
            self._rate = _rate(model)
        if self.resume and not self._resumed:
            self._restore(model)
        self._resumed = True
        self._at = self._at or Position()
        self._saved_at = (self._at.steps, time.monotonic())
        others = list_of(self)
        self.measured.begin(training_data_of(model))
        self._last = Last(self, others)
        if others is None:
            LOG.warning("no keras.callbacks.CallbackList calls this callback: the others' state is not kept")
            self._last.on_train_begin(logs)
        else:
            self._last.set_model(model)
            self._last.set_params(self.params)
            others.callbacks.append(self._last)  # the loop over this very list comes to it last

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Make ready to pass over what of the epoch is done."""
        at = self._at
        assert at is not None
        if epoch != at.epoch:  # initial_epoch= of a run that does not resume
            self._at = at = Position(epoch, 0, at.steps)
        self.measured.epoch_begins(at.steps - at.batch)
        left, self._left = self._left, {}
        if not left:
            return
        if self.skip:
            earlier = at.steps - at.batch if self.skip == "run" else 0
            if earlier or at.batch:
                LOG.info("drawing %d batches that were trained before", earlier + at.batch)
            self._skipping = at.batch
            pass_over(self.model, at.batch, earlier, left.get("logs") or {}, left.get("metrics"))
        elif at.batch:
            self._left_out = at.batch
            set_running_metrics(self.model, left.get("metrics"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count."""
        done = batch + 1
        steps = (self.params or {}).get("steps")
        if steps is not None:
            done = min(done, steps)  # several steps per execution may reach beyond the last
        if done <= self._skipping:
            return
        with self._counting:
            at = self._at
            assert at is not None
            self._skipping = 0
            done += self._left_out
            if done > at.batch:
                self._at = Position(at.epoch, done, at.steps + done - at.batch)

    # -- what the last place does ------------------------------------------------------------------------------------
    def _batch_done(self, batch: int, logs: Mapping[str, Any]) -> None:
        at = self._at
        assert at is not None
        steps = (self.params or {}).get("steps")
        if self._skipping or batch + 1 == steps or not self._due():
            return  # the epoch's end has more to say than its last batch
        self._save(at, logs, {"logs": _numbers(logs), "metrics": running_metrics(self.model)})

    def _epoch_done(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._left_out = 0
        assert self._at is not None
        self._at = at = Position(epoch + 1, 0, self._at.steps)
        improved = self.record.take(logs, at.steps)
        last = self.model.stop_training or epoch + 1 >= (self.params or {}).get("epochs", sys.maxsize)
        wanted = improved and (
            self.only_best or self.vault.keep.best > 0
        )  # the best state is this one, not the next
        if (wanted or (not self.only_best and (last or self.every == "epoch" or self._due()))) and at.steps:
            self._save(at, logs, {})

    def _due(self) -> bool:
        steps, when = self._saved_at
        assert self._at is not None
        if isinstance(self.every, timedelta):
            return time.monotonic() - when >= self.every.total_seconds()
        return self.every != "epoch" and self._at.steps - steps >= self.every

    def _save(self, at: Position, logs: Mapping[str, Any], more: dict[str, Any]) -> None:
        model = self.model
        assert self._last is not None
        own = {
            "epoch": at.epoch,
            "batch": at.batch,
            "steps": at.steps,
            "best": self.record.state(),
            "rate": self._rate,
            "callbacks": states_of(self._last.others()),
            "history": self._last.history(),
            **{name: value for name, value in more.items() if value},
        }
        given = dict(self.extra()) if self.extra is not None else {}
        numbers, others = _numbers(logs), self._last.others()
        self.handle = self.vault.save(
            at.steps,
            model=model,
            optimizer=getattr(model, "optimizer", None),
            extra={**given, _SECTION: own},
            metrics=self.measured.metrics(model, numbers, at.steps, others, epoch_end=not at.batch),
        )
        self._saved_at = (at.steps, time.monotonic())

    def _train_done(self) -> None:
        let_go(self.model)
        self.model._initial_epoch = self._began
        if self._own:
            self._closed = True
            self.vault.close()
        else:
            self.vault.wait()

    # -- resuming ----------------------------------------------------------------------------------------------------
    def _restore(self, model: Any) -> None:
        allow = [*self.allow]
        if self._rate is not None and self._saved().get("rate") == self._rate:
            allow.append(
                "hyper:learning_rate=checkpoint"
            )  # the code means what it meant; callbacks changed it since
        more: dict[str, Any] = {"allow": allow} if allow else {}
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and self.vault.checkpoints():
            build_unforeseen(optimizer, model.trainable_variables)
        outcome = self.vault.restore(
            model=model,
            optimizer=optimizer,
            or_start_fresh=self.resume != "required",
            **more,
        )
        self.outcome = outcome
        if outcome is None:
            return
        if model.train_function is None:  # a restored hyperparameter is a constant of the compiled step
            model.make_train_function(force=True)
        extra = outcome.extra or {}
        if not isinstance(extra.get(_SECTION), Mapping):
            LOG.warning("%s was not saved by this callback: fit begins at its first epoch", outcome.path)
        self._at = at = _position(extra, outcome.step or 0)
        self._left = dict(extra.get(_SECTION) or {})
        self.record.put(self._left.get("best"))
        model._initial_epoch = at.epoch
        LOG.info("fit goes on at epoch %d, batch %d (step %d)", at.epoch, at.batch, at.steps)

    def _saved(self) -> Mapping[str, Any]:
        """What this callback said of itself in the newest checkpoint that can be read."""
        for checkpoint in reversed(self.vault.checkpoints()):
            try:
                own = extra_of(checkpoint.path).get(_SECTION)
            except (HoldfastError, OSError):
                continue  # the restore says what is wrong with it
            return own if isinstance(own, Mapping) else {}
        return {}

    def _others_begun(self) -> None:
        """All callbacks have reset themselves: now their state comes back."""
        if not self._left:
            return
        assert self._last is not None
        put_states(self._last.others(), self._left.get("callbacks") or {})
        self._last.put_history(self._left.get("history"))
        stopped = [c for c in self._last.others() if _has_stopped(c)]
        epochs = (self.params or {}).get("epochs")
        if stopped and epochs is not None:
            LOG.warning("%s had ended this run: nothing is left to train", type(stopped[0]).__name__)
            self.model._initial_epoch = max(epochs, 1)


_OWN: weakref.WeakValueDictionary[str, Vault] = weakref.WeakValueDictionary()


def _own_vault(path: str) -> Vault:
    """A vault for a path; that of a ``fit`` which was broken off in this process is closed first, or it would lock ours out."""
    place = os.path.realpath(path)
    earlier = _OWN.pop(place, None)
    if earlier is not None:
        try:
            earlier.close()
        except HoldfastError as error:
            LOG.error("a save of the run before had failed: %s", error)
    vault = _OWN[place] = Vault(path)
    return vault


def _position(extra: Mapping[str, Any], step: int) -> Position:
    own = extra.get(_SECTION)
    if not isinstance(own, Mapping):
        return Position(0, 0, step)
    try:
        return Position(int(own["epoch"]), int(own["batch"]), int(own["steps"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NothingToRestore(
            "the checkpoint does not say where fit was",
            found=sorted(map(str, own)),
            expected="epoch, batch, steps",
        ) from error


def _rate(model: Any) -> float | None:
    """The learning rate that the code set, where it is one number."""
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    if rate is None or isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) or callable(rate):
        return None
    return float(keras.ops.convert_to_numpy(rate))


def _has_stopped(callback: Any) -> bool:
    """Whether an EarlyStopping had stopped the run, and with the patience it has now would have, too."""
    if not isinstance(callback, keras.callbacks.EarlyStopping) or not callback.stopped_epoch:
        return False
    if callback.wait >= callback.patience:
        return True
    callback.stopped_epoch = 0
    return False


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in logs.items():
        try:
            array = np.asarray(value)
            if array.size == 1 and array.dtype.kind in "fiub":
                found[str(name)] = float(array.reshape(())[()])
        except (TypeError, ValueError, HoldfastError):
            continue  # what is no number is no metric
    return found
