"""The public surface: `__all__` equals what is importable, and first use in any order works."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

import holdfast


def test_all_is_what_is_importable() -> None:
    assert sorted(set(holdfast.__all__)) == sorted(holdfast.__all__)
    assert set(dir(holdfast)) == set(holdfast.__all__)
    for name in holdfast.__all__:
        assert getattr(holdfast, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        holdfast.nonsense  # noqa: B018


@pytest.mark.parametrize("seed", range(3))
def test_each_name_twice_in_random_order_in_a_fresh_process(seed: int) -> None:
    names = [n for n in holdfast.__all__ if n != "__version__"] * 2
    random.Random(seed).shuffle(names)
    code = "import holdfast\nfirst = {}\n" + "\n".join(
        f"assert first.setdefault({n!r}, holdfast.{n}) is holdfast.{n}" for n in names
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, holdfast; print([m for m in ('numpy','h5py','click','rich','msgspec','torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_reading_never_imports_a_framework(tmp_path: object) -> None:
    code = """
import sys, numpy as np, holdfast, pathlib
p = pathlib.Path(sys.argv[1]) / "a.npz"
np.savez(p, w=np.ones(3))
holdfast.examine(p); holdfast.verify(p)
print([m for m in ("torch", "tensorflow", "keras", "jax") if m in sys.modules])
"""
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "[]"


def test_arrows_point_only_downward() -> None:
    """No room imports one that stands above it (DESIGN: core <- storage <- formats, layouts <- ... <- cli)."""
    import re
    from pathlib import Path

    order = [
        ("_core",),
        ("_storage",),
        ("_facts",),
        ("_formats", "_layouts"),
        ("_compare",),
        ("_integrity", "_record"),
        ("_rules",),
        ("_examine",),
        ("_api",),
        ("_cli",),
    ]
    level = {room: height for height, rooms in enumerate(order) for room in rooms}
    root = Path(holdfast.__file__).parent
    wrong = []
    for file in root.rglob("*.py"):
        room = file.relative_to(root).parts[0].removesuffix(".py")
        if room not in level:
            continue
        top_level = re.findall(r"^from \.+(_\w+)", file.read_text(encoding="utf-8"), re.M)
        wrong += [
            f"{file.relative_to(root)} imports {other}"
            for other in top_level
            if level.get(other, 0) > level[room]
        ]
    assert wrong == []
