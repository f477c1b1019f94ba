"""Holdfast inside other tools: each module here is imported by those who use that tool, and by nobody else."""
