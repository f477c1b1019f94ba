"""Who is told of a save: the log, a callback, trackers, a bar."""
