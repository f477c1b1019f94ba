"""One run's checkpoints: snapshot, commit, retention, history."""
