"""``[tool.holdfast]`` of the nearest pyproject.toml: the same words as on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .._core.errors import UsageError

__all__ = ["configuration", "nearest"]

_CHOICES = {
    "fail-on": ("error", "warning", "note", "never"),
    "format": ("text", "json", "sarif", "github"),
    "depth": ("header", "structure", "full"),
}
_LISTS = ("select", "ignore")


def nearest(folder: Path) -> Path | None:
    """The pyproject.toml in ``folder`` or the closest folder above it."""
    return next((p for f in (folder, *folder.parents) if (p := f / "pyproject.toml").is_file()), None)


def configuration(folder: Path | None = None) -> dict[str, Any]:
    """The table's values, empty where there is none.

    Raises :class:`UsageError` on an unknown key, a value of the wrong kind, or a file that is no TOML.
    """
    path = nearest(folder or Path.cwd())
    if path is None:
        return {}
    text = path.read_bytes().decode("utf-8", "replace")
    if "holdfast" not in text:  # parsing costs more than most runs need
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError("pyproject.toml cannot be read", file=str(path), found=str(error)) from error
    tool = document.get("tool")
    table = tool.get("holdfast", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UsageError("[tool.holdfast] is no table", file=str(path))
    return {key: _checked(key, value, path) for key, value in table.items()}


def _checked(key: str, value: Any, path: Path) -> Any:
    where: dict[str, Any] = {"file": str(path), "remedy": "See [tool.holdfast] in that file."}
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise UsageError(
                f"[tool.holdfast] {key} has no such value",
                expected=" or ".join(_CHOICES[key]),
                found=repr(value),
                **where,
            )
        return value
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(
                f"[tool.holdfast] {key} takes a list of codes",
                expected='["F102", "N"]',
                found=repr(value),
                **where,
            )
        return tuple(value)
    raise UsageError(
        f"[tool.holdfast] has an unknown key {key!r}",
        expected=", ".join([*_CHOICES, *_LISTS]),
        found=repr(key),
        **where,
    )
