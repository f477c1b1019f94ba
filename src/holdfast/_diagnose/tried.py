"""Hypotheses tested on the files: what the doctor says of them, what lies near, which names they hold, how much room is left.

A cause that the text makes likely becomes *proved* or *refuted*; one that only the files show is put first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.finding import CheckpointReport
from .._core.spec import OptimizerSpec
from .._examine.examine import examine
from .._layouts.opening import open_path
from .._render.words import size
from .diagnosis import DiagnosedCause
from .knowledge import Guess
from .paths import exists, numbered

__all__ = ["tried"]

_WHOLE = frozenset({"corrupt", "incomplete-save"})
_UNKNOWN_FORMAT = "F128"
_LITTLE = 64 << 20


def tried(
    guesses: Sequence[Guess], paths: Iterable[str], *, given: bool = False
) -> tuple[list[DiagnosedCause], tuple[str, ...]]:
    """The causes after looking at ``paths``, best first, and the paths that were looked at. ``given``: whether the user named
    them; else only what is found counts, and a path that is not there is no proof."""
    causes = {guess.label: DiagnosedCause.of(guess) for guess in guesses}
    tests = {guess.label: guess for guess in guesses}
    looked = []
    for path in paths:
        looked.append(path)
        if not exists(path):
            if given or ((first := causes.get("not-found")) is not None and first.confidence >= 0.6):
                _prove(
                    causes,
                    "not-found",
                    _nothing_at(path),
                    "Check the path; the names that are there are listed.",
                )
                _numbered(causes, path)
            continue
        if Path(path).is_dir() and any(guess.entry == "is-a-directory" for guess in guesses):
            _prove(causes, "not-found", _folder_at(path))
            continue
        if any(guess.test == "space" for guess in guesses):
            _space(causes, path)
        report = _doctor(path)
        if report is not None:
            _by_findings(causes, report, path)
            _by_kind(causes, guesses, report, path)
            if _same_place(guesses, path) and report.format is not None:
                _refute(causes, "not-found", f"a checkpoint lies at {path} ({report.format})")
        _by_names(causes, tests, path)
        _by_groups(causes, path)
    ranked = sorted(causes.values(), key=lambda c: (_RANK[c.status], -c.confidence))
    return ranked, tuple(looked)


_RANK = {"proved": 0, "likely": 1, "possible": 2, "refuted": 3}


def _prove(causes: dict[str, DiagnosedCause], label: str, found: str, remedy: str = "") -> None:
    held = causes.get(label)
    if held is None:
        causes[label] = DiagnosedCause(label, 0.97, found, remedy, "proved", found=found)
    elif held.status != "proved":
        causes[label] = replace(held, status="proved", confidence=max(held.confidence, 0.97), found=found)


def _refute(causes: dict[str, DiagnosedCause], label: str, found: str) -> None:
    held = causes.get(label)
    if held is not None and held.status != "proved":
        causes[label] = replace(
            held, status="refuted", confidence=round(held.confidence * 0.1, 2), found=found
        )


def _nothing_at(path: str) -> str:
    place = Path(path)
    folder = place.parent
    if not folder.is_dir():
        return f"nothing lies at {path}, and its folder does not exist either"
    names = sorted(entry.name for entry in folder.iterdir())
    close = get_close_matches(place.name, names, 3, 0.5)
    shown = ", ".join(close or names[:5]) or "nothing"
    return f"nothing lies at {path}; in that folder there is {shown}"


def _folder_at(path: str) -> str:
    names = sorted(entry.name for entry in Path(path).iterdir() if entry.is_file())
    shown = ", ".join(names[:5]) or "no file"
    return f"a folder lies at {path}; in it {'is' if len(names) < 2 else 'are'} {shown}{' ...' if len(names) > 5 else ''}"


def _numbered(causes: dict[str, DiagnosedCause], path: str) -> None:
    """The name was given to ``save``, which put a number behind it."""
    prefixes = numbered(path)
    if not prefixes:
        return
    last = prefixes[-1]
    others = f" (and {len(prefixes) - 1} of other numbers)" if len(prefixes) > 1 else ""
    causes["not-found"] = replace(
        causes["not-found"],
        why=f"`Checkpoint.save` puts a number behind the name it is given: nothing is called {path}, {last} is there{others}",
        found=f"nothing lies at {path}; {last} does{others}, and was never looked at",
        remedy=f'Restore what `save` returned: restore("{last}"), or tf.train.latest_checkpoint("{Path(path).parent}").',
    )


def _space(causes: dict[str, DiagnosedCause], path: str) -> None:
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    free = shutil.disk_usage(folder).free
    if free < _LITTLE:
        _prove(causes, "storage", f"{size(free)} are free at {folder}", "Make room there, or save elsewhere.")
    elif not os.access(folder, os.W_OK):
        _prove(
            causes,
            "storage",
            f"this user may not write to {folder}",
            "Change its owner or mode, or save elsewhere.",
        )
    elif (held := causes.get("storage")) is not None:
        causes["storage"] = replace(held, found=f"{size(free)} are free at {folder} now")


def _doctor(path: str) -> CheckpointReport | None:
    try:
        report = examine(path, depth="full")
    except HoldfastError:
        return None
    return report.checkpoints[0] if report.checkpoints else None


def _by_findings(causes: dict[str, DiagnosedCause], report: CheckpointReport, path: str) -> None:
    """Errors of the doctor prove what they name; a file whose every byte agrees is not damaged."""
    errors = [f for f in report.findings if f.severity == "error"]
    for finding in errors:
        if finding.code == _UNKNOWN_FORMAT and _WHOLE & set(causes):
            continue  # that we do not know it says nothing against damage
        label = finding.cause or "other"
        _prove(causes, label, f"{finding.code} {finding.message} [{path}]", finding.remedy or "")
        for other in _WHOLE - {label}:
            if label in _WHOLE and other in causes and causes[other].status != "proved":
                causes[other] = replace(
                    causes[other], status="possible", confidence=min(causes[other].confidence, 0.5)
                )
    executable = [f for f in report.findings if f.code.startswith("X")]
    for finding in executable:
        for label in ("unsafe-pickle", "custom-object"):
            if label in causes:
                _prove(causes, label, f"{finding.code} {finding.message} [{path}]", finding.remedy or "")
    if not errors and report.tensors:  # else nothing of it was read
        proof = str(report.proof)
        for label in _WHOLE:
            if proof in ("sealed", "checksums"):
                _refute(causes, label, f"every byte of {path} agrees with its checksums ({proof})")
            elif (held := causes.get(label)) is not None:
                said = f"nothing wrong is seen in {path}, whose bytes have no full evidence ({proof})"
                causes[label] = replace(
                    held, found=said, confidence=round(held.confidence * 0.5, 2), status="possible"
                )


_READERS = (
    ("safetensors", "safetensors", (".safetensors",)),
    ("hdf5", "h5", (".h5", ".hdf5", ".keras")),
    ("tf", "tf", (".index", ".ckpt")),
    ("torch", "torch", (".pt", ".pth", ".bin", ".ckpt")),
    ("pickle", "torch", (".pt", ".pth", ".bin")),
)
"""How entries are named -> what their loader reads (a word of the format's name), and what its files are called."""


def _by_kind(
    causes: dict[str, DiagnosedCause], guesses: Sequence[Guess], report: CheckpointReport, path: str
) -> None:
    """Which loader complained, and what the file is."""
    complained = next((row for guess in guesses for row in _READERS if guess.entry.startswith(row[0])), None)
    if complained is None or not _WHOLE & set(causes):
        return
    _, word, endings = complained
    if report.format is not None and word not in report.format.replace("_", "-") and not _damaged(report):
        _prove(causes, "format-mismatch", f"{path} is a file of another kind: {report.format}", _OTHER_LOADER)
    elif report.format is None and path.endswith(endings) and _unrecognised(report):
        held = causes.get("format-mismatch")
        if held is not None:  # it is called what the loader reads, and its content is nothing that is known
            causes["format-mismatch"] = replace(held, status="likely", confidence=0.7)
        _prove(
            causes,
            "corrupt",
            f"{path} is called as this loader's files are, and its content is no known format",
        )


_OTHER_LOADER = "Load it with the tool that wrote it; `holdfast inspect FILE` shows what it holds."


def _damaged(report: CheckpointReport) -> bool:
    return any(f.severity == "error" for f in report.findings)


def _unrecognised(report: CheckpointReport) -> bool:
    return any(f.code == _UNKNOWN_FORMAT for f in report.findings)


def _same_place(guesses: Sequence[Guess], path: str) -> bool:
    """Whether the text speaks of this very path (or of none)."""
    told = [str(guess.facts["path"]) for guess in guesses if guess.facts.get("path")]
    return not told or any(Path(text).name == Path(path).name for text in told)


def _by_names(causes: dict[str, DiagnosedCause], tests: dict[str, Guess], path: str) -> None:
    """Names and shapes that the text tells, held against those in the file."""
    facts: dict[str, Any] = {}
    for guess in tests.values():
        if guess.test == "names":
            facts = {**guess.facts, **facts}
    missing = (
        [str(name) for name in facts.get("missing", ())] if isinstance(facts.get("missing"), list) else []
    )
    unexpected = (
        [str(name) for name in facts.get("unexpected", ())]
        if isinstance(facts.get("unexpected"), list)
        else []
    )
    sized = isinstance(facts.get("checkpoint"), tuple)  # what was found under its name, in another shape
    key = facts.get("key") or (None if sized else facts.get("tensor"))
    if isinstance(key, str) and not missing and not unexpected:
        missing = [key.strip("\"'")]
    if not missing and not unexpected and not sized:
        return
    try:
        with open_path(path) as stored:
            _held_against(causes, stored, missing, unexpected, facts)
    except HoldfastError:
        return


def _held_against(
    causes: dict[str, DiagnosedCause],
    stored: Catalog,
    missing: list[str],
    unexpected: list[str],
    facts: dict[str, Any],
) -> None:
    names = {spec.key or name: name for name, spec in stored.items()}
    names |= {name.replace("/", "."): name for name in stored}
    names |= {name: name for name in stored}
    absent = [name for name in missing if name not in names]
    if unexpected and not any(name in names for name in unexpected):
        return  # another file than the one that the text speaks of
    found = {}
    for name in absent:
        tail = "." + name
        hit = next((other for other in names if other.endswith((tail, "/" + name))), None)
        if hit is None and "." in name:
            front, _, rest = name.partition(".")
            hit = rest if rest in names and front in ("module", "_orig_mod", "model") else None
        if hit is not None:
            found[name] = hit
    if missing and found and len(found) >= 0.6 * len(missing):
        name, other = next(iter(found.items()))
        _prove(causes, "renamed", f"the file holds `{name}` as `{other}`")
        # both names are known now, which the text alone could only guess
        causes["renamed"] = replace(causes["renamed"], remedy=_mapped(name, other, stored.format))
        _refute(causes, "missing-tensor", "the file has these tensors under other names")
        return
    if missing and len(absent) == len(missing):
        _refute(causes, "renamed", "no name in the file ends like the missing ones")
        _prove(causes, "missing-tensor", f"the file has no `{absent[0]}`, under no name that ends like it")
    shape, sized = facts.get("checkpoint"), facts.get("tensor")
    if isinstance(shape, tuple) and isinstance(sized, str):
        hits = [sized] if sized in names else [n for n in names if n.endswith((f".{sized}", f"/{sized}"))]
        if any(tuple(stored[names[name]].shape) == shape for name in hits):
            _prove(causes, "shape-mismatch", f"`{sized}` has shape {list(shape)} in the file")


def _by_groups(causes: dict[str, DiagnosedCause], path: str) -> None:
    """Which parameters the groups of the stored optimizers are of, so that the program's can be held against them."""
    held = causes.get("optimizer-structure")
    if held is None or held.status == "proved" or held.confidence < 0.5:
        return
    try:
        with open_path(path) as stored:
            said = [_grouped(optimizer, stored) for optimizer in stored.optimizers if optimizer.groups]
    except HoldfastError:
        return
    if said:
        causes["optimizer-structure"] = replace(held, found="; ".join(said[:2]))


def _grouped(optimizer: OptimizerSpec, stored: Catalog) -> str:
    parts = []
    owned: set[str] = set()
    for number, group in enumerate(optimizer.groups[:4]):
        owners = [name for name in group.owners if name]
        owned.update(owners)
        many = len(group.positions) or len(group.owners)
        span = f" (`{owners[0]}`" + (f" to `{owners[-1]}`)" if len(owners) > 1 else ")") if owners else ""
        parts.append(f"group {number} has {many} parameter{'s' * (many != 1)}{span}")
    free = (
        [name for name, spec in stored.items() if spec.role == "weight" and name not in owned]
        if owned
        else []
    )
    frozen = f"; {len(free)} weights have no state (`{free[0]}`, ...): they were frozen" if free else ""
    kind = optimizer.class_name or optimizer.class_likely or "optimizer"
    many = len(optimizer.groups)
    return f"in the file the {kind} at `{optimizer.name}` is of {many} group{'s' * (many != 1)}: {', '.join(parts)}{frozen}"


def _mapped(name: str, other: str, kind: str) -> str:
    if other.endswith(name):
        front = other[: -len(name)]
        if kind.startswith("torch") and front.endswith(
            "/"
        ):  # an entry of the saved dictionary, not a part of a name
            entry = "".join(f'["{word}"]' for word in front.strip("/").split("/"))
            return f"The file holds a dictionary, and these lie in an entry of it: give what is at `checkpoint{entry}`."
        return f"Strip `{front}` from the file's names: `sd = {{k.removeprefix('{front}'): v for k, v in sd.items()}}`."
    return f"Put `{name[: -len(other)]}` in front of the file's names, or load into the unwrapped model."
