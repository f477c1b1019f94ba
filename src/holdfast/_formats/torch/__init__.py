"""PyTorch: zip files and the stream of old versions."""
