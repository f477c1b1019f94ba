"""Known causes: what each looks like in a text, what it means, how it is confirmed, and what to do.

An entry is one row of a module in :mod:`holdfast._diagnose.causes`, one module a family. It matches first by literal words
(cheap), then by a pattern over the text on one line; exception types, functions and files on the way add to its weight.
Its ``weigh`` may look closer (lists of keys, shapes) and answer with other labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from .._facts.causes import cause_of
from .reading import Reading
from .searching import compiled, nearby
from .surroundings import Around, around
from .wording import said

__all__ = [
    "LITERALS",
    "Entry",
    "Guess",
    "Look",
    "beside",
    "entries",
    "entries_for",
    "literals",
    "loading_where",
    "ranked",
    "told_once",
]


@dataclass(frozen=True, slots=True)
class Guess:
    """One cause that a text speaks for.

    label: of :mod:`holdfast._facts.causes`. confidence: 0 to 1. why: what is the matter, in words. remedy: what to do.
    evidence: the part of the text. confirm: what would confirm or refute it. facts: numbers and names out of the text. test:
    the question that can be asked of the files (:mod:`holdfast._diagnose.tried`). entry: who says so.
    """

    label: str
    confidence: float
    why: str
    remedy: str
    evidence: str = ""
    confirm: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    test: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What an entry's ``weigh`` is given: the text, the match, and the entry."""

    reading: Reading
    match: re.Match[str]
    entry: Entry

    @property
    def around(self) -> Around:
        """What goes on around the error: a save, a load, something else."""
        return around(self.reading)

    def facts(self) -> dict[str, str]:
        """The pattern's named groups that matched; ``path2`` is another place for ``path``."""
        found: dict[str, str] = {}
        for name, value in self.match.groupdict().items():
            if value is not None:
                found.setdefault(name.rstrip("0123456789"), value)
        return found


Weigh = Callable[[Look], "list[Guess]"]


def ranked(*rows: tuple[str, float] | tuple[str, float, str]) -> Weigh:
    """A ``weigh`` that answers with several labels: each with how sure, and with its own words where the entry's do not fit."""

    def weigh(look: Look) -> list[Guess]:
        facts = look.facts()
        return [
            look.entry.guess(
                look, row[0], confidence=row[1], **({"why": said(row[2], facts)} if len(row) > 2 else {})
            )
            for row in rows
        ]

    return weigh


_CONDITION = 0.3
"""How sure an entry is of words that any program may print, where nothing beside them speaks of a save or a load: below what
counts as a checkpoint's failure, and told with a condition."""


def beside(words: str, *rows: tuple[str, float] | tuple[str, float, str]) -> Weigh:
    """As :func:`ranked`, for wordings that other programs print too: they count where a save, a load or a checkpoint is told, or
    ``words`` (a pattern over the text in small letters) stand by; elsewhere they are told with a condition."""
    asked = ranked(*rows)

    def weigh(look: Look) -> list[Guess]:
        guesses, here = asked(look), look.around
        if here.storing or here.kept or (words and re.search(words, look.reading.lower)):
            return guesses
        most = max(guess.confidence for guess in guesses)
        return [replace(guess, confidence=guess.confidence * _CONDITION / most) for guess in guesses]

    return weigh


def loading_where(*words: str) -> Weigh:
    """A ``weigh`` for wordings of which those with one of ``words`` are said of other things too: these count in a load alone."""

    def weigh(look: Look) -> list[Guess]:
        said = look.match[0].lower()
        if any(word in said for word in words) and not around(look.reading).loading:
            return []
        return [look.entry.guess(look)]

    return weigh


