"""One row of what a framework's own loader does, and the words that choose among rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

__all__ = ["OUTCOMES", "LoaderFact", "Outcome", "rows_of", "words_of"]

Outcome = Literal["silent-wrong", "silent-right", "warns", "raises-at-load", "raises-later"]
OUTCOMES: tuple[str, ...] = ("silent-wrong", "silent-right", "warns", "raises-at-load", "raises-later")
"""``silent-right``: nothing is said and nothing is lost. ``warns``: values may be lost, a warning or log line
says so. ``raises-later``: loading is silent, the first step raises."""


class LoaderFact(NamedTuple):
    """What one loader does with one kind of difference.

    ``text`` goes on after "LOADER would"; ``{tensor}`` is the name in backticks. ``when`` are words that must
    hold besides (:func:`words_of`); of several rows the first whose words all hold counts. ``source`` is a row
    of the project's failure matrix, or the framework's source file; every row has a test that does it.
    """

    loader: str
    code: str
    when: frozenset[str]
    outcome: Outcome
    text: str
    source: str


def rows_of(
    loader: str, source: str, table: Iterable[tuple[str, str, Outcome, str]]
) -> tuple[LoaderFact, ...]:
    """Rows of one loader from ``(codes, words, outcome, text)``; codes and words separated by blanks."""
    return tuple(
        LoaderFact(loader, code, frozenset(words.split()), outcome, text, source)
        for codes, words, outcome, text in table
        for code in codes.split()
    )


_ADAMS = ("Adam", "AdamW", "RAdam")

# Hyperparameters that TensorFlow checkpoints hold: variables of the optimizer, the rest is configuration.
_STORED = ("lr", "learning_rate", "iterations", "iteration", "step")


def words_of(code: str, details: Mapping[str, Any]) -> set[str]:
    """The words that hold for a difference.

    ``details`` may have what a :class:`Difference`'s evidence has and what the caller knows besides: ``role``
    (of the tensor), ``a``/``b`` (shapes, dtypes, class names, values), ``name`` (of a
    hyperparameter), ``stepped`` (whether A's optimizer has state), ``partial`` (only one of tied tensors is
    there), ``slot`` (which one is missing), ``slots_fit`` and ``shapes_fit`` (state of the
    other class, order: whether the shapes agree),
    ``scheduled`` (the live rate is a schedule), ``built`` (whether the live optimizer has its variables),
    ``keras`` (the model is a Keras one), ``optimizer_holds`` (the file keeps weights under the optimizer).
    """
    words = {word for word in _FLAGS if details.get(word)}
    words |= {f"not-{word}" for word in _FLAGS if details.get(word) is False}
    role = details.get("role")
    if role in ("slot", "counter", "hyperparameter", "buffer", "average"):
        words.add(str(role))
    shapes = ("a", "b") if code == "T206" and "a_shape" not in details else ("a_shape", "b_shape")
    a, b = (details.get(word) for word in shapes)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        words.add("same-shape" if list(a) == list(b) else "other-shape")
    if code == "T204":
        first, second = str(details.get("a", "")), str(details.get("b", ""))
        if first and second and not widens(first, second):
            words.add("narrows")
    if code == "O204" and details.get("slot") in _OPTIONAL_SLOTS:
        words.add("option")
    if code == "O203":
        words |= _class_words(details)
    if code == "O207" and details.get("name"):
        words.add("stored" if str(details["name"]).rsplit("/", 1)[-1] in _STORED else "not-stored")
    return words


# Slots of torch.optim that an option of the class switches on.
_OPTIONAL_SLOTS = ("max_exp_avg_sq", "momentum_buffer", "grad_avg")

_FLAGS = (
    "partial", "slots_fit", "shapes_fit", "scheduled", "built", "keras", "optimizer_holds", "more",
)  # fmt: skip


_COUNT_NOTHING = ("SGD", "Muon")


def _class_words(details: Mapping[str, Any]) -> set[str]:
    a, b = details.get("a"), details.get("b")
    if a in (*_ADAMS, "NAdam") and b in _ADAMS:
        return {"kin"}
    # NAdam asks for ``mu_product`` when it loads and ASGD for ``eta``; the state of a momentum alone has no ``step``, and
    # of SGD only with momentum is there any
    stepped = details.get("stepped", a != "SGD")
    if stepped and (b in ("NAdam", "ASGD") or (a in _COUNT_NOTHING and b not in _COUNT_NOTHING)):
        return {"asks-at-load"}
    return set()


_MANTISSA = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
_EXPONENT = {"float64": 11, "float32": 8, "float16": 5, "bfloat16": 8}


def widens(a: str, b: str) -> bool:
    """Whether every value of float type ``a`` is a value of ``b``; other types only fit themselves."""
    if a == b:
        return True
    if a not in _MANTISSA or b not in _MANTISSA:
        return False
    return _MANTISSA[b] >= _MANTISSA[a] and _EXPONENT[b] >= _EXPONENT[a]
