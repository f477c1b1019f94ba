"""Known causes, one module a family. A new one is a row in ``ENTRIES``, with the text it must be found in."""
