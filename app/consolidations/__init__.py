"""Consolidations: requested, by hand or by the budget."""
