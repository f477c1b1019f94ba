"""What any framework prints: the disk, the system, limits, the kind of an error."""
