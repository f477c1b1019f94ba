"""The tensors of a checkpoint as a tree, repeated layers folded into one.

Works on the tensor entries of the ``inspect`` document. Siblings that differ in one number only
(``layers.0``, ``layers.1``; ``conv2d_1``, ``conv2d_2``) and hold the same names, shapes, dtypes and roles
below become one node ``layers.{0..23}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .words import ranges

__all__ = ["Node", "Row", "grow", "rows"]

_CUT = re.compile(r"([./])")
_NUMBER = re.compile(r"^(.*?)([0-9]{1,9})([^0-9]*)$", re.DOTALL)
_STATE = ("slot", "counter", "hyperparameter")
FEW = 6  # so few tensors of optimizer state are listed; more are told in one line
SEGMENTS = 48  # deeper names (hostile ones) end in one long segment


@dataclass(slots=True)
class Node:
    """A segment of names: its text with the separator before it, the tensor of that very name, what lies
    below.
    """

    label: str
    tensor: Mapping[str, Any] | None = None
    below: dict[str, Node] = field(default_factory=dict)
    nbytes: int = 0
    tensors: int = 0
    shape_of: int = 0  # number of its structure; equal numbers, equal structure
    only_slots: bool = False  # nothing but optimizer state below
    slots: dict[str, None] = field(default_factory=dict)  # the slots' names below, in order


class Row(NamedTuple):
    """A line of the tree: how deep, what to call it, the tensor (``None`` for a group), how often it
    repeats.
    """

    depth: int
    label: str
    tensor: Mapping[str, Any] | None
    times: int
    nbytes: int
    tensors: int
    told: int  # how many tensors this line stands for: 0 for a group whose members follow
    slots: tuple[str, ...] = ()  # set where optimizer state below was folded into this line


def grow(tensors: Iterable[Mapping[str, Any]]) -> Node:
    """The tree of tensor entries, in their order."""
    root = Node("")
    counted: set[str] = set()
    for tensor in tensors:
        parts = _CUT.split(tensor["name"], maxsplit=SEGMENTS)
        labels = [parts[0], *(parts[i] + parts[i + 1] for i in range(1, len(parts) - 1, 2))]
        shared = tensor.get("shares")
        nbytes = 0 if shared is not None and shared in counted else tensor["nbytes"]
        if shared is not None:
            counted.add(shared)
        node = root
        for label in labels:
            node.nbytes += nbytes
            node.tensors += 1
            node = node.below.setdefault(label, Node(label))
        node.nbytes += nbytes
        node.tensors += 1
        node.tensor = tensor
    _number(root, {})
    return root


def _number(node: Node, known: dict[object, int]) -> int:
    """Give every node the number of its structure, bottom up."""
    leaf = None
    if node.tensor is not None:
        t = node.tensor
        tied = t.get("shares") is not None
        leaf = (tuple(t["shape"]), t["dtype"], t["role"], t.get("slot"), t.get("trainable"), tied)
    key = (leaf, tuple((label, _number(child, known)) for label, child in node.below.items()))
    node.shape_of = known.setdefault(key, len(known))
    own = node.tensor is None or node.tensor["role"] in _STATE
    node.only_slots = own and all(child.only_slots for child in node.below.values())
    if node.tensor is not None and node.tensor["role"] == "slot":
        node.slots[str(node.tensor.get("slot") or node.label.lstrip("./"))] = None
    for child in node.below.values():
        node.slots.update(child.slots)
    return node.shape_of


def rows(node: Node, *, fold: bool = True) -> Iterator[Row]:
    """The lines below ``node``, top to bottom; lone children are joined with their parent's label.

    Labels read on from one another: that of a group ends in the separator that its members share.
    """
    return _rows(_siblings(node, fold), fold, 0, "", 1)


def _rows(siblings: list[_Group], fold: bool, depth: int, cut: str, repeat: int) -> Iterator[Row]:
    for label, child, times, nbytes, tensors in siblings:
        below = _siblings(child, fold)
        while child.tensor is None and len(below) == 1:
            more, child, again, _, _ = below[0]
            label, times = label + more, times * again
            below = _siblings(child, fold)
        starts = {inner[0][:1] for inner in below}
        joint = starts.pop() if child.tensor is None and len(starts) == 1 else ""
        label = label[len(cut) :]
        hidden = fold and child.slots and below and all(inner[1].only_slots for inner in below)
        if hidden and (child.tensor is not None or child.tensors >= FEW):
            told = tensors * repeat
            yield Row(depth, label + joint, child.tensor, times, nbytes, tensors, told, tuple(child.slots))
            continue
        told = times * repeat if child.tensor is not None else 0
        yield Row(depth, label + joint, child.tensor, times, nbytes, tensors, told)
        if below:
            yield from _rows(below, fold, depth + 1, joint, repeat * times)


_Group = tuple[str, Node, int, int, int]


def _siblings(node: Node, fold: bool) -> list[_Group]:
    """The children with equal numbered ones merged: (label, the first, how many, their bytes, their
    tensors).
    """
    if not fold:
        return [(label, child, 1, child.nbytes, child.tensors) for label, child in node.below.items()]
    groups: dict[object, list[tuple[int, Node]]] = {}
    ends: dict[object, tuple[str, str, int]] = {}
    for label, child in node.below.items():
        match = _NUMBER.match(label)
        if match is None:
            groups[label] = [(-1, child)]
            continue
        before, number, after = match.groups()
        canonical = number == "0" or not number.startswith("0")
        width = 0 if canonical else len(number)  # step_007 folds with step_008, not with step_8
        key: object = (before, after, width, child.shape_of)
        groups.setdefault(key, []).append((int(number), child))
        ends[key] = (before, after, width)
    found = []
    for key, members in groups.items():
        first = members[0][1]
        if len(members) == 1:
            label = first.label
        else:
            before, after, width = ends[key]
            label = f"{before}{{{ranges(sorted(number for number, _ in members), pad=width)}}}{after}"
        nbytes, tensors = sum(c.nbytes for _, c in members), sum(c.tensors for _, c in members)
        found.append((label, first, len(members), nbytes, tensors))
    return found
