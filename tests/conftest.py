"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parent))


def pytest_collection_finish() -> None:
    """Frameworks and tests are some million objects that nobody lets go of: no later look for garbage (Keras makes one at
    each ``clear_session``) walks through them."""
    gc.collect()
    gc.freeze()
