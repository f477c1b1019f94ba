"""How often a data contract tells off honest batches, and how often it finds the listed mistakes at batch 64.

    python tests/record/contract_table.py [resamples] [name ...]

Honest batches: of made data fresh ones; of real data draws with replacement from what was learned (``again``), and from rows
that were not learned, the data being split anew for every tenth batch (``unseen``; batches of at most half of those rows).
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from holdfast import DataContract
from record.contract_data import DATA, Batch, Data, data

SIZES = (16, 32, 64, 128, 256)


def kinds(contract: DataContract, batch: Batch) -> list[str]:
    """Slugs without their front."""
    return [f.slug.removeprefix("data-") for f in contract.check(batch)]


def false_alarms(name: str, size: int, times: int, seed: int = 1) -> Counter[str]:
    """What honest batches are told off for, batch by batch."""
    of = data(name)
    draw = np.random.default_rng(seed + size)
    contract = learned(name)
    found: Counter[str] = Counter()
    for _ in range(times):
        for kind in kinds(contract, of.sample(size, draw))[:1]:
            found[kind] += 1
    return found


_LEARNED: dict[str, DataContract] = {}


def learned(name: str) -> DataContract:
    """The contract of a data set, learned once."""
    if name not in _LEARNED:
        _LEARNED[name] = DataContract.from_batches(data(name).learn)
    return _LEARNED[name]


def false_alarms_unseen(name: str, size: int, times: int, seed: int = 2) -> tuple[int, Counter[str]] | None:
    """The same of rows that were not learned: how many batches there were, and what of them was told."""
    of: Data = data(name)
    total = len(next(iter(of.learn.values())))
    if not of.real or size > total // 4:
        return None
    draw = np.random.default_rng(seed + size)
    found: Counter[str] = Counter()
    done = 0
    while done < times:
        order = draw.permutation(total)
        contract = DataContract.from_batches({n: v[order[: total // 2]] for n, v in of.learn.items()})
        rest = order[total // 2 :]
        for _ in range(10):
            rows = draw.choice(rest, size, replace=False)
            for kind in kinds(contract, {n: v[rows] for n, v in of.learn.items()})[:1]:
                found[kind] += 1
            done += 1
    return done, found


def detected(name: str, mistake: str, size: int = 64, times: int = 100) -> tuple[int, int, Counter[str]]:
    """How often a mistake was found at all, and as what it is; and what it was called."""
    of = data(name)
    kind, spoil = of.mistakes[mistake]
    draw = np.random.default_rng(7)
    found: Counter[str] = Counter()
    any_, right = 0, 0
    for _ in range(times):
        told = kinds(learned(name), spoil(of.sample(size, draw), draw))
        any_ += bool(told)
        right += kind in told
        found.update(told[:1] or ["nothing"])
    return any_, right, found


def main(times: int, names: list[str]) -> None:
    """Print both tables."""
    print(f"False alarms in {times} honest batches (again | unseen)\n")
    print(f"{'data':28}" + "".join(f"{size:>14}" for size in SIZES))
    total: Counter[int] = Counter()
    for name in names:
        cells, told = [], Counter[str]()
        for size in SIZES:
            alarms = false_alarms(name, size, times)
            other = false_alarms_unseen(name, size, max(10, times // 10))
            told += alarms
            total[size] += sum(alarms.values())
            text = f"{sum(alarms.values()) / times:.1%}"
            if other is not None:
                text += f" | {sum(other[1].values()) / other[0]:.1%}"
                told += Counter({f"{k} (unseen)": n for k, n in other[1].items()})
            cells.append(f"{text:>14}")
        print(f"{name:28}{''.join(cells)}   {dict(told) if told else ''}", flush=True)
    print(f"{'all':28}" + "".join(f"{total[size] / (times * len(names)):>14.2%}" for size in SIZES))
    print("\nMistakes found at batch 64, of 100 (found at all, by its name)\n")
    for name in names:
        for mistake, (kind, _) in data(name).mistakes.items():
            any_, right, found = detected(name, mistake)
            other = {k: n for k, n in found.items() if k != kind}
            print(
                f"{name:28}{mistake:28}{any_:>5}{right:>5}   {kind}{f'; else {other}' if other else ''}",
                flush=True,
            )


if __name__ == "__main__":
    begin = time.perf_counter()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    main(count, [n for n in DATA if n in sys.argv[2:]] or list(DATA))
    print(f"\n{time.perf_counter() - begin:.0f} s")
