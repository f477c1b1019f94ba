from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from holdfast._render.json import dumps
from holdfast._render.plain import plain


@dataclass
class Pair:
    a: object
    b: object


class Odd:
    def __str__(self) -> str:
        return "odd"


def test_numbers_that_json_lacks_become_texts() -> None:
    assert plain([float("nan"), float("inf"), -float("inf"), 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]
    assert plain(np.float32("nan")) == "NaN"
    assert plain(ml_dtypes.bfloat16(1.5)) == 1.5


def test_numpy_bytes_sets_and_objects() -> None:
    found = plain(
        {
            b"key": np.int64(3),
            (1, 2): np.array([1.0, np.nan]),
            "big": np.zeros((100, 2)),
            "bytes": b"a\xff",
            "set": {3, 1},
            "path": Path("a/b"),
            "pair": Pair(1, np.True_),
            "odd": Odd(),
            "none": None,
            "huge": 1 << 300,
        }
    )
    assert found["key"] == 3
    assert type(found["key"]) is int
    assert found["[1, 2]"] == [1.0, "NaN"]
    assert found["big"] == "array of shape (100, 2), float64"
    assert found["bytes"] == "a\\xff"
    assert found["set"] == [1, 3]
    assert found["path"] == "a/b"
    assert found["pair"] == {"a": 1, "b": True}
    assert found["odd"] == "odd"
    assert found["none"] is None
    assert found["huge"].startswith("0x1000")
    json.dumps(found, allow_nan=False)


def test_depth_length_and_cycles_are_bounded() -> None:
    cyclic: list = []
    cyclic.append(cyclic)
    assert "…" in json.dumps(plain(cyclic), ensure_ascii=False)
    assert len(plain(list(range((1 << 20) + 5)))) == 1 << 20
    assert len(plain("x" * 1_000_000)) < 70_000


def test_lone_surrogates_do_not_break_the_output() -> None:
    text = dumps({"name": plain("a\udcff")})
    assert json.loads(text)["name"] == "a\\udcff"
    text.encode("ascii")


def test_what_is_not_plain_is_made_plain_at_the_last_moment() -> None:
    assert json.loads(dumps({"a": float("nan"), "b": b"x"})) == {"a": "NaN", "b": "x"}
