"""HDF5, read by ourselves: what Keras writes, bounded in memory whatever a file says."""
