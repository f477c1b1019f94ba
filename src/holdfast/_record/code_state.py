"""The code that was running: git commit, branch, and the uncommitted difference itself.

A commit alone does not tell what ran: most research code runs uncommitted. The difference is kept up to a size, without
secrets; of untracked files the names alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .secrets import without_secrets

__all__ = ["LARGEST_DIFF", "code_state", "main_folder"]

LARGEST_DIFF = 256 << 10
"""Bytes of the difference that are kept."""
_PATIENCE = 10.0
"""Seconds for each call of git; a repository on a slow share must not hold a save up."""
_MOST_NAMES = 200


def main_folder() -> Path:
    """The folder of the program that runs: that of ``__main__``'s file, else the working folder."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def code_state(folder: str | os.PathLike[str] | None = None) -> dict[str, Any] | None:
    """What git says of ``folder`` (:func:`main_folder`): ``commit``, ``branch``, ``root``, ``dirty``, ``diff`` (text against
    the commit, cut after :data:`LARGEST_DIFF` bytes, then ``diff_cut`` holds its whole size), ``untracked`` (names).

    ``None`` where there is no repository or no git. A call that fails or takes too long leaves its entry out, and
    ``incomplete`` says why.
    """
    where = Path(folder) if folder is not None else main_folder()
    git = shutil.which("git")
    if git is None:
        return None
    found: dict[str, Any] = {}
    missing: list[str] = []

    def ask(*arguments: str) -> bytes | None:
        command = [git, "--no-optional-locks", "-C", os.fspath(where), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            missing.append(f"git {arguments[0]}: {type(error).__name__}")
            return None
        return done.stdout if done.returncode == 0 else None

    root = ask("rev-parse", "--show-toplevel")
    if root is None:
        return {"incomplete": missing} if missing else None
    found["root"] = _text(root)
    for name, arguments in (
        ("commit", ("rev-parse", "--verify", "-q", "HEAD")),
        ("branch", ("symbolic-ref", "-q", "--short", "HEAD")),
    ):
        if (answer := ask(*arguments)) is not None:
            found[name] = _text(answer)
    against = ("HEAD",) if "commit" in found else ("--cached",)
    diff = ask("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short", *against)
    if diff is not None:
        found["dirty"] = bool(diff)
        if diff:
            found["diff"] = without_secrets(diff[:LARGEST_DIFF].decode("utf-8", "replace"))
        if len(diff) > LARGEST_DIFF:
            found["diff_cut"] = len(diff)
    untracked = ask("ls-files", "--others", "--exclude-standard", "-z", "--directory")
    if untracked is not None:
        names = [name.decode("utf-8", "replace") for name in untracked.split(b"\0") if name]
        if names:
            found["untracked"] = names[:_MOST_NAMES]
        if len(names) > _MOST_NAMES:
            found["untracked_count"] = len(names)
    if missing:
        found["incomplete"] = missing
    return found


def _text(answer: bytes) -> str:
    return answer.decode("utf-8", "replace").strip()
