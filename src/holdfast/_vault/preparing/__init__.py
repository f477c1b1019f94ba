"""Before the first save: what may stand against it, looked for and tried."""
