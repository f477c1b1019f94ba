"""All that known causes say of one text, put together and ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .knowledge import Entry, Guess, entries
from .reading import Reading

__all__ = ["CALLS", "SURE", "concerns_checkpoints", "weighed"]

SURE = 0.45
"""From here on a text is called a checkpoint failure because of what a cause says."""

CALLS = frozenset(
    {
        "load_state_dict", "load_weights", "save_weights", "load_model", "save_model", "load_checkpoint",
        "save_checkpoint", "load_from_checkpoint", "restore", "from_pretrained", "save_pretrained",
        "torch_load", "load_file", "save_file", "safe_open", "load_own_variables", "load_variable",
        "latest_checkpoint", "_load_state_dict", "_legacy_load", "write_record", "load_accelerator_state",
        "save_state", "load_state", "read_checkpoint", "load_weights_from_hdf5_group", "find_class",
        "restore_checkpoint",
    }
)  # fmt: skip
"""Functions that only saving and loading goes through."""
_FILES = (
    "torch/serialization.py",
    "checkpoint",
    "saving",
    "save_and_load",
    "save_restore",
    "hdf5_format",
    "safetensors",
    "h5py",
    "saver.py",
)


def weighed(reading: Reading, known: Iterable[Entry] | None = None) -> list[Guess]:
    """The guesses of all entries, one for each label, best first. Two entries that say the same make it surer."""
    best: dict[str, Guess] = {}
    for entry in entries() if known is None else known:
        for guess in entry.look(reading):
            held = best.get(guess.label)
            if held is None:
                best[guess.label] = guess
                continue
            high, low = (guess, held) if guess.confidence > held.confidence else (held, guess)
            if high.entry != low.entry:
                high = replace(high, confidence=min(0.98, high.confidence + 0.08 * low.confidence))
            best[guess.label] = high
    return sorted(best.values(), key=lambda guess: -guess.confidence)


def concerns_checkpoints(reading: Reading) -> bool:
    """Whether the program was saving or loading when it failed, told by the functions and files on the way."""
    if reading.calls & CALLS:
        return True
    last = reading.last
    files = " ".join(
        frame.file.replace("\\", "/").lower() for frame in (last.frames if last is not None else ())
    )
    return any(word in files for word in _FILES)
