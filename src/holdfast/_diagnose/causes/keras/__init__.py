"""Keras of all generations, and HDF5."""
