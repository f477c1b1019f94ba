"""The version of the JSON documents."""

__all__ = ["SCHEMA_VERSION"]

SCHEMA_VERSION = 1
"""Grows when a document changes so that an older reader would misunderstand it."""
