"""From an error text to its cause: what was printed is read, known causes are weighed, and tested on the files."""
