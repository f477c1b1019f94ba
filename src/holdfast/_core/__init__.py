"""The words everything else is written in: specs, catalogs, findings, plans, errors. Numpy at most."""
