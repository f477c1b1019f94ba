"""``holdfast.guard()``: the same in a process of one's own, and in a notebook."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import holdfast

torch = pytest.importorskip("torch")


def test_a_guard_sees_and_is_taken_off_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (torch.save, torch.load, torch.nn.Module.load_state_dict, torch.optim.Optimizer.load_state_dict)
    with holdfast.guard() as watched:
        torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "a.pt")
        torch.nn.Linear(2, 3, bias=False).load_state_dict(torch.load(tmp_path / "a.pt"), strict=False)
    assert before == (
        torch.save, torch.load, torch.nn.Module.load_state_dict, torch.optim.Optimizer.load_state_dict,
    )  # fmt: skip
    report = watched.report
    assert [seen.kind for seen in report.calls] == ["save", "read", "assign"]
    assert not [f for f in report.findings if f.severity in ("error", "warning")]
    said = capsys.readouterr()
    assert (said.out == "" and "restored the one tensor" in said.err) or "restored all 1" in said.err
    torch.save({}, tmp_path / "b.pt")
    assert len(watched.report.calls) == 3


def test_quiet_and_a_teller_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with holdfast.guard(tell=lambda seen: told.append(seen.api)):
        torch.save({}, tmp_path / "a.pt")
    with holdfast.guard(quiet=True):
        torch.save({}, tmp_path / "b.pt")
    assert told == ["torch.save"]
    assert capsys.readouterr().err == ""


def test_the_report_in_a_notebook_escapes_what_it_shows(tmp_path: Path) -> None:
    with holdfast.guard(quiet=True) as watched:
        torch.save({}, tmp_path / "<script>alert(1)</script>.pt".replace("/", "_"))
    html = watched._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert holdfast.guard(quiet=True).close()._repr_html_().startswith("<p>")


def test_load_ext_guards_a_notebook_and_explains_its_errors(tmp_path: Path) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell.instance()
    try:
        assert shell.run_cell("%load_ext holdfast").success
        code = (
            f"import torch\ntorch.save(torch.nn.Linear(2, 3).state_dict(), {str(tmp_path / 'a.pt')!r})\n"
            f"torch.nn.Linear(2, 4).load_state_dict(torch.load({str(tmp_path / 'a.pt')!r}))"
        )
        done = shell.run_cell(code)
        assert isinstance(done.error_in_exec, RuntimeError)
        assert any("shape-mismatch (proved)" in note for note in done.error_in_exec.__notes__)
        shown = shell.run_cell("holdfast_guard").result
        assert shown.report.calls[-1].error and "In [" in shown.report.calls[-1].site
        assert "<table>" in shown._repr_html_()
        assert shell.run_cell("%unload_ext holdfast").success
    finally:
        shells.InteractiveShell.clear_instance()
    assert not hasattr(torch.load, "__wrapped__")
    assert "holdfast" in sys.modules
