"""What Holdfast is for, in a minute: real checkpoints of several formats, sound and damaged, and what the tool says.

Run by ``make demo``. The checkpoints were written by the real frameworks (``tests/zoo``); none of them is needed here.
Everything happens on copies in ``.demo/``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "tests" / "zoo"
DEMO = ROOT / ".demo"

COLOR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
BOLD, DIM, CYAN, PLAIN = ("\033[1m", "\033[2m", "\033[36m", "\033[0m") if COLOR else ("", "", "", "")
WIDTH = min(shutil.get_terminal_size((100, 24)).columns, 100)


def say(number: int, text: str) -> None:
    """A heading."""
    line = f"-- {number}. {text} "
    print(f"\n{CYAN}{BOLD}{line}{PLAIN}{DIM}{'-' * max(0, WIDTH - len(line))}{PLAIN}", flush=True)


def run(command: str, expect: int) -> None:
    """Run a command in the demo folder as a person would, and show it; its exit code is part of the demo."""
    print(f"\n{BOLD}$ {command}{PLAIN}", flush=True)
    arguments = shlex.split(command)[1:] + (["--color"] if COLOR else [])
    done = subprocess.run([sys.executable, "-m", "holdfast", *arguments], cwd=DEMO, check=False)
    if expect:
        print(f"{DIM}(exit code {done.returncode}){PLAIN}", flush=True)
    if done.returncode != expect:
        sys.exit(f"the demo expected exit code {expect}, and it was {done.returncode}")


def flip(path: Path, offset: int) -> None:
    """Flip one bit, as a bad cable or a tired disk does."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def payload(path: Path) -> int:
    """Where the bytes of the largest tensor of a PyTorch zip begin: behind its member's local header."""
    with zipfile.ZipFile(path) as archive:
        member = max((m for m in archive.infolist() if "/data/" in m.filename), key=lambda m: m.file_size)
    header = path.read_bytes()[member.header_offset : member.header_offset + 30]
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return member.header_offset + 30 + names


def lay_out() -> None:
    """Copy sound checkpoints of several formats, and damage copies of them in the ways that happen."""
    shutil.rmtree(DEMO, ignore_errors=True)
    runs, inbox = DEMO / "runs", DEMO / "inbox"
    inbox.mkdir(parents=True)
    for case in ("tf_object", "keras_archive", "torch_train", "safetensors_sharded"):
        shutil.copytree(ZOO / case, runs / case, ignore=shutil.ignore_patterns("truth.*"))
    shutil.copy(ZOO / "keras_weights_h5" / "m.weights.h5", DEMO / "export.weights.h5")
    shutil.copy(ZOO / "safetensors" / "m.safetensors", DEMO / "model.safetensors")

    rotten = inbox / "bit-rot.pt"
    shutil.copy(ZOO / "torch_train" / "ckpt.pt", rotten)
    flip(rotten, payload(rotten) + 9)
    whole = (ZOO / "safetensors" / "m.safetensors").read_bytes()
    (inbox / "half-a-download.safetensors").write_bytes(whole[:-60])
    (inbox / "login-page.pt").write_text(
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body>...</body></html>\n"
    )


def main() -> None:
    """The demo, from the first look to the seal."""
    lay_out()
    say(1, "Four runs of three frameworks, none of them installed. Is it all there?")
    run("holdfast runs", expect=0)
    say(2, "Three files that came in over night. PyTorch loads the first one without a word.")
    run("holdfast inbox", expect=1)
    say(3, "What is in it? From the header alone, whatever the size.")
    run("holdfast inspect runs/torch_train/ckpt.pt", expect=0)
    say(4, "safetensors has no checksum: a flipped bit loads unseen. Seal it once ...")
    run("holdfast seal model.safetensors", expect=0)
    file = DEMO / "model.safetensors"
    flip(file, file.stat().st_size - 150)
    print(f"\n{DIM}... one bit is flipped somewhere in it ...{PLAIN}", flush=True)
    run("holdfast verify model.safetensors", expect=1)
    say(5, "Did the export keep what the training run saved? TensorFlow against Keras HDF5.")
    run("holdfast diff runs/tf_object/ckpt-1 export.weights.h5", expect=1)
    print(
        f"\nNow yours: {BOLD}holdfast YOUR_CHECKPOINT{PLAIN}. Every finding, explained: {BOLD}holdfast rule{PLAIN}.\n"
    )


if __name__ == "__main__":
    main()
