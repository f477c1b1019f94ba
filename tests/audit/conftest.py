"""One run of each kind for all tests of this folder that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("sklearn")

NEEDS = {"torch": "torch", "jax": "flax.linen"}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Name of a kind -> its run, trained when it is first asked for; skips where the framework is not there."""
    made = {}

    def run_of(name: str) -> object:
        if name not in made:
            pytest.importorskip(NEEDS.get(name, "tensorflow"))
            from audit.kinds import kind_named

            kind = kind_named(name)
            with kind.setting():
                made[name] = kind.train(tmp_path_factory.mktemp(name) / "run")
        return made[name]

    yield run_of
