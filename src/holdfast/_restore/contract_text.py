"""A data contract in words."""

from __future__ import annotations

from .._core.words import plural
from .._record.data.contract import FieldContract, Learned
from .._record.data.mistakes import scaled

__all__ = ["contract_text"]

_MOST_COLUMNS = 12
_MOST_VALUES = 8


def contract_text(contract: Learned, fingerprint: str | None) -> str:
    """A few lines for each field."""
    samples = max((f.samples for f in contract.fields.values()), default=0)
    end = "" if contract.complete else ", and there were more"
    lines = [
        f"data contract: {plural(samples, 'sample')} in {plural(contract.batches, 'batch', 'batches')}{end}; "
        f"{plural(len(contract.fields), 'field')}"
    ]
    for entry in contract.fields.values():
        lines += _field(entry)
    if contract.labels:
        names = sorted(contract.labels, key=lambda n: contract.labels[n])  # type: ignore[index]
        shown = ", ".join(f"{contract.labels[n]} {n}" for n in names[:_MOST_VALUES])
        lines.append(
            f"  label map: {shown}{' ...' if len(names) > _MOST_VALUES else ''} ({plural(len(names), 'class', 'classes')})"
        )
    if contract.transform is not None:
        steps = contract.transform.get("transforms.steps") or contract.transform.get("steps")
        name = str(contract.transform.get("class", "a function")).rpartition(".")[2]
        inside = f" of {', '.join(str(s).rpartition('.')[2] for s in steps)}" if steps else ""
        lines.append(f"  preprocessing: {name}{inside}, fingerprint {fingerprint}")
    return "\n".join(lines)


def _field(entry: FieldContract) -> list[str]:
    shape = f" {['?' if n is None else n for n in entry.shape]}".replace("'", "") if entry.shape else ""
    kind = {
        "columns": "columns of a table" if entry.shape else "numbers",
        "dense": {None: "numbers", 0: "channels first"}.get(entry.form.channels, "channels last"),
        "labels": "labels or categories",
        "tokens": "tokens",
        "text": "texts",
    }[entry.form.kind]
    parts = [f"  {entry.name}: {entry.dtype}{shape}, {kind}"]
    if entry.lowest <= entry.highest:
        parts.append(f"from {entry.lowest:.4g} to {entry.highest:.4g}")
    normal = scaled(entry)
    if normal is not None:
        parts.append(f"normalised ({normal})")
    if entry.missing:
        parts.append(f"{entry.missing:.1%} missing")
    if entry.optional:
        parts.append("not in every batch")
    lines = [", ".join(parts)]
    if entry.form.kind != "labels":
        rows = list(entry.numbers().items())
        for name, row in rows[:_MOST_COLUMNS]:
            if row["mean"] is not None:
                cuts = " ".join(f"{cut:.4g}" for cut in row["quantiles"].values())
                front = f"{name}: " if name else ""
                lines.append(
                    f"    {front}mean {row['mean']:.4g}, std {row['std']:.4g}; quantiles 1 5 25 50 75 95 99 %: {cuts}"
                )
        if len(rows) > _MOST_COLUMNS:
            lines.append(f"    and {len(rows) - _MOST_COLUMNS} more columns")
    if entry.categories:
        total = max(1, sum(entry.categories.values()))
        often = sorted(entry.categories.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{value or '(empty)'} {n / total:.0%}" for value, n in often[:_MOST_VALUES])
        more = " ..." if len(often) > _MOST_VALUES else ""
        lines.append(f"    {plural(len(often), 'value')}: {shown}{more}; vocabulary {entry.vocabulary}")
    elif entry.form.kind in ("labels", "tokens", "text"):
        lines.append("    too many values to keep: unknown ones are not told")
    if entry.together > 0:
        lines.append(
            f"    the samples of a batch are alike (correlation {entry.together:.2f}): "
            "learn of shuffled data to see smaller shifts"
        )
    return lines
