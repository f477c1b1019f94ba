"""Public doubles for tests: catalogs over plain numpy arrays, and disks that fail."""

from .catalogs import NumpyCatalog
from .faults import DroppingSink, FaultySink, Killed

__all__ = ["DroppingSink", "FaultySink", "Killed", "NumpyCatalog"]
