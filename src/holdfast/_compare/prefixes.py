"""Prefix rules: one replacement of leading segments that carries many names over.

A rule is read off from names: two free tensors that share a tail of segments which occurs only once on either
side vote for "this head becomes that head". A rule holds when the shapes fit and when several tensors vote
for it, or when it only adds or removes a head. Cost: proportional to the sum of the names' lengths in
segments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .layouts import fits
from .names import spelling, tail
from .pool import Pair, Pool

__all__ = ["Rule", "match_by_rules", "rules_of_pairs"]

Rule = tuple[tuple[str, ...], tuple[str, ...]]
"""(head in A, head in B), in words."""

_WORDS = re.compile(r"\d+|\D+")
_DEEPEST = 12
_Words = dict[str, tuple[str, ...]]


def _all_words(names: Iterable[str]) -> _Words:
    """The spelling of each name, cut further at digits (``layer_3`` -> ``layer_``, ``3``), so that numbers are
    words of their own."""
    words = {name: spelling(name) for name in names}
    # names are many and their segments few, so those to be cut are looked for once
    segments = set().union(*words.values())
    cut = {part: _WORDS.findall(part) for part in segments if part[-1:].isdigit() and not part.isdigit()}
    if cut:
        whole = cut.keys().isdisjoint
        for name, parts in words.items():
            if not whole(parts):
                words[name] = tuple(word for part in parts for word in cut.get(part, (part,)))
    return words


def _tails(words: _Words, length: int) -> dict[tuple[str, ...], str | None]:
    """Every tail of so many words, and the one name that has it; ``None`` where several have."""
    index: dict[tuple[str, ...], str | None] = {}
    for name, parts in words.items():
        if len(parts) >= length:
            ending = parts[-length:]
            index[ending] = None if ending in index else name
    return index


def _longest_tails(words_a: _Words, words_b: _Words) -> dict[str, tuple[str, int]]:
    """For names of A the name of B that alone shares the longest tail that any name of B shares with it, and the
    tail's length; only where the tail is alone in A, too.

    A shorter tail can only fit worse. Lengths are tried from the longest on, and most often few of them are.
    """
    found: dict[str, tuple[str, int]] = {}
    left = words_a
    longest = min(_DEEPEST, *(max(map(len, words.values())) for words in (words_a, words_b)))
    for length in range(longest, 0, -1):
        tails_b = _tails(words_b, length)
        tails_a: dict[tuple[str, ...], str | None] | None = None
        later: _Words = {}
        for name, parts in left.items():
            ending = parts[-length:]
            if ending not in tails_b:  # nor is a shorter name, which has no tail of that length
                later[name] = parts
            elif (there := tails_b[ending]) is not None:
                if tails_a is None:
                    tails_a = _tails(words_a, length)
                if tails_a[ending] is not None:
                    found[name] = there, length
        left = later
        if not left:
            break
    return found


def match_by_rules(pool: Pool) -> None:
    """Pair free tensors by prefix rules, again and again until no rule carries any further."""
    for _ in range(4):
        if not pool or not _round(pool):
            return


def _round(pool: Pool) -> bool:
    words_a, words_b = _all_words(pool.a), _all_words(pool.b)
    shared = _longest_tails(words_a, words_b)
    votes: dict[Rule, list[tuple[str, str, int]]] = {}
    for name in pool.a if shared else ():
        if name not in shared:
            continue
        there, length = shared[name]
        if fits(pool.a[name], pool.b[there]):
            rule = words_a[name][:-length], words_b[there][:-length]
            votes.setdefault(rule, []).append((name, there, length))
    before = len(pool.pairs)
    for rule, carried in sorted(votes.items(), key=lambda item: -len(item[1])):
        added_or_removed = not rule[0] or not rule[1]
        longest = max(length for *_, length in carried)
        if len(carried) < 2 and not (longest >= 3 or (longest >= 2 and added_or_removed)):
            continue
        for a, b, _ in carried:
            if a in pool.a and b in pool.b:
                pool.take(a, b, "rule", certain=added_or_removed)
    return len(pool.pairs) > before


def rules_of_pairs(pairs: Iterable[Pair], pool: Pool) -> None:
    """Carry over what else lies under the heads of pairs that are known: siblings follow a tensor shown by
    content."""
    if not pool:
        return
    heads: Counter[Rule] = Counter()
    pairs = list(pairs)
    words = _all_words([*(pair.a.name for pair in pairs), *(pair.b.name for pair in pairs), *pool.a, *pool.b])
    for pair in pairs:
        a, b = words[pair.a.name], words[pair.b.name]
        if a == b:
            continue
        shared = tail(a, b)
        # the parents, too, where even the last words differ
        for kept in {shared, 1} if shared else {1}:
            heads[a[: len(a) - kept], b[: len(b) - kept]] += 1
    if not heads:
        return
    there: dict[tuple[str, ...], list[str]] = {}
    for name in pool.b:
        there.setdefault(words[name], []).append(name)
    targets: dict[tuple[str, ...], Counter[tuple[str, ...]]] = {}
    for (head, other), count in heads.items():
        targets.setdefault(head, Counter())[other] += count
    for name, spec in list(pool.a.items()):
        parts = words[name]
        for cut in range(len(parts) - 1, -1, -1):
            choices = targets.get(parts[:cut])
            if not choices:
                continue
            ranked = choices.most_common(2)
            if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
                continue
            found = [n for n in there.get((*ranked[0][0], *parts[cut:]), ()) if n in pool.b]
            if len(found) == 1 and fits(spec, pool.b[found[0]]):
                pool.take(name, found[0], "rule")
                break
