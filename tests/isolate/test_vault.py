"""Holdfast's own vault: what its rehearsal refuses, down to the entry."""

from __future__ import annotations

import numpy as np

import holdfast


class Thing:
    """Nothing that has a form in a file."""


def test_a_vault_names_the_entry_that_it_cannot_take() -> None:
    model = {"w": np.ones(2, np.float32)}
    found = holdfast.isolate({"model": model, "config": {"lr": 0.1, "hook": Thing()}, "note": "a"}, "vault")
    (culprit,) = found.culprits
    assert culprit.path == 'extra["config"]["hook"]' and "Thing" in culprit.what and culprit.proved


def test_two_at_once() -> None:
    model = {"w": np.ones(2, np.float32)}
    found = holdfast.isolate({"model": model, "a": [1, Thing()], "b": {"c": lambda: 0}}, "vault")
    assert sorted(c.path for c in found.culprits) == ['extra["a"][1]', 'extra["b"]["c"]'] and found.complete


def test_what_it_takes_is_saved() -> None:
    assert holdfast.isolate({"model": {"w": np.ones(2, np.float32)}, "note": "a"}, "vault").saved
