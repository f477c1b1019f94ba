"""TensorFlow: sessions, checkpoints, SavedModels."""
