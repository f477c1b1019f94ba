"""``holdfast run``: the program is the one that ``python`` runs; only what is told is added."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

TRAIN = """
import hashlib, random, sys
import torch
from torch import nn

torch.manual_seed(3)
model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

def steps(count):
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(torch.randn(16, 8)).pow(2).mean()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.17g}", random.random() if False else "")

steps(3)
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, "state.pt")
steps(2)
state = torch.load("state.pt")
model.load_state_dict(state["model"])
optimizer.load_state_dict(state["optimizer"])
torch.set_rng_state(state["rng"])
steps(3)
digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.numpy().tobytes())
print(digest.hexdigest())
"""


def written(folder: Path, text: str, name: str = "train.py") -> Path:
    file = folder / name
    file.write_text(textwrap.dedent(text))
    return file


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300)


def guarded(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "holdfast", "run", *words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], ...]:
    """The right program under ``python`` and under ``holdfast run``."""
    folder = tmp_path_factory.mktemp("trained")
    written(folder, TRAIN)
    return python(folder, "train.py"), guarded(folder, "train.py")


def test_results_are_the_same_bit_for_bit_and_standard_output_is_the_programs(
    trained: tuple[subprocess.CompletedProcess[str], ...],
) -> None:
    plain, watched = trained
    assert plain.returncode == watched.returncode == 0, watched.stderr
    assert plain.stdout == watched.stdout and len(plain.stdout) > 200
    assert "restored all" in watched.stderr and "the next step will run" in watched.stderr
    assert "nothing wrong" in watched.stderr


def test_what_is_told_of_a_right_run_is_a_line_or_two_a_call(
    trained: tuple[subprocess.CompletedProcess[str], ...],
) -> None:
    lines = trained[1].stderr.splitlines()
    assert len(lines) <= 12, lines


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit()", "sys.exit(7)", "sys.exit('bye')", "sys.exit(True)", "1 / 0"]
)
def test_exit_codes_and_errors_are_those_of_python(tmp_path: Path, end: str) -> None:
    written(tmp_path, f"import sys\n\n\ndef f():\n    {end}\n\n\nf()\n")
    plain, watched = python(tmp_path, "train.py"), guarded(tmp_path, "train.py")
    assert watched.returncode == plain.returncode
    assert watched.stderr == plain.stderr


def test_the_program_sees_itself_as_main(tmp_path: Path) -> None:
    text = """
    import pickle, sys, warnings
    warnings.warn("as ever")
    class Kept: pass
    print(sys.argv, __name__, __file__, sys.path[0], sys.modules["__main__"].__dict__ is globals())
    print(type(pickle.loads(pickle.dumps(Kept()))) is Kept)
    print(sorted(m for m in ("numpy", "torch", "tensorflow", "jax", "keras", "h5py", "msgspec") if m in sys.modules))
    """
    file = written(tmp_path, text)
    for words in (
        ("train.py", "a", "--epochs", "3", "-m", "x"),
        (str(file),),
        ("-m", "train", "--resume", "-q"),
    ):
        plain, watched = python(tmp_path, *words), guarded(tmp_path, *words)
        assert plain.returncode == watched.returncode == 0, watched.stderr
        assert plain.stdout == watched.stdout
        assert "as ever" in watched.stderr


@pytest.mark.parametrize("words", [("nowhere.py",), ("-m", "no.such.module"), ()])
def test_what_is_no_program_is_told_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = guarded(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("holdfast: error:") and "Traceback" not in done.stderr


def test_processes_that_the_program_starts_work_under_it(tmp_path: Path) -> None:
    text = """
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    if __name__ == "__main__":
        for method in ("fork", "spawn"):
            data = TensorDataset(torch.arange(8.0))
            for batch in DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context=method):
                print(batch[0].tolist())
    """
    written(tmp_path, text)
    plain, watched = python(tmp_path, "train.py"), guarded(tmp_path, "train.py")
    assert plain.stdout == watched.stdout and watched.returncode == 0, watched.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_ends_it_with_the_shells_code(tmp_path: Path) -> None:
    written(tmp_path, "import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    child = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "run", "train.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) in (130, -signal.SIGINT)


WRONG = """
import torch
from torch import nn
torch.save(nn.Sequential(nn.Linear(2, 3)).state_dict(), "small.pt")
model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
model.load_state_dict(torch.load("small.pt"), strict=False)
print("went on")
"""


def test_silence_that_is_wrong_is_told_at_the_call_and_in_the_sum(tmp_path: Path) -> None:
    written(tmp_path, WRONG)
    done = guarded(tmp_path, "--json", "seen.json", "train.py")
    assert done.returncode == 0 and done.stdout == "went on\n"
    assert "train.py:6" in done.stderr and "T201" in done.stderr and "kept" in done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["schema_version"] and seen["command"] == "run" and seen["exit_code"] == 0
    load = next(c for c in seen["calls"] if c["kind"] == "assign")
    assert load["facts"]["restored"] == 2 and load["facts"]["of"] == 4
    assert load["facts"]["initial"] == ["1.weight", "1.bias"]
    assert seen["summary"]["findings"]["error"] >= 1


def test_strict_raises_at_the_call(tmp_path: Path) -> None:
    written(tmp_path, WRONG)
    done = guarded(tmp_path, "--strict", "train.py")
    assert done.returncode == 1 and done.stdout == ""
    assert "Found" in done.stderr and "line 6" in done.stderr
    written(tmp_path, TRAIN)
    assert guarded(tmp_path, "--strict", "train.py").returncode == 0


def test_an_uncaught_error_bears_its_diagnosis(tmp_path: Path) -> None:
    written(tmp_path, WRONG.replace(", strict=False", ""))
    done = guarded(tmp_path, "train.py")
    assert done.returncode == 1
    assert "RuntimeError: Error(s) in loading state_dict" in done.stderr
    assert "holdfast: missing-tensor (proved)" in done.stderr
    assert "_guard" not in done.stderr and "patches.py" not in done.stderr


def test_ignored_codes_are_not_told(tmp_path: Path) -> None:
    written(tmp_path, WRONG)
    done = guarded(tmp_path, "--ignore", "T201", "train.py")
    assert "T201" not in done.stderr and "nothing wrong" in done.stderr


def test_processes_that_the_program_starts_are_not_watched_and_that_is_said(tmp_path: Path) -> None:
    """Only where nothing was watched in its own, and they did more than tell their version."""
    busy = "import time; end = time.process_time() + 1.5\nwhile time.process_time() < end: pass"
    written(tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\n")
    plain, watched = python(tmp_path, "train.py"), guarded(tmp_path, "train.py")
    assert (watched.returncode, plain.stderr) == (0, "")
    assert "watched no load and no save in this process" in watched.stderr
    assert "-m holdfast run train.py" in watched.stderr
    assert guarded(tmp_path, "-q", "train.py").stderr == ""
    written(tmp_path, "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n")
    assert guarded(tmp_path, "train.py").stderr == ""
