"""A vault's folder: the names in it, its steps and which of them stay, and what a dropped step leaves behind."""
