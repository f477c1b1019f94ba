"""Examine a checkpoint: scan its values, run the rules, fold consequences under their cause, judge."""
