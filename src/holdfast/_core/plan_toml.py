"""Plans as TOML documents: one list of one-line edits, so that a person can read and edit it."""

from __future__ import annotations

import json
import sys

from .errors import PlanError
from .plan import Edit, Plan

__all__ = ["PLAN_SCHEMA_VERSION", "dump_plan", "load_plan"]

PLAN_SCHEMA_VERSION = 1


def dump_plan(plan: Plan) -> str:
    """The TOML document of a plan; what is unsettled stands in it as comments."""
    lines = [
        "# Edits that turn source into what target expects, in this order. Take lines out or add some;",
        "# `holdfast rule T` and `holdfast rule O` name the differences that they settle.",
        f"schema_version = {PLAN_SCHEMA_VERSION}",
    ]
    if plan.source:
        lines.append(f"source = {_string(plan.source)}")
    if plan.target:
        lines.append(f"target = {_string(plan.target)}")
    lines += [f"# not settled by this plan: {_comment(text)}" for text in plan.unsettled]
    if not plan.edits:
        lines.append("edits = []")
    else:
        lines.append("edits = [")
        for edit in plan.edits:
            note = f"  # {_comment(edit.note)}" if edit.note else ""
            lines.append(f"  {_string(str(edit))},{note}")
        lines.append("]")
    return "\n".join(lines) + "\n"


def load_plan(text: str) -> Plan:
    """The plan of a TOML document; raises :class:`PlanError` naming the key or the edit that is wrong."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PlanError(f"the plan is no TOML: {error}") from None
    version = document.get("schema_version", PLAN_SCHEMA_VERSION)
    if version != PLAN_SCHEMA_VERSION:
        raise PlanError("a plan of another version", expected=PLAN_SCHEMA_VERSION, found=version)
    strange = sorted(set(document) - {"schema_version", "source", "target", "edits"})
    if strange:
        raise PlanError("the plan has a key that means nothing", found=", ".join(strange))
    edits = document.get("edits", [])
    texts = [document.get("source", ""), document.get("target", "")]
    if not isinstance(edits, list) or not all(isinstance(item, str) for item in [*edits, *texts]):
        raise PlanError("edits is a list of texts; source and target are texts")
    return Plan(tuple(Edit.parse(item) for item in edits), source=texts[0], target=texts[1])


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _string(text: str) -> str:
    """A TOML string: literal where that is possible, since edits with quotes read better so."""
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    # JSON's escapes are TOML's, but for characters beyond the BMP (surrogate pairs) and DEL.
    plain = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return plain.encode("utf-8", "replace").decode("utf-8")
