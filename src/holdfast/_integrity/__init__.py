"""Digests, seals, verification: what proves that bytes are still what they were."""
