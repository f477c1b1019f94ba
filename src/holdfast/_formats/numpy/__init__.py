"""``.npy`` and ``.npz``."""
