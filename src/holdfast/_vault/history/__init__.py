"""A run over all its checkpoints, as documents and reports."""
