"""What a save consists of: the state as tensors and values, and all that is recorded beside it."""
