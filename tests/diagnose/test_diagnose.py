"""`holdfast.diagnose` on errors that real PyTorch raises here, and on texts that are nobody's checkpoint failure."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import holdfast
from holdfast._diagnose.logs import BLOCK, excerpt
from holdfast._diagnose.reading import read_text

torch = pytest.importorskip("torch")

from diagnose.elsewhere import KERAS, PLAIN  # noqa: E402 - needs PyTorch


def net(width: int = 8) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Linear(width, 3))


def raised(do: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as told:
        do()
    return told.value


def test_a_wrapper_prefix_is_proved_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ddp.pt"
    torch.save({f"module.{k}": v for k, v in net().state_dict().items()}, path)
    error = raised(lambda: net().load_state_dict(torch.load(path)))
    by_text = holdfast.diagnose(error)
    assert by_text.causes[0].label == "renamed"
    assert by_text.causes[0].status == "likely"
    proved = holdfast.diagnose(error, checkpoint=path)
    assert (proved.causes[0].label, proved.causes[0].status) == ("renamed", "proved")
    assert "module." in proved.causes[0].found


def test_a_file_that_was_cut_off_here_is_no_download(tmp_path: Path) -> None:
    """PyTorch ends its message with "your checkpoint file is corrupted", which says nothing of a cache or a download."""
    path = tmp_path / "last.pt"
    torch.save(net(64).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-700])
    error = raised(lambda: torch.load(path))
    newer = (
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory. This is an "
        "internal miniz error. If you are seeing this error, there is a high likelihood that your checkpoint file is "
        "corrupted. This can happen if the checkpoint was not saved properly, was transferred incorrectly, or the file was "
        "modified after saving."
    )
    for found in (
        holdfast.diagnose(error, checkpoint=path),
        holdfast.diagnose(error),
        holdfast.diagnose(newer),
    ):
        first = found.causes[0]
        assert first.label == "corrupt" and "the archive has no end" in first.why
        assert "cache" not in first.remedy and "use the checkpoint before it" in first.remedy
    told = holdfast.diagnose(
        "OSError: Consistency check failed: the checkpoint file is corrupted, download it again"
    )
    assert "downloaded" in told.causes[0].why


def test_another_size_in_a_training_checkpoint_is_no_other_name(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": net(16).state_dict(), "epoch": 3}, path)
    error = raised(lambda: net().load_state_dict(torch.load(path)["state_dict"]))
    found = holdfast.diagnose(error, checkpoint=path)
    assert (found.causes[0].label, found.causes[0].status) == ("shape-mismatch", "proved")
    assert "[16, 4]" in found.causes[0].found
    assert "renamed" not in {c.label for c in found.causes if c.status == "proved"}


def test_an_entry_of_the_saved_dictionary_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": net().state_dict(), "epoch": 3}, path)
    error = raised(lambda: net().load_state_dict({k: v for k, v in torch.load(path).items() if k == "none"}))
    proved = holdfast.diagnose(error, checkpoint=path).causes[0]
    assert (proved.label, proved.status) == ("renamed", "proved")
    assert 'checkpoint["state_dict"]' in proved.remedy and "Strip" not in proved.remedy


def test_a_truly_missing_layer_is_proved_and_renaming_refuted(tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 8)).state_dict(), path)
    found = holdfast.diagnose(raised(lambda: net().load_state_dict(torch.load(path))), checkpoint=path)
    assert (found.causes[0].label, found.causes[0].status) == ("missing-tensor", "proved")
    assert {c.label: c.status for c in found.causes}["renamed"] == "refuted"


def test_a_truncated_file_is_proved_and_a_whole_one_is_not_blamed(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save(net().state_dict(), whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    error = raised(lambda: torch.load(cut))
    found = holdfast.diagnose(error, checkpoint=cut)
    assert (found.causes[0].label, found.causes[0].status) == ("corrupt", "proved")
    refuted = holdfast.diagnose(error, checkpoint=whole)
    assert {c.label: c.status for c in refuted.causes}["corrupt"] == "refuted"


def test_an_lfs_pointer_is_named_although_the_message_blames_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 1234\n")
    error = raised(lambda: torch.load(path))
    assert "weights_only" in str(error)
    found = holdfast.diagnose(error)
    assert found.causes[0].label == "corrupt"
    assert "Git-LFS" in found.causes[0].why
    assert holdfast.diagnose(error, checkpoint=path).causes[0].status == "proved"


def test_a_path_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "model-100.pt")
    error = raised(lambda: torch.load(tmp_path / "model-1000.pt"))
    found = holdfast.diagnose(error, checkpoint=tmp_path / "model-1000.pt")
    assert (found.causes[0].label, found.causes[0].status) == ("not-found", "proved")
    assert "model-100.pt" in found.causes[0].found


def test_a_folder_where_a_file_is_wanted_says_which_files_are_in_it(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "model-100.pt")
    error = raised(lambda: torch.load(tmp_path))
    found = holdfast.diagnose(error, checkpoint=tmp_path)
    assert (found.causes[0].label, found.causes[0].status) == ("not-found", "proved")
    assert "in it is model-100.pt" in found.causes[0].found


def test_shapes_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "wide.pt"
    torch.save(net(16).state_dict(), path)
    found = holdfast.diagnose(raised(lambda: net().load_state_dict(torch.load(path))), checkpoint=path)
    assert (found.causes[0].label, found.causes[0].status) == ("shape-mismatch", "proved")
    one, two = torch.optim.Adam(net().parameters()), torch.optim.Adam(list(net().parameters())[:2])
    error = raised(lambda: two.load_state_dict(one.state_dict()))
    assert holdfast.diagnose(error).causes[0].label == "optimizer-structure"


def _is_told_so(what: str, do: Callable[[], object]) -> None:
    error = raised(do)
    assert not holdfast.diagnose(error).is_checkpoint_failure, what
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert not holdfast.diagnose(text).is_checkpoint_failure, what


@pytest.mark.parametrize(("what", "do"), PLAIN, ids=[what for what, _ in PLAIN])
def test_what_is_no_checkpoint_failure_is_told_so(what: str, do: Callable[[], object]) -> None:
    _is_told_so(what, do)


def test_errors_of_keras_that_are_no_checkpoint_failures() -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    for what, do in KERAS():
        _is_told_so(what, do)


def test_an_unknown_error_while_loading_says_so_and_invents_nothing() -> None:
    frame = '  File "a.py", line 3, in load_checkpoint\n    frobnicate(x)\n'
    text = f"Traceback (most recent call last):\n{frame}QuuxError: the flux is inverted\n"
    found = holdfast.diagnose(text)
    assert found.is_checkpoint_failure
    assert found.causes == ()
    assert "not known" in found.note


def test_lines_about_keys_are_no_word_on_a_missing_checkpoint() -> None:
    line = "W tensorflow/core/framework/op_kernel.cc:993] Not found: Key net/conv{}/biases not found in checkpoint"
    found = holdfast.diagnose("\n".join(map(line.format, (1, 2, 3))), files=False)
    assert found.causes[0].label == "missing-tensor", found.causes
    absent = holdfast.diagnose("the checkpoint at /runs/a/model.ckpt-5 was not found", files=False)
    assert absent.causes[0].label == "not-found"


def test_ranks_colours_and_chains_are_read() -> None:
    text = textwrap.dedent(
        """\
        \x1b[31m[rank1]: Traceback (most recent call last):\x1b[0m
        [rank0]: Traceback (most recent call last):
        [rank1]:   File "/a/train.py", line 3, in main
        [rank0]:   File "/a/train.py", line 3, in main
        [rank1]:     model.load_state_dict(sd)
        [rank0]:     model.load_state_dict(sd)
        [rank1]: RuntimeError: one
        [rank1]: two lines
        [rank0]: ValueError: zero

        The above exception was the direct cause of the following exception:

        [rank0]: pkg.mod.OuterError: outer
        """
    )
    reading = read_text(text)
    assert [(one.type, one.rank) for one in reading.raised] == [
        ("RuntimeError", 1), ("ValueError", 0), ("pkg.mod.OuterError", 0),
    ]  # fmt: skip
    assert reading.raised[0].message == "one\ntwo lines"
    assert reading.raised[0].frames[0].code == "model.load_state_dict(sd)"
    assert "load_state_dict" in reading.calls


def test_a_long_log_is_read_in_bounded_memory() -> None:
    noise = b"step 1 loss 0.5 and more of the same words in every line of the log\n" * 200_000
    error = b'Traceback (most recent call last):\n  File "t.py", line 1, in load\nEOFError: Ran out of input torch.load\n'
    text, left_out = excerpt(io.BytesIO(noise + error + noise + b"the end\n"))
    assert len(text) < 1 << 20
    assert "Ran out of input" in text
    assert text.rstrip().endswith("the end")
    assert left_out.startswith("Of 27.2 MB ")
    assert holdfast.diagnose(text).causes[0].label == "corrupt"


@pytest.mark.parametrize("before", range(-40, 41, 5))
def test_a_failure_across_two_blocks_of_a_log_is_found(before: int) -> None:
    filler = b"x" * 79 + b"\n"
    size = 3 * BLOCK + before
    error = b'Traceback (most recent call last):\n  File "t.py", line 1, in load\nEOFError: Ran out of input torch.load\n'
    lead = (filler * (size // 80 + 1))[: size - 1] + b"\n"
    text = excerpt(io.BytesIO(lead + error + filler * 100_000)).text
    assert "Ran out of input" in text


def test_a_log_without_a_traceback_is_read_again_for_errors() -> None:
    noise = b"epoch 1 loss 0.5 and words\n" * 100_000
    text = excerpt(io.BytesIO(noise + b"RuntimeError: unexpected EOF, expected 8 more bytes\n" + noise)).text
    assert "unexpected EOF" in text


def test_explaining_notes_the_diagnosis_and_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cut.pt"
    torch.save(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(RuntimeError) as told, holdfast.explaining(checkpoint=path):
        torch.load(path)
    notes = told.value.__notes__  # type: ignore[attr-defined]
    assert any(note.startswith("holdfast: corrupt (proved)") for note in notes)
    with pytest.raises(ZeroDivisionError) as other, holdfast.explaining():
        print(1 / 0)
    assert not getattr(other.value, "__notes__", [])


def test_the_hook_prints_the_cause_and_keeps_the_exit_code(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(
        "from holdfast._diagnose.explaining import install_hook\nimport torch\ninstall_hook()\n"
        f"open({str(tmp_path / 'm.pt')!r}, 'wb').write(b'<!DOCTYPE html><html></html>')\ntorch.load({str(tmp_path / 'm.pt')!r})\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holdfast: corrupt" in done.stderr
    assert "web page" in done.stderr


def test_a_refusal_is_no_word_on_a_file_system() -> None:
    text = "in restore\nRefused: nothing was restored; a restore of the checkpoint refuses until 2 errors are settled"
    assert "storage" not in [cause.label for cause in holdfast.diagnose(text).causes]
    mounted = "saving the checkpoint\nOSError: the fuse mount of the bucket: operation not supported"
    assert "storage" in [cause.label for cause in holdfast.diagnose(mounted).causes]


def test_an_error_of_this_package_says_itself_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(net().state_dict(), path)
    with pytest.raises(holdfast.RestoreRefused) as told, holdfast.explaining():
        holdfast.restore(path, model=net(9))
    assert not hasattr(told.value, "__notes__")
