"""Versions: which one serves, which have served, and the floor below which none may serve again."""
