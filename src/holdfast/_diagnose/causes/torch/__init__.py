"""PyTorch and its trainers on one machine."""
