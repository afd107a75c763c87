"""Measures the whole service as a user meets it: real processes, through HTTP."""
