"""Which weight an optimizer's state ``i`` belongs to, where the file proves it.

A torch optimizer's state is positional: state ``i`` belongs to the ``i``-th parameter in the order in which
the groups were given (torch/optim/optimizer.py ``state_dict``). The file also holds the state dict, whose
order is that of ``named_parameters()`` with buffers between. An assignment is *order-consistent* when every
group takes its weights in state-dict order and all shapes agree. A position has a proved owner when all
order-consistent assignments give it the same one. Groups may take any weights (decay/no decay,
backbone/head), and weights may be left out (frozen ones).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Shape", "candidates"]

Shape = tuple[int, ...]

_MOST_STATES = 200_000


def candidates(
    groups: Sequence[Sequence[Shape | None]], weights: Sequence[Shape]
) -> list[list[list[int]]] | None:
    """Per group and position the indices of the weights that an order-consistent assignment can give it.

    ``groups`` hold the shape of each position's state, ``None`` where there is none to tell by (it fits any
    weight). ``None`` when there is no such assignment, or when too many would have to be tried to know.
    """
    groups = [list(g) for g in groups]
    if sum(len(g) for g in groups) > len(weights):
        return None
    filled = [i for i, g in enumerate(groups) if g]
    if len(filled) <= 1:
        found = _one(groups[filled[0]], list(range(len(weights))), weights) if filled else []
        if found is None:
            return None
        return [found if filled and i == filled[0] else [] for i in range(len(groups))]
    shapes = [set(g) for g in groups]
    apart = all(None not in s for s in shapes) and all(
        not (a & b) for i, a in enumerate(shapes) for b in shapes[i + 1 :]
    )
    if apart:
        result: list[list[list[int]]] = []
        for group, own in zip(groups, shapes, strict=True):
            part = _one(group, [i for i, w in enumerate(weights) if w in own], weights)
            if part is None:
                return None
            result.append(part)
        return result
    return _several(groups, weights)


def _one(
    group: Sequence[Shape | None], among: Sequence[int], weights: Sequence[Shape]
) -> list[list[int]] | None:
    """One group: between the leftmost and the rightmost order-preserving embedding lies every candidate."""
    if not group:
        return []

    def fits(position: int, place: int) -> bool:
        return group[position] is None or group[position] == weights[among[place]]

    left, place = [], 0
    for position in range(len(group)):
        while place < len(among) and not fits(position, place):
            place += 1
        if place >= len(among):
            return None
        left.append(place)
        place += 1
    right, place = [0] * len(group), len(among) - 1
    for position in range(len(group) - 1, -1, -1):
        while not fits(position, place):
            place -= 1
        right[position] = place
        place -= 1
    found = []
    for position in range(len(group)):
        low = left[position - 1] + 1 if position else 0
        high = right[position + 1] - 1 if position + 1 < len(group) else len(among) - 1
        low, high = max(low, left[position]), min(high, right[position])
        if high - low > 64:  # hopeless: say so without listing thousands
            found.append([among[low], among[high]])
        else:
            found.append([among[k] for k in range(low, high + 1) if fits(position, k)])
    return found


def _several(
    groups: Sequence[Sequence[Shape | None]], weights: Sequence[Shape]
) -> list[list[list[int]]] | None:
    """Several groups over common shapes: all reachable states of (how far each group is), forward and
    backward.
    """
    lengths = tuple(len(g) for g in groups)
    total = sum(lengths)
    spare = len(weights) - total
    start = (0,) * len(groups)
    forward: list[set[tuple[int, ...]]] = [{start}]
    states = 1
    for index, weight in enumerate(weights):
        after: set[tuple[int, ...]] = set()
        for state in forward[-1]:
            if index + 1 - sum(state) <= spare:  # the weight may be left out
                after.add(state)
            for g, at in enumerate(state):
                if at < lengths[g] and (groups[g][at] is None or groups[g][at] == weight):
                    after.add((*state[:g], at + 1, *state[g + 1 :]))
        states += len(after)
        if states > _MOST_STATES or not after:
            return None
        forward.append(after)
    if lengths not in forward[-1]:
        return None
    found: list[list[list[int]]] = [[[] for _ in g] for g in groups]
    alive = {lengths}
    for index in range(len(weights) - 1, -1, -1):
        before: set[tuple[int, ...]] = set()
        for state in forward[index]:
            if state in alive:
                before.add(state)
            for g, at in enumerate(state):
                if at >= lengths[g] or groups[g][at] not in (None, weights[index]):
                    continue
                if (*state[:g], at + 1, *state[g + 1 :]) in alive:
                    before.add(state)
                    if not found[g][at] or found[g][at][-1] != index:
                        found[g][at].append(index)
        alive = before
    for group in found:
        for choice in group:
            choice.reverse()
    return found
