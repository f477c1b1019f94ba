from __future__ import annotations

import shutil
import subprocess

import pytest

from holdfast._core.shell import quote

NAMES = [
    "a.pt",
    "a b.pt",
    "it's.pt",
    'q"uote.pt',
    "new\nline.pt",
    "tab\t\\x.pt",
    "ünïcødé 模型.pt",
    "$HOME",
    "`x`",
    "\udcff.pt",
    "\u202eevil",
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_word_back(name: str) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {quote(name)}"], capture_output=True, check=True)
    assert done.stdout == name.encode("utf-8", "surrogateescape")


def test_a_word_is_one_visible_line_and_no_option() -> None:
    assert all(quote(name).isprintable() for name in NAMES)
    assert quote("-v.pt") == "./-v.pt"
    assert quote("a.pt") == "a.pt"
