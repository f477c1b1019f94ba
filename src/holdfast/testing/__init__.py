"""Public doubles for tests: catalogs over plain numpy arrays."""

from .catalogs import NumpyCatalog

__all__ = ["NumpyCatalog"]
