"""Rules: one module per family, one function per code; catalogs, faults and files in, findings out."""
