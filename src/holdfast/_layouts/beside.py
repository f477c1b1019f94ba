"""What lies in a folder and misleads whoever looks for its checkpoint: links that lead nowhere, the files that macOS
puts beside others, and a second save under the names that a loader looks for.

Sources: RFC 1740 (AppleDouble: magic 0x00051607); transformers/modeling_utils.py (``_get_resolved_checkpoint_files``: a
whole ``model.safetensors`` is taken before its index); diffusers/models/modeling_utils.py (the index is taken first).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._core.shell import quote
from .._core.words import plural
from .._storage import Store
from .._storage.source import Entry
from .folders import PRIMARY, SHARD, is_run_folder
from .target import Target

__all__ = ["FOLLOW", "dead_link", "leads_nowhere", "told_of_two_saves", "without_apple_double"]

_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_POINTERS = re.compile(r"(?:latest|last|best|newest)(?:[-_.]?(?:checkpoint|ckpt|model|step|epoch))?", re.I)
_INDEX = ".index.json"


def without_apple_double(store: Store, entries: Iterable[Entry]) -> list[Entry]:
    """Entries but for those that macOS's copies leave beside others (``._model.pt``: attributes, no content)."""
    return [entry for entry in entries if not _is_apple_double(store, entry)]


def _is_apple_double(store: Store, entry: Entry) -> bool:
    if not entry.name.startswith("._") or entry.is_folder or not entry.size:
        return False
    with suppress(HoldfastError):
        source = store.open(entry.name)
        try:
            return source.head(4) == _APPLE_DOUBLE
        finally:
            source.close()
    return False


def leads_nowhere(link: str) -> str:
    """What is said of a symbolic link whose target is not there."""
    return f"this is a symbolic link to {link!r}, and nothing lies there"


FOLLOW = (
    "Links were copied in place of what they point to, or their target was moved or deleted. Copy again with the "
    "links followed (`cp -rL`, `rsync -aL`), or point it anew: `ln -sfn TARGET {link}`."
)
"""What to do about such a link."""


def dead_link(store: Store, entry: Entry, *, bears_a_name: bool) -> Target | None:
    """A link that leads nowhere and was to be a checkpoint: by its ending (``bears_a_name``), or because it is named as
    pointers to one are (``latest``, ``checkpoint-500``); else ``None``."""
    if entry.link is None:
        return None
    if not (bears_a_name or _POINTERS.fullmatch(entry.name) or is_run_folder(entry.name)):
        return None
    return Target(
        store.shown(entry.name),
        store,
        entry.name,
        None,
        parts=(entry.name,),
        faults=(link_fault(store, entry),),
    )


def link_fault(store: Store, entry: Entry) -> Fault:
    """The fault of a link that leads nowhere."""
    shown = store.shown(entry.name)
    return Fault(
        "part-missing",
        leads_nowhere(entry.link or ""),
        file=shown,
        expected=entry.link,
        attributes={"remedy": FOLLOW.replace("{link}", quote(shown)), "link": entry.link},
    )


def told_of_two_saves(store: Store, targets: Iterable[Target], names: Iterable[str]) -> list[Target]:
    """The targets; where another save lies under the names that loaders look for, the one that they take has a fault that
    says so."""
    there = sorted(names)
    found = list(targets)
    for target in found.copy():
        if target.main is None or not target.main.endswith(_INDEX):
            continue
        for taken, fault in _others(store, target, there):
            found = [replace(t, faults=(*t.faults, fault)) if t.main == taken else t for t in found]
    return found


def _others(store: Store, target: Target, names: list[str]) -> Iterator[tuple[str, Fault]]:
    """Other saves beside an index ``x.safetensors.index.json``: ``x.safetensors``, or shards that are counted otherwise; each
    with the name of the file that loaders take."""
    index = target.main or ""
    whole = index.removesuffix(_INDEX)
    stem = whole.rpartition(".")[0]
    if whole in names and whole not in target.parts:
        asked = [name for name in PRIMARY if name in (whole, index)] or [index, whole]
        taken, other = asked[0], next(name for name in (whole, index) if name != asked[0])
        who = (
            "diffusers"
            if stem.startswith("diffusion")
            else "transformers"
            if whole in PRIMARY
            else "most loaders"
        )
        yield (
            taken,
            Fault(
                "two-saves",
                f"{other!r} lies beside {taken!r}: two saves under one name, of which {who} will load {taken!r} and never "
                "look at the other",
                file=store.shown(taken),
                seen=f"{taken}, {other}",
                expected="one of them",
                attributes={
                    "remedy": f"`holdfast diff --depth full {quote(store.shown(whole))} {quote(store.shown(index))}` says "
                    "whether they are equal; move the one that is not meant elsewhere.",
                },
            ),
        )
    strange = [
        name
        for name in names
        if name not in target.parts
        and (found := SHARD.fullmatch(name)) is not None
        and (found["stem"], found["suffix"]) == (stem, whole[len(stem) :])
    ]
    if strange:
        yield (
            index,
            Fault(
                "two-saves",
                f"{plural(len(strange), 'shard')} of another save beside {index!r}, which names none of them: loaders go by "
                "the index and load the other files",
                file=store.shown(strange[0]),
                seen=", ".join(strange[:4]) + (" ..." if len(strange) > 4 else ""),
                expected=", ".join(target.parts[1:4]) + (" ..." if len(target.parts) > 4 else ""),
                attributes={
                    "remedy": "Where these shards are the newer save, its index was not written or not copied: fetch it over "
                    "the old one. Where they are the older, move them elsewhere.",
                },
            ),
        )
