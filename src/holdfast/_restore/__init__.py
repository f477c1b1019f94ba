"""Restoring: a plan carried out on live objects, verified, exactly or not at all."""
