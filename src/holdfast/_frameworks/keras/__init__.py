"""Keras 3 models and optimizers, on any backend."""
