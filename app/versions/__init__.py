"""Versions: what serves, what served, and the floor below which nothing serves again."""
