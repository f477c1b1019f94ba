"""Many processes and machines: distributed saves, shards, launchers."""
