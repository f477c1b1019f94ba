"""What all tests share."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parent))

# A busy machine is no fault of a test: how long examples take is nothing that these look at.
settings.register_profile("holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("holdfast")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's `make test &`: tests interrupt themselves and their children
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Frameworks and tests are some million objects that nobody lets go of: no later look for garbage (Keras makes one at
    each ``clear_session``) walks through them."""
    _settle()


@pytest.fixture(scope="module", autouse=True)
def what_frameworks_keep_of_this_module_costs_the_next_nothing() -> Iterator[None]:
    """Graphs and compiled functions stay in the frameworks' caches: without this a test that takes two seconds takes a minute
    where five thousand have run before it."""
    yield
    _settle()


def _settle() -> None:
    gc.collect()
    gc.freeze()
