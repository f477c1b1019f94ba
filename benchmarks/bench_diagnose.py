"""``holdfast diagnose``: a traceback of 200 lines against ``python -c "import json"``, a log of 200 MB against ``grep -c``, and
a megabyte of nothing but errors against the traceback.

    python benchmarks/bench_diagnose.py [ROUNDS]

The log is ordinary training output with one traceback in its middle; the errors are the examples of all known causes, over and
over, no two lines the same: as much as a text can ask for. Targets: the traceback within 5 times the interpreter with json;
the log at a fifth of grep's speed or better, in bounded memory (150 MB); the errors within 20 times the traceback.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from _timing import environment, folder, interleaved, medians, script, verdict

LINES = 1_800_000
LINE = b"2026-11-21 10:00:00 INFO step %d loss 0.123 lr 0.001 tokens/s 12345 and some more words to make it long enough\n"
ERROR = "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory\n"
ERRORS = 1 << 20


def errors() -> bytes:
    """A megabyte of examples, each behind a word of its own."""
    from holdfast._diagnose.knowledge import entries

    examples = [entry.example for entry in entries()]
    lines: list[bytes] = []
    size = 0
    while size < ERRORS:
        word = "".join(chr(97 + int(digit)) for digit in str(len(lines)))
        lines.append(f"{word}: {examples[len(lines) % len(examples)]}\n".encode())
        size += len(lines[-1])
    return b"".join(lines)[:ERRORS]


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with folder() as place:
        env = environment(place / "bytecode")
        frames = "".join(f'  File "/a/b{n}.py", line {n}, in f{n}\n    call{n}(x)\n' for n in range(99))
        traceback = f"Traceback (most recent call last):\n{frames}{ERROR}"
        short, long, dense = (Path(place, name) for name in ("traceback.txt", "train.log", "errors.log"))
        short.write_text(traceback)
        dense.write_bytes(errors())
        with long.open("wb") as file:
            for number in range(LINES):
                file.write(LINE % number)
                if number == LINES // 2:
                    file.write(traceback.encode())
        commands = {
            "python -c 'import json'": [sys.executable, "-c", "import json"],
            "holdfast --version": [*script(), "--version"],
            "holdfast diagnose (200 lines)": [*script(), "diagnose", str(short)],
            "holdfast diagnose (the log)": [*script(), "diagnose", str(long)],
            "holdfast diagnose (1 MB errors)": [*script(), "diagnose", str(dense)],
        }
        if shutil.which("grep"):
            commands["grep -c Traceback (the log)"] = ["grep", "-c", "Traceback", str(long)]
        megabytes = long.stat().st_size / 1e6
        middle = medians(interleaved(commands, rounds, env))
    base = middle["python -c 'import json'"].seconds
    for name, run in middle.items():
        print(f"{name:32} {run.seconds / base:6.2f} x import json   peak {run.megabytes:5.0f} MB")
    log = middle["holdfast diagnose (the log)"]
    print(f"the log: {megabytes:.0f} MB")
    ratio = middle["holdfast diagnose (200 lines)"].seconds / base
    targets = [
        ("200 lines / import json", ratio, lambda x: x <= 5, "<= 5"),
        (
            "1 MB of errors / 200 lines",
            middle["holdfast diagnose (1 MB errors)"].seconds
            / middle["holdfast diagnose (200 lines)"].seconds,
            lambda x: x <= 20,
            "<= 20",
        ),
        ("the log: peak MB", log.megabytes, lambda x: x <= 150, "<= 150"),
    ]
    if "grep -c Traceback (the log)" in middle:
        grep = middle["grep -c Traceback (the log)"].seconds
        targets.append(("the log / grep -c", log.seconds / grep, lambda x: x <= 5, "<= 5"))
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
