"""While a run lasts: signals, disks that hang, and old steps that are read again."""
