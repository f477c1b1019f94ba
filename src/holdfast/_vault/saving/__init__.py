"""From frozen values to a committed step: files written, hashed, linked and made visible by one rename."""
