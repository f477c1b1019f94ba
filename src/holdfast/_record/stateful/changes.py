"""How two states of one thing differ, in the words of who fitted it: ``mean_[3] was 0.13, and is 0.51``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from blake3 import blake3

from .nest import Captured

__all__ = ["Change", "changes", "digest_of"]

_TOLERANCE = 1e-6
"""Relative to the largest of an array: refitting on the same data may round otherwise on another machine."""
_COUNTS = frozenset({"n_samples_seen_", "n_iter_", "count", "n_features_", "lr"})
"""Counted while fitting; what is computed later does not depend on them."""
_ASIDE = ("params", "fitted", "names", "layers", "variables", "settings", "state", "vocabulary", "$fields")
_KERAS_NAMES = frozenset({"names", "name", "build", "summary"})
"""Counted up in each process, or of no effect on what a layer computes."""
_OF_THE_PLACE = frozenset(
    {"is_local", "local_files_only", "name_or_path", "tokenizer_file", "transformers_version"}
)
"""What a tokenizer's configuration says of where it was read from."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One piece that differs. ``what``: ``constants`` or ``vocabulary``. ``far``: of constants, the largest difference relative
    to the largest value. ``gone``: it is not there any more, as in an object that was not fitted."""

    path: str
    text: str
    what: Literal["constants", "vocabulary"]
    then: Any = None
    now: Any = None
    far: float | None = None
    gone: bool = False


def digest_of(captured: Captured) -> str:
    """A fingerprint of a state: of its values, in whatever order they were taken."""
    arrays = {
        name: f"{a.dtype.str}{list(a.shape)}{blake3(np.ascontiguousarray(a).tobytes()).hexdigest()}"
        for name, a in captured.arrays.items()
    }
    files = {name: blake3(data).hexdigest() for name, data in captured.files.items()}
    document = {"kind": captured.kind, "about": captured.about, "arrays": arrays, "files": files}
    return blake3(json.dumps(document, sort_keys=True).encode()).hexdigest()


def changes(then: Captured, now: Captured) -> list[Change]:
    """What differs between two states of one kind; empty where they compute the same, up to rounding."""
    if then.kind != now.kind:
        return [Change("", f"was a {then.of}, and is a {now.of}", "constants", then.of, now.of)]
    return list(_walk(then.about, now.about, then, now, ""))


def _walk(a: Any, b: Any, then: Captured, now: Captured, path: str) -> Iterator[Change]:
    if isinstance(a, dict) and isinstance(b, dict) and "$part" in a and "$part" in b:
        yield from _walk(a["$part"]["about"], b["$part"]["about"], then, now, path)
        return
    if _plain_dict(a) and _plain_dict(b):
        if _is_vocabulary(a) and _is_vocabulary(b):
            yield from _ids(a, b, then, now, path)
            return
        for key in {**a, **b}:
            where = path if key in _ASIDE else f"{path}.{key}" if path else str(key)
            if key in _COUNTS or (then.kind.startswith("keras-") and key in _KERAS_NAMES):
                continue
            if key == "variables" and "names" in a and key in b and len(a[key]) == len(b[key]):
                words = _words(a["names"])
                for word, one, two in zip(words, a[key], b[key], strict=True):
                    yield from _walk(one, two, then, now, word)
            elif key == "vocabulary" and key in a and key in b:
                yield from _terms(
                    [str(word) for word in _row(a[key]) or ()],
                    [str(word) for word in _row(b[key]) or ()],
                    where,
                )
            elif key not in a or key not in b:
                gone = key not in b
                yield Change(where, "is no longer there" if gone else "was not there", "constants", gone=gone)
            else:
                yield from _walk(a[key], b[key], then, now, where)
        return
    rows = _row(a), _row(b)
    if rows[0] is not None and rows[1] is not None:
        if _are_terms(a, rows[0]) and _are_terms(b, rows[1]):
            yield from _terms([str(item) for item in rows[0]], [str(item) for item in rows[1]], path)
        elif len(rows[0]) == len(rows[1]):
            for n, (one, two) in enumerate(zip(rows[0], rows[1], strict=True)):
                yield from _walk(one, two, then, now, f"{path}[{n}]" if len(rows[0]) > 1 else path)
        else:
            text = f"had {len(rows[0])} items, and has {len(rows[1])}"
            yield Change(path, text, "constants", len(rows[0]), len(rows[1]), gone=not rows[1])
        return
    if a == b and not (isinstance(a, dict) and ("$ref" in a or "$blob" in a or "$file" in a)):
        return
    if any(isinstance(one, dict) and ("$named" in one or "$part" in one) for one in (a, b)):
        yield _one(path, f"was {_name(a)}, and is {_name(b)}", _name(a), _name(b))
        return
    yield from _values(then.value(a), now.value(b), path)


def _values(a: Any, b: Any, path: str) -> Iterator[Change]:
    """Two leaves."""
    if isinstance(a, bytes) and isinstance(b, bytes):
        if a != b:
            yield from _files(a, b, path)
        return
    one, two = np.asarray(_array(a)), np.asarray(_array(b))
    if one.dtype.kind in "OUS" or two.dtype.kind in "OUS":
        yield from _terms(
            [str(v) for v in one.reshape(-1).tolist()], [str(v) for v in two.reshape(-1).tolist()], path
        )
        return
    if one.shape != two.shape:
        yield _one(
            path, f"had shape {list(one.shape)}, and has {list(two.shape)}", list(one.shape), list(two.shape)
        )
        return
    if one.dtype.kind in "fciub" and two.dtype.kind in "fciub":
        yield from _numbers(one, two, path)
    elif not np.array_equal(one, two):
        yield _one(path, f"was {one.tolist()!r}"[:80] + f", and is {two.tolist()!r}"[:80])


def _numbers(a: np.ndarray, b: np.ndarray, path: str) -> Iterator[Change]:
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    one, two = a.astype(wide).reshape(-1), b.astype(wide).reshape(-1)
    finite = np.abs(np.concatenate([one, two]))
    finite = finite[np.isfinite(finite)]
    size = float(finite.max()) if finite.size else 0.0
    gap = np.abs(one - two)
    unlike = ~((one == two) | (np.isnan(one) & np.isnan(two))) & ~(gap <= _TOLERANCE * size)
    if not unlike.any():
        return
    worst = int(np.argmax(np.where(unlike & np.isfinite(gap), gap, -1.0)))
    if not unlike[worst]:
        worst = int(np.argmax(unlike))
    at = "".join(f"[{n}]" for n in np.unravel_index(worst, a.shape)) if a.ndim else ""
    was, this = a.reshape(-1)[worst].item(), b.reshape(-1)[worst].item()
    more = int(unlike.sum()) - 1
    text = f"was {_shown(was)}, and is {_shown(this)}" + (
        f" ({more} more of {a.size} differ)" if more else ""
    )
    yield Change(path + at, text, "constants", was, this, float(gap[worst]) / size if size else None)


def _terms(a: list[str], b: list[str], path: str) -> Iterator[Change]:
    """Two vocabularies: terms lost, new, or in another order."""
    if a == b:
        return
    lost, new = [t for t in a if t not in set(b)], [t for t in b if t not in set(a)]
    parts = []
    if lost:
        parts.append(f"lacks {_some(lost)}")
    if new:
        parts.append(f"has {_some(new)} more")
    if not parts:
        n = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        here = (a[n] if n < len(a) else "nothing", b[n] if n < len(b) else "nothing")
        parts.append(f"has another order: {n} was {here[0]!r}, and is {here[1]!r}")
    yield Change(path, " and ".join(parts), "vocabulary", len(a), len(b))


def _ids(
    a: Mapping[str, Any], b: Mapping[str, Any], then: Captured, now: Captured, path: str
) -> Iterator[Change]:
    """Two mappings of terms to ids."""
    lost, new = [t for t in a if t not in b], [t for t in b if t not in a]
    if lost or new:
        yield from _terms(list(a), list(b), path)
        return
    moved = [t for t in a if int(then.value(a[t])) != int(now.value(b[t]))]
    if moved:
        t = moved[0]
        text = f"gives other ids: {t!r} was {then.value(a[t])}, and is {now.value(b[t])}"
        yield Change(
            path, text + (f" ({len(moved) - 1} more)" if len(moved) > 1 else ""), "vocabulary", len(a), len(b)
        )


def _files(a: bytes, b: bytes, path: str) -> Iterator[Change]:
    """Two files: by their lines where they are texts."""
    try:
        one, two = a.decode().splitlines(), b.decode().splitlines()
        if a[:1] == b[:1] == b"{":
            yield from _json(json.loads(a), json.loads(b), path)
            return
    except ValueError:
        yield Change(
            path, f"holds other bytes ({len(a):,} then, {len(b):,} now)", "vocabulary", len(a), len(b)
        )
        return
    found = list(_terms(one, two, path))
    yield from found or [Change(path, "has other line endings", "vocabulary")]


def _json(a: Any, b: Any, path: str) -> Iterator[Change]:
    """Two JSON files: tokenizers and their configurations."""
    if isinstance(a, dict) and isinstance(b, dict):
        if len(a) > 1 and all(type(v) is int for v in (*a.values(), *b.values())):
            plain = Captured("plain", "", None)
            yield from _ids(a, b, plain, plain, path)
            return
        for key in sorted({*a, *b} - _OF_THE_PLACE):
            yield from _json(a.get(key), b.get(key), f"{path}/{key}")
    elif isinstance(a, list) and isinstance(b, list) and all(isinstance(v, str) for v in (*a, *b)):
        yield from _terms(a, b, path)
    elif a != b:
        yield Change(path, f"was {json.dumps(a)[:60]}, and is {json.dumps(b)[:60]}", "vocabulary")


def _one(path: str, text: str, then: Any = None, now: Any = None) -> Change:
    return Change(path, text, "constants", then, now)


def _array(value: Any) -> Any:
    if hasattr(value, "detach"):
        held = value.detach().cpu()
        return held.double().numpy() if held.is_floating_point() else held.numpy()
    if hasattr(value, "toarray"):
        return value.toarray()
    return value


def _are_terms(about: Any, row: list[Any]) -> bool:
    """Whether items are texts, or an array of mixed values (categories with a missing one)."""
    if isinstance(about, dict) and "$objects" in about:
        return not any(isinstance(item, (dict, list)) for item in row)
    return all(isinstance(item, str) for item in row)


def _words(names: list[str]) -> list[str]:
    """The last segments of variables' paths, where these tell them apart."""
    short = [name.rsplit("/", 1)[-1] for name in names]
    return short if len(set(short)) == len(short) else names


def _plain_dict(about: Any) -> bool:
    return isinstance(about, dict) and not any(key.startswith("$") and key != "$fields" for key in about)


def _is_vocabulary(about: Mapping[str, Any]) -> bool:
    return len(about) > 1 and all(
        (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, dict) and "$array0" in v)
        for v in about.values()
    )


def _row(about: Any) -> list[Any] | None:
    if isinstance(about, list):
        return about
    for mark in ("$tuple", "$objects"):
        if isinstance(about, dict) and mark in about:
            return list(about[mark])
    return None


def _name(about: Any) -> str:
    if isinstance(about, dict) and "$named" in about:
        return str(about["$named"])
    if isinstance(about, dict) and "$part" in about:
        return f"a {about['$part']['class']}"
    return "nothing" if about is None else "a plain value"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _some(terms: list[str]) -> str:
    shown = ", ".join(repr(t) for t in terms[:_SHOWN])
    return shown + (f" and {len(terms) - _SHOWN} more" if len(terms) > _SHOWN else "")
