"""Learns what words of failure reports speak for, and writes `src/holdfast/_facts/report_words.tsv`.

    python tests/diagnose/learn.py REPORTS.jsonl... [--write] [--held-out REPORTS.jsonl...]

A report is a JSON object a line: ``text`` (what the program printed), ``cause`` (a label of :mod:`holdfast._facts.causes`, or
``elsewhere`` for a failure that has nothing to do with a checkpoint) and ``source`` (its thread). The texts are not in the
project: collect them from public threads (`reports.tsv` beside this file names those of the present table). The shared corpus is
left out of what is learned, so that it measures.

Prints the share of reports whose cause comes first, and among the first three, each learned from the other threads (five folds by
thread), and for ``--held-out`` reports what the table learned from the others gives, alone and together with the known causes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from holdfast._diagnose.by_reports import FIRST, LATER, Likeness, in_order, terms
from holdfast._diagnose.reading import read_text
from holdfast._diagnose.weighing import weighed
from holdfast._facts.causes import CAUSES
from holdfast._facts.report_words import ELSEWHERE, STEP, TABLE

Report = dict[str, Any]
LABELS = (*CAUSES, ELSEWHERE)
FOLDS = 5
DECAY = 0.03
"""L2 penalty of the weights, by cross-validation (0.3 to 0.003 tried)."""
LEAST = 2
"""Threads that a word must stand in."""


def rows(paths: Sequence[str]) -> list[Report]:
    """All reports, each text of a thread once."""
    found: dict[tuple[str, str], Report] = {}
    for path in paths:
        for line in Path(path).read_text("utf-8").splitlines():
            if line.strip():
                report = json.loads(line)
                if report["cause"] in LABELS:
                    found.setdefault((report["source"], report["text"][:60]), report)
    return list(found.values())


class Words:
    """The words that count, with their rarity."""

    def __init__(self, texts: Sequence[frozenset[str]], sources: Sequence[str]) -> None:
        threads: dict[str, set[str]] = {}
        count: Counter[str] = Counter()
        for words, source in zip(texts, sources, strict=True):
            count.update(words)
            for word in words:
                threads.setdefault(word, set()).add(source)
        self.names = sorted(word for word, where in threads.items() if len(where) >= LEAST)
        self.number = {word: n for n, word in enumerate(self.names)}
        self.rarity = np.array([np.log(1 + len(texts) / count[word]) for word in self.names], np.float32)

    def matrix(self, texts: Sequence[frozenset[str]]) -> np.ndarray:
        """texts x words: rarity where the word stands, each row of length 1."""
        found = np.zeros((len(texts), len(self.names)), np.float32)
        for row, words in enumerate(texts):
            for word in words:
                if (n := self.number.get(word)) is not None:
                    found[row, n] = self.rarity[n]
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.maximum(lengths, 1e-6)


def _least(loss: Any, parameters: list[torch.Tensor], steps: int) -> None:
    solver = torch.optim.LBFGS(parameters, max_iter=steps, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        value = loss()
        value.backward()
        return value

    solver.step(closure)


def fitted(matrix: np.ndarray, causes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (words x labels) and biases."""
    given, wanted = torch.from_numpy(matrix), torch.from_numpy(causes)
    weights = torch.zeros(matrix.shape[1], len(LABELS), requires_grad=True)
    bias = torch.zeros(len(LABELS), requires_grad=True)

    def loss() -> torch.Tensor:
        wrong = torch.nn.functional.cross_entropy(given @ weights + bias, wanted)
        return wrong + DECAY * (weights**2).sum() / len(wanted) + 1e-3 * (bias**2).sum()

    _least(loss, [weights, bias], 80)
    return weights.detach().numpy(), bias.detach().numpy()


def share(scores: np.ndarray, causes: np.ndarray) -> str:
    """Of reports that are checkpoint failures: first right, one of the first three; of the others: told so."""
    here = causes != LABELS.index(ELSEWHERE)
    only = scores[here].copy()
    only[:, LABELS.index(ELSEWHERE)] = -np.inf
    order = np.argsort(-only, axis=1)
    first = (order[:, 0] == causes[here]).mean()
    three = (order[:, :3] == causes[here, None]).any(1).mean()
    told = ""
    if (~here).any():
        right = scores.argmax(1) == LABELS.index(ELSEWHERE)
        told = f"; {right[~here].mean():.1%} of {(~here).sum()} others told, {right[here].mean():.1%} of these taken for others"
    return f"first {first:.1%}, first three {three:.1%} of {here.sum()}{told}"


