"""One module per format: recognise by content, read as a catalog, tell the format's own integrity evidence.

No module here imports a framework or executes anything that a file contains.
"""
