"""Takes secrets out of text that is to be kept: values of tell-tale names, and tokens of known form.

The forms are those that their issuers document: AWS access key ids (``AKIA``/``ASIA`` and 16 characters), GitHub
(``ghp_``, ``gho_``, ``ghu_``, ``ghs_``, ``ghr_``, ``github_pat_``), GitLab (``glpat-``), Hugging Face (``hf_``), OpenAI and
others (``sk-``), Slack (``xoxb-`` ...), Google API keys (``AIza``), JSON web tokens (``eyJ`` twice), and PEM private keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["FILTERED", "without_secrets", "without_secret_arguments", "without_secret_values"]

FILTERED = "<filtered>"
"""What stands in the place of a secret."""

_WORDS = (
    r"password|passwd|passphrase|secret|credential|bearer|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?token"
    r"|access[_-]?token"
)
_NAME = rf"[\w.-]*(?:{_WORDS})[\w.-]*"
_TOKENS = re.compile(
    r"\b(?:A(?:KIA|SIA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}"
    r"|hf_[A-Za-z0-9]{20,}"
    r"|sk-[A-Za-z0-9_-]{20,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[0-9A-Za-z_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"
)
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_ASSIGNED = re.compile(
    rf"""(?P<name>["']?\b{_NAME}["']?)(?P<between>\s*[:=]\s*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;#)}}\]]+)""",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_OPTION = re.compile(rf"--?(?:{_NAME}|token)", re.IGNORECASE)
# Code that only mentions a name (`password = os.environ["X"]`, `api_key: str`) holds no secret.
_HARMLESS = re.compile(
    r"^(?:None|null|true|false|str|bytes|int|\d+|[A-Za-z_][\w.]*[(\[].*|os\.\w+.*|self\.\w+|args\.\w+|\$\{?\w+\}?.*|<.*>)$",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """``text`` with everything that looks like a secret replaced by :data:`FILTERED`."""
    text = _KEY_BLOCK.sub(FILTERED, text)
    text = _IN_URL.sub(rf"\g<scheme>{FILTERED}@", text)
    text = _ASSIGNED.sub(_assigned, text)
    return _TOKENS.sub(FILTERED, text)


def _assigned(found: re.Match[str]) -> str:
    value = found["value"]
    quoted = value[0] in "\"'"
    bare = value[1:-1] if quoted else value
    if not bare or (not quoted and _HARMLESS.match(value)) or bare == FILTERED:
        return found[0]
    return (
        f"{found['name']}{found['between']}{value[0] if quoted else ''}{FILTERED}{value[0] if quoted else ''}"
    )


def without_secret_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line with secret values replaced, also where the value is an argument of its own
    (``--api-key VALUE``)."""
    found: list[str] = []
    hide = False
    for argument in arguments:
        if hide and not argument.startswith("-"):
            found.append(FILTERED)
        elif "=" in argument and _OPTION.fullmatch(argument.partition("=")[0]):
            found.append(f"{argument.partition('=')[0]}={FILTERED}")
        else:
            found.append(without_secrets(argument))
        hide = _OPTION.fullmatch(argument) is not None
    return found


def without_secret_values(value: Any, name: str = "") -> Any:
    """A nest of plain values with secret texts replaced: those under tell-tale names, and tokens of known form."""
    if isinstance(value, Mapping):
        return {key: without_secret_values(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secret_values(item, name) for item in value]
    if isinstance(value, str) and value:
        return FILTERED if _OPTION.fullmatch(f"--{name}") else without_secrets(value)
    return value