@dataclass(slots=True, eq=False)  # not frozen: hundreds are made at every start
class Entry:
    """One known cause.

    slug: its name. label: of the cause. has: literal words (small letters) of which one must stand in the text. says: a
    pattern over the flat text, case ignored (empty: any of those words); its named groups are facts, for ``why`` and ``remedy``
    too. why, remedy,
    confirm: in words. also: other labels that often come with it. types: class names of exceptions that speak for it. calls:
    functions on the way that speak for it; with ``only_in`` one of them (or a word of ``context``) must be there. weight:
    how sure, without more. test: the question for the files. where: what must be so around it. example: a text that it must
    be found in.
    """

    slug: str
    label: str
    has: tuple[str, ...]
    says: str
    why: str
    remedy: str
    example: str
    confirm: str = ""
    also: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    only_in: bool = False
    weight: float = 0.8
    test: str = ""
    weigh: Weigh | None = None
    where: Callable[[Around], bool] | None = None

    @property
    def pattern(self) -> str:
        """The pattern over the text; where none is written, any of the literal words."""
        return self.says or "|".join(map(re.escape, self.has))

    def look(self, reading: Reading) -> list[Guess]:
        """What this entry makes of a text."""
        there = [word for word in self.has if reading.holds(word)]
        if not there:
            return []
        if self.only_in and not (
            reading.calls.intersection(self.calls) or any(map(reading.holds, self.context))
        ):
            return []
        if self.where is not None and not self.where(around(reading)):
            return []
        pattern = compiled(self.pattern)  # costs most: only now
        match = nearby(pattern, reading, there)
        if match is None:
            return []
        over = _over(reading, match.start())
        if over and (later := nearby(pattern, reading, there, over)) is not None:
            match, over = later, 0
        look = Look(reading, match, self)
        guesses = self.weigh(look) if self.weigh is not None else [self.guess(look)]
        if not guesses:
            return []
        more = 0.0
        if self.types and reading.names.intersection(self.types):
            more += 0.05
        if self.calls and reading.calls.intersection(self.calls):
            more += 0.04
        if reading.last is not None and match[0][:40] in reading.last_said:
            more += 0.03
        if over:
            more = -0.5
        out = [_more(guess, more) for guess in guesses]
        for n, label in enumerate(self.also):
            if all(g.label != label for g in out):
                out.append(self._aside(label, out[0].confidence * (0.45 - 0.08 * n), out[0]))
        return out

    def guess(self, look: Look, label: str | None = None, **changed: Any) -> Guess:
        """This entry's own words, with the facts of the match filled in."""
        facts = {**look.facts(), **changed.pop("facts", {})}
        given: dict[str, Any] = {
            "label": label or self.label,
            "confidence": self.weight,
            "why": said(self.why, facts),
            "remedy": said(self.remedy, facts),
            "evidence": look.match[0].strip()[:300],
            "confirm": said(self.confirm, facts),
            "facts": facts,
            "test": self.test,
            "entry": self.slug,
        }
        return Guess(**{**given, **changed})

    def _aside(self, label: str, confidence: float, first: Guess) -> Guess:
        """Another label that the same text may stand for, in that label's own words."""
        cause = cause_of(label)
        why, remedy = (cause.title, cause.remedy) if cause is not None else (label, first.remedy)
        return Guess(
            label, confidence, why[:1].lower() + why[1:], remedy, first.evidence, first.confirm, first.facts,
            first.test, self.slug,
        )  # fmt: skip


def _over(reading: Reading, at: int) -> int:
    """Where the traceback begins, if what stands at ``at`` was over when the program failed, of something else (a warning
    above a whole traceback); else 0."""
    start = reading.flat.find("Traceback (most recent call last)")
    return start if at < start and reading.frames and not around(reading).storing else 0


def _more(guess: Guess, more: float) -> Guess:
    return replace(guess, confidence=max(0.05, min(0.99, guess.confidence + more)))


def told_once(guesses: Sequence[Guess]) -> list[Guess]:
    """Causes, each in words of its own: where several were told by one sentence, the later ones by their title."""
    heard: set[str] = set()
    found = []
    for guess in guesses:
        cause = cause_of(guess.label) if guess.why in heard else None
        heard.add(guess.why)
        found.append(
            guess if cause is None else replace(guess, why=cause.title[:1].lower() + cause.title[1:])
        )
    return found


LITERALS = Path(__file__).parent / "causes" / "literals.tsv"
"""A line a module of causes: its room and name, and the literal words of its entries. ``python docs/generate_commands.py``
writes it."""


def entries(room: str = "") -> Iterator[Entry]:
    """All entries, family by family: every module of every room of :mod:`holdfast._diagnose.causes`, or of one ``room``."""
    for module in _modules():
        if module.startswith(room and f"{room}."):
            yield from _of_module(module)


def entries_for(reading: Reading) -> Iterator[Entry]:
    """The entries that can have something to say of a text: those of the modules of which a literal word stands in it. To
    import all of them takes longer than to read a text."""
    words = dict(line.split("\t", 1) for line in LITERALS.read_text("utf-8").splitlines())
    for module in _modules():
        if module not in words or any(map(reading.holds, words[module].split("\t"))):
            yield from _of_module(module)


def literals() -> str:
    """What :data:`LITERALS` must hold."""
    lines = []
    for module in _modules():
        found = sorted({word for entry in _of_module(module) for word in entry.has})
        lines.append(
            "\t".join([module, *(word for word in found if not any(o in word for o in found if o != word))])
        )
    return "\n".join(lines) + "\n"


@cache
def _modules() -> tuple[str, ...]:
    causes = Path(__file__).parent / "causes"
    rooms = sorted(info.name for info in iter_modules([str(causes)]) if info.ispkg)
    return tuple(
        f"{room}.{name}"
        for room in rooms
        for name in sorted(info.name for info in iter_modules([str(causes / room)]))
    )


def _of_module(name: str) -> Sequence[Entry]:
    found: Sequence[Entry] = import_module(f"{__package__}.causes.{name}").ENTRIES
    return found
