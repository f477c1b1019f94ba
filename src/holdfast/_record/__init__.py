"""What a save remembers beside the tensors: the record's schema, its canonical text and its own digest."""
