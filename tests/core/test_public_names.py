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
