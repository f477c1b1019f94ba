"""What interrupted saves leave in a folder, told by the names that the frameworks give to their temporary
files.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc and python/training/saver.py
(``<prefix>_temp[_<hex>]/part-…``, ``.tempstate<number>``); tsl/platform/file_system_helper.cc;
safetensors/src/tensor.rs (writes to ``.tmp`` and renames); huggingface_hub ``file_download.py``
(``*.incomplete``); orbax ``path/atomicity.py`` (``.orbax-checkpoint-tmp``); transformers ``trainer.py``
(``tmp-checkpoint-N``); lightning_fabric ``cloud_io.py``; Holdfast's own ``.partial-`` (vaults) and
``.<name>.holdfast-…`` (``holdfast run --protect``). Of tools that copy: rsync(1), "--inplace" and "--delay-updates"
(``.<name>.XXXXXX``, ``.~tmp~``); s3transfer ``utils.py`` (``<name>.`` and eight hexadecimal digits of either case);
gsutil and gcloud storage (``<name>_.gstmp``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .._core.fault import Fault
from .._storage import Store
from .._storage.source import Entry

__all__ = ["is_copy", "is_leftover", "leftovers"]

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*\.data-\d{5}-of-\d{5}\.tempstate\d+"), "TensorFlow's Saver"),
    (re.compile(r".*\.(?:index|meta)?\.?tempstate\d+"), "TensorFlow's Saver"),
    (re.compile(r".*_temp(?:_[0-9a-f]{8,})?/"), "TensorFlow's checkpoint writer"),
    (re.compile(r"checkpoint\.tmp[0-9a-f]+"), "TensorFlow's state file"),
    (re.compile(r".*\.orbax-checkpoint-tmp(?:-.*)?"), "Orbax"),
    (re.compile(r".*\.pending_\d+_[0-9a-f-]+"), "Orbax"),
    (re.compile(r"tmp-checkpoint-\d+"), "the Hugging Face Trainer"),
    (re.compile(r"\.partial-.+"), "Holdfast"),
    (re.compile(r"\..+\.holdfast-[0-9a-f]{6}-\d+-[0-9a-f]{8}"), "`holdfast run --protect`"),
    (
        re.compile(r".*\.(?:safetensors|pt|pth|bin|ckpt|h5|keras|npz|index)\.?(?:tmp|temp)[\w.-]*"),
        "a writer that renames when done",
    ),
    (
        re.compile(
            r".*\.(?:safetensors|pt|pth|bin|ckpt|h5|keras|npz)\.(?:[0-9a-f]{6,}\.)?(?:tmp|temp|part|new)"
        ),
        "a writer that renames when done",
    ),
    (
        re.compile(r"\.?tmp[\w-]{6,}\.(?:safetensors|pt|pth|bin|ckpt|h5|keras|npz)"),
        "a writer that renames when done",
    ),
    (re.compile(r".*\.tmp"), "a writer that renames when done"),
)
_ENDINGS = r"\.(?:safetensors|pt|pth|bin|ckpt|h5|keras|npz|npy|index|json|data-\d{5}-of-\d{5})"
_COPIES: tuple[tuple[re.Pattern[str], str], ...] = (
    # random letters and digits: a word (`backup`) or a hash's name (`sha256`) is none
    (re.compile(rf"\..*{_ENDINGS}\.(?!sha\d)(?![a-z]*$)(?!\d*$)[A-Za-z0-9]{{6}}"), "rsync"),
    (re.compile(r"\.~tmp~/"), "rsync"),
    (re.compile(rf".*{_ENDINGS}\.(?=.*[A-F])(?=.*[a-f])[0-9A-Fa-f]{{8}}"), "the AWS tools"),
    (re.compile(rf".*{_ENDINGS}_\.gstmp"), "gsutil"),
)


def is_leftover(name: str) -> str | None:
    """Who leaves a file (or, with a slash behind its name, a folder) behind when it is interrupted, or
    ``None``.
    """
    return is_copy(name) or _first(_PATTERNS, name)


def is_copy(name: str) -> str | None:
    """Which tool copies under such a name until the copy is whole, or ``None``."""
    return _first(_COPIES, name)


def _first(patterns: tuple[tuple[re.Pattern[str], str], ...], name: str) -> str | None:
    plain = name.rstrip("/")
    for pattern, who in patterns:
        if pattern.fullmatch(name if pattern.pattern.endswith("/") else plain):
            return who
    return None


def leftovers(store: Store, entries: Iterable[Entry]) -> Iterator[tuple[str, Fault]]:
    """``(name, fault)`` for every leftover among ``entries`` of ``store``."""
    for entry in entries:
        name = entry.name + ("/" if entry.is_folder else "")
        who = is_leftover(name)
        if who is None:
            continue
        size = "" if entry.size is None else f" ({entry.size} bytes)"
        if is_copy(name):
            yield (
                entry.name,
                Fault(
                    "leftover",
                    f"{entry.name!r}{size} is a copy that is not finished ({who} renames it when it is whole)",
                    file=store.shown(entry.name),
                    seen=entry.name,
                    attributes={
                        "writer": who,
                        "remedy": "If nothing is being copied now, start the copy again where it came from; this can "
                        "be deleted.",
                    },
                ),
            )
            continue
        yield (
            entry.name,
            Fault(
                "leftover",
                f"{entry.name!r}{size} was left behind by a save that did not finish ({who})",
                file=store.shown(entry.name),
                seen=entry.name,
                attributes={
                    "writer": who,
                    "remedy": "If no save is running now, it can be deleted; the checkpoint was "
                    "never finished.",
                },
            ),
        )
