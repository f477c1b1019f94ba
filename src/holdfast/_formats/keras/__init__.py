"""Keras: legacy HDF5, ``.weights.h5`` and ``.keras``."""
