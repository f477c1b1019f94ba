"""The pages of ``docs/`` that are made from the program itself are those of this version."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import holdfast
from holdfast._cli.group import COMMANDS, main

DOCS = Path(__file__).resolve().parents[2] / "docs"
ZOO = Path(__file__).resolve().parents[1] / "zoo"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_commands", DOCS / "generate_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(DOCS.parent / "src"))
    return module


@pytest.mark.parametrize("page", ["commands.md", "rules.md", "python.md"])
def test_the_page_is_current(generator: ModuleType, page: str) -> None:
    made = generator.comparable(generator.PAGES[page]())
    there = generator.comparable((DOCS / page).read_text(encoding="utf-8"))
    assert there == made, (
        f"run `python docs/generate_commands.py`: docs/{page} is not what this version prints"
    )


def test_every_public_name_is_on_a_page_with_what_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "python.md").read_text(encoding="utf-8"), re.M)
    assert {name for name, _ in rows} == {name for name in holdfast.__all__ if name != "__version__"}
    assert not [name for name, what in rows if len(what.split()) < 2]


def test_every_command_has_a_section_with_an_output() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        section = text.split(f"\n## {command}\n")[1].split("\n## ")[0]
        assert f"$ holdfast {command} " in section, command
        assert "--help" in section, command


def _documented() -> list[set[str]]:
    """The fields of each table under "JSON documents", in its order: inspect, report, checkpoint, finding, seal, ..."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8").split("\n## JSON documents\n")[1]
    tables = text.split("| field | meaning |\n|---|---|\n")[1:]
    return [set(re.findall(r"^\| `(\w+)` \|", table.split("\n\n")[0], re.M)) for table in tables]


def _document(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*arguments, "--format", "json"])
    return dict(json.loads(result.stdout))


def test_every_field_of_every_document_is_described(tmp_path: Path) -> None:
    inspected, report, checkpoint, finding, sealed, diff, rule = _documented()
    pt, st = str(ZOO / "torch_train" / "ckpt.pt"), str(ZOO / "safetensors" / "m.safetensors")
    assert set(_document("inspect", pt)) == inspected
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(st).read_bytes()[:-60])
    found = _document("doctor", str(cut))
    assert set(found) == report == set(_document("verify", st))
    assert set(found["checkpoints"][0]) == checkpoint
    assert set(found["checkpoints"][0]["findings"][0]) == finding
    assert set(_document("seal", st, "--seal-file", str(tmp_path / "s.json"))) == sealed
    assert set(_document("diff", pt, st)) == diff
    assert set(_document("rule", "F")) == rule


def test_every_format_is_on_its_page() -> None:
    from holdfast._formats.registry import formats
    from holdfast._layouts.folders import DCP, DEEPSPEED, MEGATRON, ORBAX, UNPACKED

    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    names = [f.name for f in (*formats(), DCP, DEEPSPEED, MEGATRON, ORBAX, UNPACKED)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))  # what is printed holds no links
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
