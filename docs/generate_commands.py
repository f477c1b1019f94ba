"""Write ``docs/commands.md``, ``docs/rules.md``, ``docs/python.md`` and ``docs/troubleshooting.md``: outputs are real ones of
this version, the rest docstrings and the known causes; and ``causes/literals.tsv``, the words by which those are found.

``python docs/generate_commands.py`` runs the commands on copies of ``tests/zoo`` in a temporary folder; ``--check`` only says
whether the pages are current (the tests do the same).
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
ZOO = ROOT / "tests" / "zoo"
sys.path.insert(0, str(ROOT / "src"))


FACTORY = '''"""A model without any framework: nested arrays. Yours returns a torch.nn.Module, a Keras model, a JAX tree."""

import numpy as np


def make(units=4):
    return {
        "encoder": {"kernel": np.zeros((5, units), np.float32), "bias": np.zeros(units, np.float32)},
        "head": {"kernel": np.zeros((units, 2), np.float32)},
        "half": np.zeros((2, 3), np.float32),
        "double": np.zeros(3),
    }
'''


EVALUATION = '''"""What `holdfast audit` calls: a factory that gives the model and a function that measures it."""

import numpy as np


def audit():
    model = {"encoder": {"kernel": np.zeros((5, 4), np.float32)}}
    return model, evaluate


def evaluate(model):
    return {"val_loss": round(0.42 * float(model["encoder"]["kernel"].mean()), 6)}
'''


SAVED = '''"""What `holdfast isolate` calls: a function that returns what is saved. Yours returns a model, or a checkpoint."""

import numpy as np


def make():
    model = {"encoder": {"kernel": np.zeros((5, 4), np.float32)}}
    return {"model": model, "config": {"lr": 0.1, "milestones": [10, 20], "schedule": lambda step: 0.1}}
'''


RESUME = """import torch

model = torch.nn.Linear(3, 2)
torch.save({f"module.{name}": value for name, value in model.state_dict().items()}, "resume.pt")
model.load_state_dict(torch.load("resume.pt"), strict=False)
"""


LOOP = '''"""A loop that resumes, and forgets its generator of noise. `holdfast drill` runs it, kills it, and runs it again."""

import os

import numpy as np

import holdfast.drill

rng, weights, start = np.random.default_rng(0), np.zeros(4), 0
if os.path.exists("last.npz"):
    held = np.load("last.npz")
    weights, start = held["weights"], int(held["step"])
for step in range(start + 1, 21):
    weights = 0.9 * weights + rng.normal(size=4)
    holdfast.drill.step(step, loss=weights.sum(), state={"w": weights})
    np.savez("next.npz", weights=weights, step=step)
    os.replace("next.npz", "last.npz")
'''


# -- the checkpoints that the examples are about --------------------------------------------------------------
def lay_out(folder: Path) -> None:
    """Copies of the small zoo under everyday names, and damaged ones."""
    run = folder / "runs" / "net"
    run.mkdir(parents=True)
    for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00001", "checkpoint"):
        shutil.copy(ZOO / "tf_object" / name, run)
    shutil.copy(ZOO / "keras_archive" / "m.keras", run / "net.keras")
    shutil.copy(ZOO / "torch_train" / "ckpt.pt", folder / "train.pt")
    shutil.copy(ZOO / "torch_state_dict" / "model.pt", folder / "model.pt")
    shutil.copy(ZOO / "safetensors" / "m.safetensors", folder / "model.safetensors")
    (folder / "train.py").write_text(FACTORY)
    (folder / "evaluation.py").write_text(EVALUATION)
    (folder / "saved.py").write_text(SAVED)
    (folder / "resume.py").write_text(RESUME)
    (folder / "work").mkdir()
    (folder / "work" / "loop.py").write_text(LOOP)
    make_vault(folder / "runs" / "vault")
    damaged = folder / "damaged"
    damaged.mkdir()
    rotten = damaged / "bit rot.pt"
    shutil.copy(ZOO / "torch_train" / "ckpt.pt", rotten)
    flip(rotten, payload(rotten) + 9)
    whole = (ZOO / "safetensors" / "m.safetensors").read_bytes()
    (damaged / "half.safetensors").write_bytes(whole[:-60])
    (damaged / "page.pt").write_text("<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n")


VAULT = """
import random, sys
import numpy as np
import holdfast

random.seed(0)
np.random.seed(0)
model = {"encoder": {"kernel": np.ones((5, 4), np.float32)}}
with holdfast.Vault(sys.argv[1]) as vault:
    for step, loss in ((100, 0.61), (200, 0.42), (300, 0.47)):
        vault.save(step, model=model, metrics={"val_loss": loss}, blocking=True)
    vault.pin(200)
