"""The search itself: single faults, several, pairs, sums, on trees of every shape."""

from __future__ import annotations

import random

import pytest

from holdfast._isolate.failure import Failure
from holdfast._isolate.node import Node, all_but
from holdfast._isolate.shrink import ddmin, shrink


def _failure(words: str) -> Failure:
    return Failure("error", "save", "ValueError", words)


def _tree(shape: list[int]) -> tuple[Node, list[Node]]:
    root = Node("root", None, removable=False)
    level = [root]
    for width in shape:
        level = [Node(f"{node.path}.{n}", None, node) for node in level for n in range(width)]
    return root, [node for node in root.walk() if node is not root]


def _kept(root: Node, removed: frozenset[Node]) -> set[Node]:
    gone = {below for node in removed for below in node.walk()}
    return {node for node in root.walk() if node not in gone}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_of_several_faults_is_found_wherever_it_is(seed: int, count: int) -> None:
    rng = random.Random(seed)
    root, nodes = _tree([rng.randint(1, 5), rng.randint(1, 6), rng.randint(1, 4)])
    leaves = [node for node in nodes if not node.children]
    wrong = rng.sample(leaves, min(count, len(leaves)))
    tries = 0

    def tried(removed: frozenset[Node]) -> Failure | None:
        nonlocal tries
        tries += 1
        first = next((node for node in root.walk() if node in wrong and node in _kept(root, removed)), None)
        return (
            _failure(first.path.replace(".", "x").translate(str.maketrans("0123456789", "abcdefghij")))
            if first
            else None
        )

    first = tried(frozenset())
    assert first is not None
    found = shrink(root, tried, first)
    assert {node for one in found for node in one.nodes} == set(wrong)
    assert all(len(one.nodes) == 1 for one in found)
    assert tries <= 60 * count


def test_what_fails_without_its_children_is_at_fault_itself() -> None:
    root, nodes = _tree([4, 4])
    wrong = next(node for node in nodes if node.path == "root.2")

    def tried(removed: frozenset[Node]) -> Failure | None:
        return _failure("x") if wrong in _kept(root, removed) else None

    assert [one.nodes for one in shrink(root, tried, _failure("x"))] == [(wrong,)]


def test_a_fault_of_its_own_behind_one_of_its_children() -> None:
    root, nodes = _tree([3, 4])
    own, below = (next(node for node in nodes if node.path == path) for path in ("root.1", "root.1.2"))

    def tried(removed: frozenset[Node]) -> Failure | None:
        kept = _kept(root, removed)
        return _failure("below") if below in kept else _failure("own") if own in kept else None

    assert [one.nodes for one in shrink(root, tried, _failure("below"))] == [(below,), (own,)]


def test_two_that_fail_together_only_are_a_pair() -> None:
    root, nodes = _tree([9])
    pair = {nodes[2], nodes[7]}

    def tried(removed: frozenset[Node]) -> Failure | None:
        return _failure("clash") if pair <= _kept(root, removed) else None

    (found,) = shrink(root, tried, _failure("clash"))
    assert set(found.nodes) == pair and not found.total


def test_a_limit_of_the_sum_blames_no_single_part() -> None:
    root, _ = _tree([400])

    def tried(removed: frozenset[Node]) -> Failure | None:
        return _failure("too large") if len(_kept(root, removed)) > 201 else None

    (found,) = shrink(root, tried, _failure("too large"))
    assert found.total and len(found.nodes) > 100


def test_a_long_chain_needs_no_recursion() -> None:
    root = node = Node("root", None, removable=False)
    for n in range(1200):
        node = Node(f"n{n}", None, node)

    def tried(removed: frozenset[Node]) -> Failure | None:
        return _failure("x") if node in _kept(root, removed) else None

    assert shrink(root, tried, _failure("x"))[0].nodes == (node,)


def test_all_but_keeps_what_is_below_and_the_way_to_it() -> None:
    root, nodes = _tree([3, 3])
    wanted = next(node for node in nodes if node.path == "root.1")
    kept = _kept(root, all_but(root, [wanted]))
    assert {node.path for node in kept} == {"root", "root.1", "root.1.0", "root.1.1", "root.1.2"}


def test_ddmin_gives_a_set_of_which_nothing_can_be_left_out() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        items = [Node(str(n), None) for n in range(rng.randint(2, 40))]
        needed = set(rng.sample(items, rng.randint(1, min(4, len(items)))))
        found, total = ddmin(items, lambda kept, needed=needed: needed <= set(kept))  # type: ignore[misc]
        assert set(found) == needed and not total
