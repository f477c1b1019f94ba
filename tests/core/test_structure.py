"""The rooms and what they may know of each other; that every module and public function says what it is."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast

ROOT = Path(holdfast.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Each room may import those below it. Rooms that share a line do not know each other.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("_version",),
    ("_core",),
    ("_storage", "_facts", "_render", "_trackers"),
    ("testing",),
    ("_record",),
    ("_formats",),
    ("_layouts", "_frameworks"),
    ("_compare",),
    ("_integrity",),
    ("_rules",),
    ("_examine",),
    ("_restore",),
    ("_vault",),
    ("_audit", "_diagnose", "_drill"),
    ("_guard", "_isolate"),
    ("_api", "events", "_integrations", "drill"),
    ("keras", "pytest_plugin"),
    ("_cli",),
    ("__main__", "__init__"),
)
LEVEL = {room: height for height, rooms in enumerate(LEVELS) for room in rooms}
ALLOWED: frozenset[tuple[str, str]] = frozenset()
"""(module, room) that go against the arrows, each with its reason beside it."""


def imported_rooms(file: Path, root: Path = ROOT) -> Iterator[str]:
    """The rooms that a module imports: anywhere in it, also within functions and for type checkers only."""
    package = file.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "holdfast":
                    yield (*alias.name.split("."), "__init__")[1]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif (node.module or "").partition(".")[0] == "holdfast":
                base = ()
            else:
                continue
            path = (*base, *(node.module or "").removeprefix("holdfast").strip(".").split("."))
            path = tuple(part for part in path if part)
            yield from (path[:1] if path else (alias.name for alias in node.names))


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    room = tmp_path / "_core"
    room.mkdir()
    (room / "x.py").write_text(
        "from .._cli import run\nfrom .spec import Role\nimport holdfast._rules.files\nimport numpy\n"
        "from holdfast._storage import Source\n\n"
        "def f():\n    if True:\n        from .. import _api\n        from ..testing.catalogs import NumpyCatalog\n"
    )
    rooms = set(imported_rooms(room / "x.py", tmp_path))
    assert rooms == {"_cli", "_core", "_rules", "_storage", "_api", "testing"}


def test_every_room_has_its_place() -> None:
    assert {file.relative_to(ROOT).parts[0].removesuffix(".py") for file in FILES} == set(LEVEL)


def test_arrows_point_only_downward() -> None:
    """No room imports one that stands above or beside it, be it lazily or for types only."""
    wrong, used = [], set()
    for file in FILES:
        module = file.relative_to(ROOT).as_posix()
        room = module.partition("/")[0].removesuffix(".py")
        for other in imported_rooms(file):
            if other == room or LEVEL[other] < LEVEL[room]:
                continue
            if (module, other) in ALLOWED:
                used.add((module, other))
            else:
                wrong.append(f"{module} imports {other}")
    assert wrong == []
    assert used == ALLOWED, "exceptions that nobody needs any more"


def test_renderers_know_core_only_and_doubles_what_they_double() -> None:
    for room, more in (("_render", set()), ("testing", {"_storage"})):
        known = {other for file in (ROOT / room).rglob("*.py") for other in imported_rooms(file)}
        assert known <= {room, "_core", "_version"} | more


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(f.relative_to(ROOT)) for f in FILES if not ast.get_docstring(ast.parse(f.read_text("utf-8")))
    ]
    assert silent == []


def test_every_function_and_class_that_others_use_says_what_it_does() -> None:
    """All without a leading underscore at the top of a module; a row of a table of opcodes is named by its
    decorator."""
    silent = []
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not node.name.startswith("op_"):
                silent.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert silent == []


PUBLIC = [getattr(holdfast, name) for name in holdfast.__all__ if name != "__version__"]


def _reachable() -> list[type]:
    """The public classes, and those that public functions hand out."""
    from holdfast._compare.delta import Delta
    from holdfast._core.difference import Difference
    from holdfast._core.plan import Edit, Plan

    return [*(thing for thing in PUBLIC if isinstance(thing, type)), Delta, Difference, Edit, Plan]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_names_are_documented(thing: object) -> None:
    text = inspect.getdoc(thing) or ""
    assert len(text) > 20
    if inspect.isfunction(thing):
        given = [p for p in inspect.signature(thing).parameters.values() if p.kind is not p.VAR_KEYWORD]
        untold = [p.name for p in given if f"``{p.name}``" not in text and p.name not in text.split()]
        assert untold == [], "parameters that the docstring does not speak of"
        assert "Raises" in text


@pytest.mark.parametrize("kind", _reachable(), ids=lambda kind: kind.__name__)
def test_public_methods_are_documented(kind: type) -> None:
    """Own and inherited ones; a dataclass's generated docstring (its signature) counts as none."""
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
    silent = [
        name
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_")
        and (inspect.isfunction(member) or inspect.ismethod(member) or isinstance(member, property))
        and not inspect.getdoc(member)
    ]
    assert silent == []
