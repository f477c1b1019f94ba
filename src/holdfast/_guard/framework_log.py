"""``--framework-log``: what the frameworks say of themselves, at debug level, around saves and loads, on standard error.

Their Python loggers are opened for the time of the call, with a handler of ours. The program's own handlers get what they
would have got: a record that the logger would not have passed on before goes to ours alone. (TensorFlow's C++ messages are
settled by environment variables when it is imported, and are not touched.)
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LOGGERS", "framework_log", "opened", "shut"]

LOGGERS = (
    "absl", "tensorflow", "keras", "orbax", "jax", "flax", "torch.distributed.checkpoint", "torch.serialization",
    "lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric", "safetensors", "h5py",
    "fsspec",
)  # fmt: skip
"""Those of the frameworks whose calls are watched, with what they save through; loggers below them follow."""


class _Ours(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("  holdfast log  %(name)s %(levelname)s: %(message)s"))


class _AsBefore(logging.Filter):
    """On a handler of the program's: nothing that its logger would have held back."""

    def __init__(self, levels: dict[str, int]) -> None:
        super().__init__()
        self.levels = levels

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.name
        while name:
            if name in self.levels:
                return record.levelno >= self.levels[name]
            name = name.rpartition(".")[0]
        return True


class _Open:
    """The loggers while they are opened; calls may lie within one another, or run in several threads."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.undo: list[tuple[logging.Logger, int]] = []
        self.handler: _Ours | None = None
        self.filter: _AsBefore | None = None
        self.filtered: list[logging.Handler] = []

    def enter(self) -> None:
        with self.lock:
            self.count += 1
            if self.count > 1:
                return
            known = logging.root.manager.loggerDict
            names = [n for n in LOGGERS if n in known or n.partition(".")[0] in sys.modules]
            loggers = [logging.getLogger(name) for name in names]
            self.undo = [(logger, logger.level) for logger in loggers]
            self.filter = _AsBefore({logger.name: logger.getEffectiveLevel() for logger in loggers})
            self.handler = _Ours()
            above = {logging.root, *loggers}
            self.filtered = [handler for logger in above for handler in logger.handlers]
            for handler in self.filtered:
                handler.addFilter(self.filter)
            names = [logger.name for logger in loggers]
            tops = [
                logger for logger in loggers
                if not logger.propagate or not any(logger.name.startswith(f"{name}.") for name in names)
            ]  # fmt: skip
            for logger in loggers:
                logger.setLevel(logging.DEBUG)
            for logger in tops:
                logger.addHandler(self.handler)

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if self.count:
                return
            for logger, level in self.undo:
                logger.setLevel(level)
                if self.handler is not None:
                    logger.removeHandler(self.handler)
            for handler in self.filtered:
                if self.filter is not None:
                    handler.removeFilter(self.filter)
            self.undo, self.filtered, self.handler, self.filter = [], [], None, None


_OPEN = _Open()


def opened() -> None:
    """Open the loggers until :func:`shut`, for a save that goes on in the background."""
    _OPEN.enter()


def shut() -> None:
    """Take one :func:`opened` back."""
    _OPEN.leave()


@contextmanager
def framework_log() -> Iterator[None]:
    """Open the frameworks' loggers for the block."""
    _OPEN.enter()
    try:
        yield
    finally:
        _OPEN.leave()
