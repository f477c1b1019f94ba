"""Comparison: match names, make differences, draft the plan that settles them."""