def causes_of(reports: Sequence[Report]) -> np.ndarray:
    """The number of each report's cause."""
    return np.array([LABELS.index(report["cause"]) for report in reports])


def ordered(
    alone: np.ndarray, reports: Sequence[Report], first: float = FIRST, later: float = LATER
) -> np.ndarray:
    """Known causes and words together, as :func:`holdfast._diagnose.by_reports.ranked` orders them."""
    found = np.full(alone.shape, -np.inf)
    for row, report in enumerate(reports):
        shares = np.exp(alone[row] - alone[row].max())
        chances = dict(zip(LABELS, (shares / shares.sum()).tolist(), strict=True))
        known = [guess for guess in weighed(read_text(report["text"])) if guess.confidence >= LEAST_SURE]
        for place, guess in enumerate(
            in_order(known, Likeness(chances, dict.fromkeys(LABELS, ())), first, later)
        ):
            found[row, LABELS.index(guess.label)] = -place
    return found


def order_weights(alone: np.ndarray, reports: Sequence[Report]) -> None:
    """What :func:`holdfast._diagnose.by_reports.in_order` gives by its two weights, on reports that neither the known causes nor
    the words have seen."""
    for first in (0.4, FIRST, 1.0):
        for later in (0.1, 0.2, LATER, 0.7, 1.0):
            print(
                f"first {first}, later {later}:",
                share(ordered(alone, reports, first, later), causes_of(reports)),
            )


def written(words: Words, weights: np.ndarray, bias: np.ndarray, texts: int) -> str:
    """The table as text: whole numbers of :data:`holdfast._facts.report_words.STEP`; what rounds to nothing is left out."""
    centred = weights - weights.mean(1, keepdims=True)  # the same for all labels changes nothing
    lines = [
        f"# learned from {texts} public reports by tests/diagnose/learn.py: rarity, then label:weight in units of {STEP}",
        "labels\t" + " ".join(LABELS),
        "bias\t" + " ".join(f"{value:.3f}" for value in bias),
        "",
    ]
    for word, rarity, row in zip(words.names, words.rarity, centred, strict=True):
        parts = [f"{n}:{round(value / STEP)}" for n, value in enumerate(row) if abs(value) >= LIGHT]
        if parts:
            lines.append(f"{word}\t{round(float(rarity) / STEP)}\t{' '.join(parts)}")
    return "\n".join(lines) + "\n"


LEAST_SURE = 0.2
"""Known causes that are less sure are not heard (:mod:`holdfast._diagnose.diagnose`)."""
LIGHT = 0.3
"""Weights below this are left out of the table."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", nargs="+")
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument(
        "--order",
        action="store_true",
        help="learn from the held-out reports how known causes and words are put in order",
    )
    parser.add_argument("--write", action="store_true", help="write the table, learned from all reports")
    chosen = parser.parse_args()
    reports, held = rows(chosen.reports), rows(chosen.held_out)
    texts = [terms(report["text"]) for report in reports]
    causes = causes_of(reports)
    sources = [report["source"] for report in reports]
    order = np.random.default_rng(0).permutation(sorted(set(sources)))
    fold = {source: n % FOLDS for n, source in enumerate(order)}
    folds = np.array([fold[source] for source in sources])
    logits = np.zeros((len(reports), len(LABELS)), np.float32)
    for n in range(FOLDS):
        inside = np.flatnonzero(folds != n)
        words = Words([texts[i] for i in inside], [sources[i] for i in inside])
        weights, bias = fitted(words.matrix([texts[i] for i in inside]), causes[inside])
        outside = np.flatnonzero(folds == n)
        logits[outside] = words.matrix([texts[i] for i in outside]) @ weights + bias
    print("words alone, by folds:", share(logits, causes))
    words = Words(texts, sources)
    weights, bias = fitted(words.matrix(texts), causes)
    if held:
        wanted = causes_of(held)
        alone = words.matrix([terms(report["text"]) for report in held]) @ weights + bias
        print("held out, words alone:", share(alone, wanted))
        print("held out, with known causes:", share(ordered(alone, held), wanted))
        if chosen.order:
            order_weights(alone, held)
    if chosen.write:
        TABLE.write_text(written(words, weights, bias, len(reports)), "utf-8")
        print(f"{TABLE}: {len(words.names)} words, {TABLE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
