"""Write ``docs/failures/``: a page for each script of ``examples/failures``, with what it really prints under `holdfast run`.

``python docs/generate_failures.py`` runs every script and its repaired twin in a temporary folder (minutes: TensorFlow is
started for most); names behind it choose some. ``--check`` says whether the pages are of these scripts, without running any.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SCRIPTS = ROOT / "examples" / "failures"
PAGES = DOCS / "failures"

ORDER = (
    "add_layer_then_restore",
    "add_layer_then_restore_by_number",
    "layer_dtype",
    "layer_dtype_float16_model",
    "learning_rate_then_restore",
    "torch_upgrade",
    "missing_layer",
    "normalized_data",
    "training_loss_then_save",
    "validation_loss_then_save",
    "model_checkpoint",
    "mirrored_strategy",
    "layer_added_assert_consumed",
    "async_checkpoint",
    "threads_save_one_checkpoint",
    "deferred_restore_subclassed",
    "optimizer_order_restore",
    "layer_names_ignored",
)
"""The scripts, in the order of the table."""

TWINS = {
    "add_layer_then_restore_by_number": "add_layer_then_restore",
    "layer_dtype_float16_model": "layer_dtype",
}
"""Scripts that share another's repaired twin."""

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "COLUMNS": "100",
    "CUDA_VISIBLE_DEVICES": "",
}


@dataclass(frozen=True)
class Story:
    """A script: ``title``, what people ``do``, what they are ``told``, what is ``true``, and its ``code`` without that."""

    name: str
    title: str
    do: str
    told: str
    true: str
    code: str

    @property
    def twin(self) -> str:
        """The name of the repaired script."""
        return f"{TWINS.get(self.name, self.name)}_repaired"


def without_docstring(source: str) -> tuple[str, str]:
    """A script's docstring and the code below it."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    end = tree.body[0].end_lineno or 0
    return text, "\n".join(source.splitlines()[end:]).strip("\n") + "\n"


def story(name: str) -> Story:
    """The script of that name, read."""
    text, code = without_docstring((SCRIPTS / f"{name}.py").read_text())
    parts = re.split(r"^(?:People do|They are told|True is): ", text, flags=re.MULTILINE)
    title, do, told, true = (capital(" ".join(part.split())) for part in parts)
    return Story(name, title.rstrip("."), do, told, true, code)


def capital(text: str) -> str:
    """A sentence begins with a capital letter."""
    return text[:1].upper() + text[1:]


# -- running ---------------------------------------------------------------------------------------------------
def run(name: str, *command: str) -> tuple[int, str]:
    """The exit code of ``python -m holdfast run name.py`` in a folder of its own, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SCRIPTS / f"{name}.py", folder)
        done = subprocess.run(
            [sys.executable, *(command or ("-m", "holdfast", "run")), f"{name}.py"],
            cwd=folder, env={**os.environ, **QUIET, "PYTHONUNBUFFERED": "1"}, text=True, timeout=300, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, neutral(done.stdout, folder)


_NOISE = re.compile(
    r"^(?:WARNING: All log messages|[IWEF]\d{4} |\d{4}-\d\d-\d\d .*\] |To enable the following)"
)
_HEAD = re.compile(r"^\s*Traceback \(most recent call last\):$")
_NUMBERS = re.compile(r"^ *\[?[-+\d.e\s\[]+(?P<rest>\]\]>.*)?\]?$")
_LONG = 130


def neutral(text: str, folder: str) -> str:
    """Output without what differs from machine to machine: folders, TensorFlow's log of its start, frames of libraries."""
    text = text.replace(os.path.realpath(folder), ".").replace(folder, ".")
    text = re.sub(r"(?:/[\w.+-]+)+/site-packages/", "", text)
    text = re.sub(r"(?:/[\w.+-]+)+/lib/python3\.\d+/", "", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.rstrip() for line in text.splitlines() if not _NOISE.match(line)]
    return "\n".join(shortened(lines)).strip("\n")


def shortened(lines: list[str]) -> list[str]:
    """Frames of a traceback become ``...``; a line too long to read is cut."""
    out: list[str] = []
    frames = False
    for line in lines:
        if _HEAD.match(line):
            frames = True
            out.append(line)
        elif frames and line.startswith(" "):
            if out[-1] != "  ...":
                out.append("  ...")
        elif line.strip() and (row := _NUMBERS.match(line)):  # rows of an array in a message
            if rest := row["rest"]:
                out.append(f" ...{rest}"[:_LONG])
        elif line.startswith(("holdfast: ", "  found: ", "  do: ")):
            frames = False
            out += textwrap.wrap(line, 100, subsequent_indent="    ", break_on_hyphens=False)
        else:
            frames = False
            out.append(line if len(line) <= _LONG else line[: _LONG - 2] + " …")
    return out


# -- pages -----------------------------------------------------------------------------------------------------
def page(told: Story, written: str, repaired: str) -> str:
    """The page of a script. ``written``, ``repaired``: what `holdfast run` printed for it and for its twin."""
    why, twin = without_docstring((SCRIPTS / f"{told.twin}.py").read_text())
    changed = "".join(
        line
        for line in difflib.unified_diff(told.code.splitlines(True), twin.splitlines(True), n=1)
        if not line.startswith(("---", "+++"))
    )
    return f"""# {told.title}

- **People do**: {told.do}
- **They are told**: {told.told}
- **True is**: {told.true}

The script, [examples/failures/{told.name}.py](../../examples/failures/{told.name}.py):

```python
{told.code.rstrip()}
```

```text
$ holdfast run {told.name}.py
{written}
```

## Repaired

{capital(" ".join(why.removeprefix("Repaired: ").split()))}

```diff
{changed.rstrip()}
```

```text
$ holdfast run {told.twin}.py
{repaired}
```
"""


def index() -> str:
    """The table of all pages."""
    rows = [
        f"| [{told.name}]({told.name}.md) | {told.told} | {told.true} |"
        for told in (story(name) for name in ORDER)
    ]
    return (
        "# Failures, and what they really are\n\n"
        "Short scripts as people write them, in [examples/failures](../../examples/failures). Each goes wrong; often what people "
        "are told about it is not so. A page shows the script, what `holdfast run` prints when it is started by it, unchanged, "
        "and a repaired twin that runs clean. The outputs are real ones; the tests start every script.\n\n"
        "| script | what people are told | what is true |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


_OUTPUT = re.compile(r"```text\n.*?```", re.DOTALL)


def stale() -> list[str]:
    """Pages that are not of these scripts; the outputs in them are not looked at."""
    expected = {"index.md": index(), **{f"{name}.md": page(story(name), "", "") for name in ORDER}}
    wrong = [
        name
        for name, text in expected.items()
        if not (PAGES / name).is_file()
        or _OUTPUT.sub("", (PAGES / name).read_text()) != _OUTPUT.sub("", text)
    ]
    return wrong + sorted(path.name for path in PAGES.glob("*.md") if path.name not in expected)


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments == ["--check"]:
        wrong = stale()
        print("\n".join(f"docs/failures/{name} is out of date" for name in wrong))
        return 1 if wrong else 0
    PAGES.mkdir(exist_ok=True)
    outputs: dict[str, str] = {}
    for name in arguments or ORDER:
        told = story(name)
        for script in (name, told.twin):
            if script not in outputs:
                code, outputs[script] = run(script)
                print(f"{script}: exit code {code}")
        (PAGES / f"{name}.md").write_text(page(told, outputs[name], outputs[told.twin]))
    (PAGES / "index.md").write_text(index())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
