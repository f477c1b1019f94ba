"""What Holdfast is for, in a minute: real checkpoints of several formats, sound and damaged, and what the tool says.

Run by ``make demo``. The checkpoints were written by the real frameworks (``tests/zoo``); none of them is needed here.
Everything happens on copies in ``.demo/``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "tests" / "zoo"
DEMO = ROOT / ".demo"

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def say(text: str) -> None:
    """A line of narration."""
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def run(*arguments: str, expect: int) -> None:
    """Run ``holdfast`` in the demo folder as a person would, showing the command; its exit code is part of the demo."""
    print(f"{DIM}$ holdfast {' '.join(arguments)}{PLAIN}", flush=True)
    color = ["--color"] if sys.stdout.isatty() and arguments[0] != "seal" else []
    done = subprocess.run([sys.executable, "-m", "holdfast", *arguments, *color], cwd=DEMO, check=False)
    print(f"{DIM}(exit code {done.returncode}){PLAIN}", flush=True)
    if done.returncode != expect:
        sys.exit(f"the demo expected exit code {expect}")


def flip(path: Path, offset: int) -> None:
    """Flip one bit, as a bad cable or a tired disk does."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def lay_out() -> None:
    """Copy sound checkpoints of several formats, and damage copies of them in the ways that happen."""
    shutil.rmtree(DEMO, ignore_errors=True)
    sound, hurt = DEMO / "sound", DEMO / "hurt"
    sound.mkdir(parents=True)
    hurt.mkdir()
    for case in ("torch_train", "keras_archive", "tf_object", "safetensors", "npz"):
        shutil.copytree(ZOO / case, sound / case, ignore=shutil.ignore_patterns("truth.*"))

    torch_file = (ZOO / "torch_train" / "ckpt.pt").read_bytes()
    (hurt / "bit-rot.pt").write_bytes(torch_file)
    flip(hurt / "bit-rot.pt", torch_file.index(b"data/0") + 300)
    (hurt / "killed-while-saving.pt").write_bytes(torch_file[: len(torch_file) * 2 // 3])

    tensors = (ZOO / "safetensors" / "m.safetensors").read_bytes()
    (hurt / "half-a-download.safetensors").write_bytes(tensors[:-60])
    (hurt / "only-a-pointer.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4cac5c1a2b9d1bd5e06a9f0f5ca0a6a6e45d93a1b4c3a2f31c2f9f2a6d0c2b11\nsize 438007537\n"
    )
    (hurt / "login-page.pt").write_text(
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body>…</body></html>\n"
    )
    (hurt / "nothing-in-it.h5").write_bytes(bytes(4096))

    saver = hurt / "shard-lost"
    shutil.copytree(ZOO / "tf_saver", saver, ignore=shutil.ignore_patterns("truth.*"))
    max(saver.glob("*.data-*")).unlink()


def main() -> None:
    lay_out()
    say(
        "1. Whole runs and single files, any framework, none of them installed: the doctor says what is wrong and what to do."
    )
    run("doctor", "sound", "hurt", expect=1)
    say(
        "2. What is in a checkpoint? Names, shapes, roles, optimizer, learning rate, step: from the header alone."
    )
    run("inspect", "sound/torch_train/ckpt.pt", expect=0)
    say("3. safetensors carries no checksum: any flipped bit loads without a word. Seal it once ...")
    run("seal", "sound/safetensors/m.safetensors", expect=0)
    file = DEMO / "sound" / "safetensors" / "m.safetensors"
    flip(file, file.stat().st_size - 150)
    say("   ... and one flipped bit, anywhere, is found and named.")
    run("verify", "sound/safetensors/m.safetensors", expect=1)
    say(
        "4. What changed between two checkpoints, across formats? (the same Keras model, as .keras and as .weights.h5)"
    )
    shutil.copy(ZOO / "keras_weights_h5" / "m.weights.h5", DEMO / "sound" / "m.weights.h5")
    run("diff", "sound/keras_archive/m.keras", "sound/m.weights.h5", expect=0)
    say(
        "That was Holdfast. `holdfast YOUR_CHECKPOINT` does the same for yours; `holdfast rule` explains every finding."
    )


if __name__ == "__main__":
    main()
