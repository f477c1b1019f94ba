"""Pickles as inert nodes: nothing is imported or called."""
