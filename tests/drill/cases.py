"""Right scripts and spoiled ones: what a drill must say of each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["CASES", "SCRIPTS", "Case"]

SCRIPTS = Path(__file__).parent / "scripts"


class Case(NamedTuple):
    """A script with its arguments, and the code of the first finding; ``""``: it resumes exactly."""

    script: str
    arguments: tuple[str, ...]
    first: str
    kills: int = 1
    what: str = ""

    @property
    def name(self) -> str:
        """For reports."""
        return f"{self.script.partition('_')[0]} {' '.join(a for a in self.arguments if a[:2] != '--') or 'right'}"


def _plants(script: str, by: str, rows: dict[str, str], kills: int = 1) -> list[Case]:
    where = ("--by", by) if by else ()
    return [
        Case(script, (*where, *(("--plant", plant) if plant else ())), code, kills)
        for plant, code in rows.items()
    ]


CASES = [
    *_plants("torch_digits.py", "", {"": ""}, kills=2),
    *_plants(
        "torch_digits.py",
        "",
        {
            "rng": "R307",
            "dropout-seed": "R307",
            "drawn": "R307",
            "sampler": "R306",
            "scheduler": "R304",
            "scheduler-stuck": "R304",
            "scaler": "R305",
            "lr": "R303",
            "best": "R310",
            "accumulation": "R309",
            "optimizer": "R302",
            "buffers": "R301",
            "length": "R312",
            "unseeded": "R316",
            "anew": "R315",
        },
    ),
    *_plants("torch_digits.py", "", {"torn": "R313"}, kills=2),
    *_plants("keras_digits.py", "vault", {"": ""}),
    *_plants("keras_digits.py", "vault", {"dropout-seed": "R308"}),
    *_plants(
        "keras_digits.py",
        "keras",
        {
            "": "",
            "dropout-seed": "R308",
            "scheduler": "R304",
            "lr": "R303",
            "scaler": "R305",
            "best": "R310",
            "accumulation": "R309",
            "optimizer": "R302",
            "sampler": "R306",
        },
    ),
    *_plants("keras_digits.py", "tape", {"": "", "rng": "R307", "sampler": "R306", "dropout-seed": "R308"}),
    *_plants("jax_digits.py", "vault", {"": ""}, kills=2),
    *_plants(
        "jax_digits.py",
        "pickle",
        {
            "": "",
            "rng": "R308",
            "sampler": "R306",
            "scheduler": "R304",
            "lr": "R303",
            "scaler": "R305",
            "best": "R310",
            "accumulation": "R309",
            "optimizer": "R302",
        },
    ),
]
