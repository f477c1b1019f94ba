"""Rows on TensorFlow objects without Keras."""

from harness import Row

ROWS: list[Row] = []
