"""What a program printed, read: exceptions with their frames and messages, and the lines around them.

Texts come as people paste them: cut off, in colours, with the prefixes of launchers (``[rank1]:``), of Ray
(``(pid=123, ip=...)``), of IPython's numbered source lines, of log timestamps, with several ranks interleaved, with
TensorFlow's C++ log lines (``W tensorflow/core/...cc:1152] Not found: ...``). Nothing is lost: what is not understood stays in
``text``, up to some hundred thousand characters (:mod:`holdfast._diagnose.folding`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from .folding import GAP, MOST, shortened, stays

__all__ = ["Frame", "Raised", "Reading", "on_one_line", "read_text"]

_SHORT = 1 << 14
"""A text of fewer characters is searched as it is for each literal word."""

_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|\x1b\][^\x07]{0,4000}(?:\x07|\x1b\\)")
_PREFIX = re.compile(
    r"^(?:"
    r"\[(?:rank|default|r)?\s?\d+\](?:\[rank\d+\])?:?\s?"  # torchrun, torch.distributed
    r"|\((?:[\w.:]+ )?(?:pid|ip)=[^)]*\)\s?"  # Ray
    r"|(?:[\w.-]+-\d+|worker\d+|node\d+)\s*[|>:]\s(?=\s|Traceback|File|[\w.]+(?:Error|Exception))"  # Docker, srun
    r"|\d+: (?=\s|Traceback|File|[\w.]+(?:Error|Exception))"  # srun --label
    r"|[>E] (?=\s|\S)"  # quotes, pytest
    r")+"
)
_RANK = re.compile(r"\[(?:rank|default|r)?\s?(\d+)\]")
_FRAME = re.compile(r'^\s*(?:File\s+)?"(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?\s*$')
_NOTEBOOK = re.compile(
    r"^(?:File\s+)?\[?(?P<file>[~/\w][^\s:()\[\]]*\.py)(?:\]\([^()\s]{0,300}\))?(?::(?P<line>\d+))?(?:,)? in (?P<name>[\w.<>]+)"
)
"""A frame as IPython prints it; Colab makes a link of the file."""
_HEADING = re.compile(r"^\s*(?P<type>[A-Za-z_][\w.]{0,200})\s+Traceback \(most recent call last\)")
"""What stands over a traceback of IPython."""
_ARROW = re.compile(r"^-+>\s*\d+\s+(?P<code>\S.*)$")
_NAMES = r"(?:Error|Exception|Warning|Interrupt|Exit|Failure|Fault|Timeout|Refused|Warn)"
_RAISED = re.compile(
    r"^\s*`?(?P<type>(?:[A-Za-z_]\w{0,80}\.){0,20}(?:[A-Z_]\w{0,120}"
    + _NAMES
    + r"\w{0,80}|KeyboardInterrupt|SystemExit))"
    r"(?:\s*\(see above for traceback\))?\s*(?::\s?(?P<message>.*)|$)"
)
_ENDING = re.compile(
    r"^(?P<type>(?:[A-Za-z_]\w{0,80}\.){1,20}[A-Za-z_]\w{0,120}|Exception|Error|error)\s*(?::\s?(?P<message>.*)|$)"
)
"""What ends a traceback whatever its class is called (``zlib.error``, ``exceptions.NotFound``)."""
_INSIDE = re.compile(
    r"(?P<type>\b(?:[a-z_]\w{0,80}\.){0,20}[A-Z]\w{0,120}(?:Error|Exception))"
    r"(?:\s*\(see above for traceback\))?\s?: (?P<message>\S.*)"
)
_CHAINED = (
    ("cause", "The above exception was the direct cause of the following exception"),
    ("context", "During handling of the above exception, another exception occurred"),
)
_CPP = re.compile(r"^\s*(?:\d{4}-\d\d-\d\d [\d:.]+:? )?[WEFI] \S+\.(?:cc|h|cpp):\d+\]\s*(?P<message>.*)$")
_PATH = re.compile(
    r"""(?:(?<=['"\s=(\[`,:])|^)((?:[A-Za-z]:)?(?:~|\.{1,2})?[\\/][^\s'"`,;:()\[\]{}<>|*?]+|(?:s3|gs|hdfs|hf)://[^\s'"`,;()<>]+)"""
    r"""|['"`]([^'"`\n]{1,300}\.(?:pt|pth|ckpt|bin|h5|hdf5|keras|safetensors|index|npz|msgpack|pkl|tar)[\w.-]*)['"`]"""
    r"""|(?<![\w/.])([\w.-]{1,255}(?:/[\w.-]{1,255}){0,60}\.(?:pt|pth|ckpt(?:-\d+)?|h5|hdf5|keras|safetensors)(?:-\d+)?)(?![\w/])"""
)


class Frame(NamedTuple):
    """One frame of a traceback: ``file``, ``line``, ``name`` of the function, and the ``code`` line where it was printed."""

    file: str
    line: int
    name: str
    code: str = ""


class Raised(NamedTuple):
    """One exception: its ``type`` as printed, ``message`` (all its lines), the ``frames`` before it, how it follows the one
    before it (``cause``, ``context`` or ``""``), and the ``rank`` that printed it (-1: not told)."""

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    chained: str = ""
    rank: int = -1

    @property
    def name(self) -> str:
        """The class's own name."""
        return self.type.rpartition(".")[2]


class Reading:
    """A text and what was found in it.

    ``text``: without colours and prefixes. ``raised``: all exceptions in the order of the text; the last is what ended the
    program, unless several ranks speak. ``log``: messages of C++ log lines. ``given``: how many characters were given, where not
    all were read, else 0.
    """

    def __init__(self, text: str, raised: tuple[Raised, ...], log: tuple[str, ...], given: int = 0) -> None:
        self.text = text
        self.raised = raised
        self.log = log
        self.given = given

    @cached_property
    def flat(self) -> str:
        """All on one line, so that a message that was wrapped reads on."""
        return on_one_line(self.text)

    @cached_property
    def lower(self) -> str:
        """:attr:`flat` in small letters."""
        return self.flat.lower()

    @cached_property
    def holds(self) -> Callable[[str], bool]:
        """Whether a literal word (small letters) stands in :attr:`lower`. A long text is not searched for words of which some
        four characters stand nowhere in it: thousands are asked for, and few are there."""
        lower = self.lower
        if len(lower) < _SHORT:
            return lower.__contains__
        fours = {lower[at : at + 4] for at in range(len(lower) - 3)}
        known: dict[str, bool] = {}

        def holds(word: str) -> bool:
            there = known.get(word)
            if there is None:
                there = fours.issuperset(word[at : at + 4] for at in range(len(word) - 3)) and word in lower
                known[word] = there
            return there

        return holds

    @cached_property
    def names(self) -> frozenset[str]:
        """Class names of everything that was raised."""
        return frozenset(one.name for one in self.raised)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of all exceptions."""
        return tuple(frame for one in self.raised for frame in one.frames)

    @cached_property
    def calls(self) -> frozenset[str]:
        """Names of functions on the way, and words that are called in their lines of code."""
        found = {frame.name.rpartition(".")[2].rstrip("()") for frame in self.frames}
        for frame in self.frames:
            found.update(re.findall(r"([A-Za-z_]\w*)\s*\(", frame.code))
        return frozenset(found)

    @cached_property
    def files(self) -> str:
        """The files of the frames, one after the other, with ``/``."""
        return " ".join(frame.file.replace("\\", "/") for frame in self.frames)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """What looks like a path of data: no source files, each once, in the order of the text."""
        found: dict[str, None] = {}
        for match in _PATH.finditer(self.text):
            path = next(group for group in match.groups() if group).rstrip(".,:;)")
            if not path.endswith((".py", ".pyx", ".cc", ".cpp", ".h", ".so")) and len(path) > 3:
                found[path] = None
        return tuple(found)

    @property
    def last(self) -> Raised | None:
        """What ended the program."""
        return self.raised[-1] if self.raised else None

    @cached_property
    def last_said(self) -> str:
        """The message of :attr:`last` on one line."""
        return on_one_line(self.last.message) if self.last is not None else ""

    @property
    def left_out(self) -> str:
        """A sentence on what of a long text was not read; empty where all was."""
        if not self.given:
            return ""
        return (
            f"Of {self.given:,} characters {len(self.text):,} were read: the beginning, the end, the first and the last failure, "
            "what is repeated once or twice, and of the rest the failures nearest to the end."
        )


def on_one_line(text: str) -> str:
    """``text`` with a space in place of each line break and the white space around it."""
    first, *others = text.split("\n")
    if not others:
        return text
    middle = (line for line in map(str.strip, others[:-1]) if line)
    return " ".join([first.rstrip(), *middle, others[-1].lstrip()])


def read_text(text: str) -> Reading:
    """Read a pasted text. Never raises."""
    text = _COLOURS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).replace("\x00", "")
    return _Reader(text).reading()


class _Reader:
    """Goes over the lines once. Frames wait, by rank, for the exception that ends them."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        self.ranks: list[int] = []
        for line in text.split("\n"):
            prefix = _PREFIX.match(line)
            rank = _RANK.search(prefix[0]) if prefix else None
            self.ranks.append(int(rank[1]) if rank else -1)
            self.lines.append(line[prefix.end() :] if prefix else line)
        self.given = 0
        if len(text) > MOST:
            self._fold(len(text))
        self.raised: list[Raised] = []
        self.log: list[str] = []
        self.frames: dict[int, list[Frame]] = {}
        self.open: dict[int, int] = {}
        self.chained: dict[int, str] = {}
        self.headed: dict[int, str] = {}

    def reading(self) -> Reading:
        for number, line in enumerate(self.lines):
            self._line(number, line, self.ranks[number])
        for rank, kind in self.headed.items():  # cut off before the line that says it once more
            if self.frames.get(rank):
                self.raised.append(Raised(kind, "", tuple(self.frames.pop(rank)), rank=rank))
        if not self.raised:  # a message in the middle of a line: a log, a sentence
            for line in self.lines:
                if "Error" in line or "Exception" in line:
                    self.raised += (
                        Raised(found["type"], found["message"]) for found in _INSIDE.finditer(line)
                    )
        return Reading("\n".join(self.lines), tuple(self.raised), tuple(self.log), self.given)

    def _fold(self, given: int) -> None:
        """Leave out of a long text what need not be read closely."""
        lines = [shortened(line) for line in self.lines]
        ranks, self.lines, self.ranks, self.given = self.ranks, [], [], given
        for numbers in stays(lines):
            if numbers.start:
                self.lines.append(GAP)
                self.ranks.append(-1)
            self.lines += lines[numbers.start : numbers.stop]
            self.ranks += ranks[numbers.start : numbers.stop]

    def _line(self, number: int, line: str, rank: int) -> None:
        if self.given and line == GAP:
            self.open.clear()  # what follows is no part of a message
            return
        if (cpp := _CPP.match(line)) is not None:
            self.log.append(cpp["message"])
            return
        for word, sentence in _CHAINED:
            if sentence in line:
                self.chained[rank] = word
                self.open.pop(rank, None)
                return
        if line.lstrip().startswith("Traceback (most recent call last)"):
            self.frames[rank] = []
            self.open.pop(rank, None)
            return
        if (heading := _HEADING.match(line)) is not None:
            self.frames[rank], self.headed[rank] = [], heading["type"]
            self.open.pop(rank, None)
            return
        frame = _FRAME.match(line) or _NOTEBOOK.match(line)
        if frame is not None:
            self.open.pop(rank, None)
            name = (frame["name"] or "").strip()
            self.frames.setdefault(rank, []).append(Frame(frame["file"], int(frame["line"] or 0), name))
            return
        waiting = self.frames.get(rank)
        found = _RAISED.match(line) or (_ENDING.match(line) if waiting else None)
        if found is not None and not line.lstrip().startswith("raise ") and self._ends(found):
            frames = tuple(self.frames.pop(rank, ()))
            self.raised.append(
                Raised(found["type"], found["message"] or "", frames, self.chained.pop(rank, ""), rank)
            )
            self.open[rank] = len(self.raised) - 1
            self.headed.pop(rank, None)
            return
        if waiting and (arrow := _ARROW.match(line)) is not None:
            waiting[-1] = waiting[-1]._replace(code=arrow["code"])
        elif waiting and not waiting[-1].code and line[:1].isspace() and line.strip():
            waiting[-1] = waiting[-1]._replace(code=line.strip())
        elif rank in self.open and line.strip():
            one = self.raised[self.open[rank]]
            if len(one.message) < 65_536:
                self.raised[self.open[rank]] = one._replace(message=f"{one.message}\n{line}")

    @staticmethod
    def _ends(found: re.Match[str]) -> bool:
        """A warning is an exception's line only where it says something."""
        return bool(found["message"]) or not found["type"].endswith(("Warning", "Warn"))