"""


def make_vault(folder: Path) -> None:
    """Three steps of a run, as its vault has them: saved by a process of their own outside any repository, so that what
    is recorded besides (code, random state) has the same size each time."""
    subprocess.run([sys.executable, "-c", VAULT, str(folder.resolve())], cwd=folder.parents[1], check=True)


def payload(path: Path) -> int:
    """Where the bytes of the largest storage of a torch zip begin."""
    with zipfile.ZipFile(path) as archive:
        member = max((m for m in archive.infolist() if "/data/" in m.filename), key=lambda m: m.file_size)
    raw = path.read_bytes()[member.header_offset :]
    return (
        member.header_offset
        + 30
        + int.from_bytes(raw[26:28], "little")
        + int.from_bytes(raw[28:30], "little")
    )


def flip(path: Path, offset: int) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


class Shell:
    """Runs commands in one folder and gives their output as a code block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "HOLDFAST_DEBUG")},
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "utf-8",
        }

    def __call__(self, command: str, expect: int = 0) -> str:
        arguments = shlex.split(command)
        assert arguments[0] == "holdfast"
        done = subprocess.run(
            [sys.executable, "-m", "holdfast", *arguments[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        if done.returncode != expect:
            raise SystemExit(
                f"{command}: exit code {done.returncode}, expected {expect}\n{done.stdout}{done.stderr}"
            )
        shown = (done.stdout + done.stderr).strip("\n")
        code = f"\n[exit code {expect}]" if expect else ""
        return f"```console\n$ {command}\n{shown}{code}\n```\n"

    def help(self, command: str) -> str:
        """The options of a command."""
        block = self(f"holdfast {command} --help")
        return "```\n" + block[block.index("Options:") :].split("\n```")[0] + "\n```\n"

    def finding(self, command: str) -> str:
        """The first finding of a JSON document, as it stands there."""
        block = self(command, 1)
        document = json.loads(block[block.index("{") : block.rindex("}") + 1])
        shown = json.dumps(document["checkpoints"][0]["findings"][0], indent=2, ensure_ascii=False)
        return f"```json\n{shown}\n```\n"


# -- commands.md ----------------------------------------------------------------------------------------------
_DIRECTIVE = re.compile(r"\{\{(run|help|flip|finding)(?: exit (\d+))?: (.+)\}\}\n")


def commands_page() -> str:
    """The text of ``docs/commands.md``: ``docs/commands.in.md`` with its directives carried out, in their order.

    ``{{run: COMMAND}}`` (with ``exit N``) shows a command and its output, ``{{help: COMMAND}}`` its options,
    ``{{finding: COMMAND}}`` the first finding of its JSON document; ``{{flip: FILE}}`` flips a bit near the file's end.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        shell = Shell(folder)

        def carry_out(found: re.Match[str]) -> str:
            kind, code, what = found[1], int(found[2] or 0), found[3]
            if kind == "run":
                return shell(what, code)
            if kind == "help":
                return shell.help(what)
            if kind == "finding":
                return shell.finding(what)
            flip(folder / what, (folder / what).stat().st_size - 150)
            return ""

        return _DIRECTIVE.sub(carry_out, (DOCS / "commands.in.md").read_text(encoding="utf-8"))


# -- rules.md -------------------------------------------------------------------------------------------------
RULES = """# Rules

*Made by `docs/generate_commands.py` from the rules' own docstrings; `holdfast rule CODE` prints the same.*

A finding has a code and a slug; `--select` and `--ignore` take codes, families and slugs. An **error** means that
something is lost, wrong or will not load; a **warning** that it may be; a **note** is worth knowing. Kinds of
difference (**diff**) are what `holdfast diff` reports. The depth is the least at which a rule is asked. The
[causes](#causes) are explained at the end.
"""


def rules_page() -> str:
    """The text of ``docs/rules.md``."""
    from holdfast._cli.rule import known
    from holdfast._facts.causes import CAUSES
    from holdfast._rules.registry import FAMILIES

    every = known()
    parts = [RULES]
    for letter, title in FAMILIES.items():
        members = [rule for rule in every if rule.code.startswith(letter)]
        if not members:
            continue
        parts.append(f"\n## {letter}: {title}\n")
        for rule in members:
            facts = [rule.severity, f"depth {rule.depth}"] + (
                [f"cause: [{rule.cause}](#cause-{rule.cause})"] if rule.cause else []
            )
            doc = inspect.cleandoc(rule.doc).replace("``", "`")
            parts.append(f"\n### {rule.code} {rule.slug}\n\n*{' · '.join(facts)}*\n\n{doc}\n")
            if rule.remedy:
                parts.append(f"\nNext: {rule.remedy}\n")
    parts.append("\n## Causes\n")
    used = {rule.cause for rule in every}
    for cause in CAUSES.values():
        if cause.label in used:
            parts.append(
                f"\n### Cause: {cause.label}\n\n{cause.title}. {cause.explanation}\n\n{cause.remedy}\n"
            )
    return "".join(parts)


# -- python.md ------------------------------------------------------------------------------------------------
PYTHON = """# Names of the package

*Made by `docs/generate_commands.py` from docstrings; `help(holdfast.open)` prints all of one.*

Everything is `holdfast.<name>`, imported when it is first used. What begins with an underscore may change at any time.
"""


def python_page() -> str:
    """The text of ``docs/python.md``: every public name with its first sentence."""
    import holdfast

    sections: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in sorted(n for n in holdfast.__all__ if n != "__version__"):
        what = getattr(holdfast, name)
        doc = " ".join(inspect.cleandoc(what.__doc__ or "").split("\n\n")[0].split())
        first = (
            re.sub(r":\w+:`~?([^`]+)`", r"`\1`", re.split(r"(?<=\.)\s", doc)[0])
            .replace("``", "`")
            .replace("|", "\\|")
        )
        kind = "Functions"
        if isinstance(what, type):
            kind = "Errors" if issubclass(what, BaseException) else "Classes"
        sections[kind].append(f"| `{name}` | {first} |\n")
    parts = [PYTHON]
    for kind, rows in sections.items():
        parts.append(f"\n## {kind}\n\n| name | what it is |\n|---|---|\n{''.join(rows)}")
    parts.append(
        "\nThe types of events are in `holdfast.events`, the doubles for tests in `holdfast.testing`, the callback for `fit` in\n"
        "`holdfast.keras`.\n"
    )
    return "".join(parts)


# -- troubleshooting.md ---------------------------------------------------------------------------------------
TROUBLESHOOTING = """# What an error of saving or loading means

*Made by `docs/generate_commands.py` from the known causes of `holdfast diagnose`.*

Search this page for the words of your message; names, numbers and paths differ. What is noticed without any message stands at
the end. A message may have several causes: the likeliest stands here. `holdfast diagnose LOG` does the same for a whole log,
weighs what stands around the message, and with `--checkpoint PATH` proves or refutes it on the file: [diagnose.md](diagnose.md).
"""


def troubleshooting_page() -> str:
    """The text of ``docs/troubleshooting.md``: every known message, its cause and what to do, by the message's first words."""
    from holdfast._cli.rule import known
    from holdfast._diagnose.elsewhere import ELSEWHERE
    from holdfast._diagnose.knowledge import entries
    from holdfast._diagnose.reading import read_text

    used = {rule.cause for rule in known()}
    printed: dict[str, str] = {}
    told: dict[str, str] = {}
    noticed = set(entries("words"))
    for entry in entries():
        guess = max(entry.look(read_text(entry.example)), key=lambda guess: guess.confidence)
        cause = f"[{guess.label}](rules.md#cause-{guess.label})" if guess.label in used else guess.label
        rows = told if entry in noticed else printed
        rows[_shown(entry.example, guess.evidence)] = f"{cause}: {_cell(guess.why)} *{_cell(guess.remedy)}*"
    for elsewhere in ELSEWHERE:
        printed[_shown(elsewhere.example)] = f"no checkpoint failure: {_cell(elsewhere.why)}"
    parts = [TROUBLESHOOTING]
    letter = ""
    for text in sorted(printed, key=lambda text: (_letters(text), text)):
        first = _letters(text)[:1].upper() or "#"
        if first != letter:
            letter = first
            parts.append(f"\n## {letter}\n\n")
        ticks = "``" if "`" in text else "`"
        pad = " " if text.startswith("`") or text.endswith("`") else ""
        parts.append(f"- {ticks}{pad}{text}{pad}{ticks}  \n  {printed[text]}\n")
    parts.append("\n## What is noticed where nothing is printed\n\n")
    parts += [f"- {_cell(text)}  \n  {told[text]}\n" for text in sorted(told, key=_letters)]
    return "".join(parts)


def _shown(example: str, evidence: str = "") -> str:
    """The telling line of an example: where the evidence stands, else the last; with the one before where it is a bare name."""
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if evidence and evidence[:24] in line), len(lines) - 1)
    bare = at and re.fullmatch(r"\w+:?", lines[at])
    return " / ".join(lines[at - 1 : at + 1])[:180] if bare else lines[at][:180]


def _letters(text: str) -> str:
    return re.sub(r"^[^a-z]+", "", text.lower())


def _cell(text: str) -> str:
    """Words for a page: outside of code nothing in them is markup."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2]]
    text = "`".join(parts)
    return text if text.endswith((".", "?", "!")) else text + "."


PAGES = {
    "commands.md": commands_page,
    "rules.md": rules_page,
    "python.md": python_page,
    "troubleshooting.md": troubleshooting_page,
}


def made() -> dict[Path, Callable[[], str]]:
    """Every file and what makes it; the words by which the known causes are found come first, because pages show them."""
    from holdfast._diagnose.knowledge import LITERALS, literals

    return {LITERALS: literals, **{DOCS / name: make for name, make in PAGES.items()}}


def comparable(text: str) -> str:
    """A page without what differs from run to run: versions of Holdfast, dates and times, how long something took."""
    text = re.sub(r"\b(stall|most|after) \d+(\.\d+)? m?s\b", r"\1 SECONDS", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d[T@ ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?", "TIME", text)
    return re.sub(r"holdfast \d+\.\d+\S*", "holdfast VERSION", text)


def main() -> None:
    stale = []
    for path, make in made().items():
        text = make()
        if not path.exists() or comparable(path.read_text(encoding="utf-8")) != comparable(text):
            stale.append(path.name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    print(f"stale: {', '.join(stale)}" if stale else "current")
    if "--check" in sys.argv[1:] and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
