"""Is the state what it was when its metrics were measured? Restored, measured again, and every difference explained."""
