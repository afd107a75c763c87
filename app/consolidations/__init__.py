"""Consolidations: requested by hand, or because the budget is spent."""
