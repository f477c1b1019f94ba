"""Back into live objects: the newest step that is whole and fits, and the state beside the model."""
