"""Programs that read and write many small files, and what a program leaves to its end: neither changes under the guard."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from holdfast._guard.guard import Guard, Options  # noqa: E402
from holdfast._guard.seen import Seen  # noqa: E402
from holdfast._guard.telling import teller  # noqa: E402


def save(path: Path, elements: int = 4) -> None:
    torch.save({"x": torch.zeros(elements)}, path)


def load(path: Path) -> object:
    return torch.load(path)


def test_a_data_set_of_many_files_is_passed_over_after_a_while(tmp_path: Path) -> None:
    with Guard() as guard:
        for number in range(100):
            save(tmp_path / f"{number}.pt")
        for number in range(100):
            load(tmp_path / f"{number}.pt")
    assert len(guard.seen) == 128
    assert guard.lines.passed == {"save": 36, "read": 36}
    assert not [f for seen in guard.seen for f in seen.findings if f.severity != "note"]


def test_a_large_file_among_them_is_looked_at(tmp_path: Path) -> None:
    for number in range(80):
        save(tmp_path / f"{number}.pt")
    save(tmp_path / "large.pt", 1 << 19)
    with Guard() as guard:
        for number in range(80):
            load(tmp_path / f"{number}.pt")
        load(tmp_path / "large.pt")
    assert str(guard.seen[-1].path).endswith("large.pt")


def test_one_file_that_is_written_again_and_again_is_looked_at_each_time(tmp_path: Path) -> None:
    with Guard() as guard:
        for _ in range(100):
            save(tmp_path / "last.pt")
    assert len(guard.seen) == 100 and not guard.lines.passed


@pytest.mark.parametrize("options", [Options(protect=True), Options(seal=True), Options(strict=True)])
def test_where_each_save_is_to_be_safe_none_is_passed_over(tmp_path: Path, options: Options) -> None:
    with Guard(options) as guard:
        for number in range(70):
            save(tmp_path / f"{number}.pt")
    assert len(guard.seen) == 70


def test_a_line_is_told_a_few_times_and_again_when_something_is_wrong(tmp_path: Path) -> None:
    stream = io.StringIO()
    model = torch.nn.Linear(2, 2)
    with Guard(tell=teller(stream)):
        for number in range(20):
            model_file = tmp_path / f"{number}.pt"
            torch.save(model.state_dict(), model_file)
        for number in range(20):
            state = torch.load(tmp_path / f"{number}.pt")
            if number == 15:
                del state["bias"]
            torch.nn.Linear(2, 2).load_state_dict(state, strict=False)
    text = stream.getvalue()
    assert text.count("torch.save") == text.count("torch.load(") == 8
    assert text.count("only where something is wrong") == 3
    assert text.count("Module.load_state_dict") == 9 and text.count("T201") == 1


def test_verbose_tells_all(tmp_path: Path) -> None:
    stream = io.StringIO()
    tell = teller(stream, verbose=True)
    for _ in range(20):
        tell(Seen("torch.save", "save", "train.py:3", "a.pt"))
    assert stream.getvalue().count("torch.save") == 20


@pytest.mark.parametrize("options", [Options(), Options(protect=True), Options(seal=True)])
def test_a_shard_before_its_index_is_no_damage(tmp_path: Path, options: Options) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    with Guard(options) as guard:
        for number in (1, 2):
            name = tmp_path / f"model-{number:05}-of-00002.safetensors"
            safetensors.save_file({f"w{number}": torch.ones(3)}, name)
    assert all(seen.sentence.startswith("wrote 1 tensor, 12 bytes; sound") for seen in guard.seen)
    assert not [f for seen in guard.seen for f in seen.findings if f.severity != "note"]


def test_watched_functions_go_to_other_processes() -> None:
    with Guard():
        for function in (torch.save, torch.load, torch.nn.Module.load_state_dict):
            assert pickle.loads(pickle.dumps(function)) is function


ENDS = {
    "what is in a cycle is let go of": """
        class Log:
            def __init__(self): self.me = self
            def __del__(self): print("last words")
        log = Log()
    """,
    "the names of the main module": """
        print(sorted(name for name in globals() if name.startswith("__")), __spec__, __package__)
    """,
    "a child process ends by itself": """
        import os, sys
        child = os.fork()
        if not child:
            sys.exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
}


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork here")
@pytest.mark.parametrize("what", ENDS)
def test_the_end_of_a_program_is_its_own(tmp_path: Path, what: str) -> None:
    from textwrap import dedent

    ended = []
    for name, words in (("plain", ()), ("watched", ("-m", "holdfast", "run"))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.py").write_text(dedent(ENDS[what]))
        done = subprocess.run(
            [sys.executable, *words, "train.py"], cwd=folder, capture_output=True, text=True, timeout=60
        )
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        ended.append((done.returncode, done.stdout, files, done.stderr))
    assert ended[0] == ended[1]
