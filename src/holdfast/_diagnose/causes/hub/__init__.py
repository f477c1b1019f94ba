"""Published checkpoints: hubs, downloads, adapters, converters, serving."""
