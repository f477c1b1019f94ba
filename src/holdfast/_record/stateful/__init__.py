"""State beside the model: where the data stands, fitted preprocessing, metrics in the middle of an epoch, and whatever else
goes on from step to step. One module for each kind; none imports a library that is not there already."""

from __future__ import annotations

from .kinds import capture, obstacles, put_back, stateful
from .nest import LARGEST_FILE, Captured, File

__all__ = ["LARGEST_FILE", "Captured", "File", "capture", "obstacles", "put_back", "stateful"]
