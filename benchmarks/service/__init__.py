"""The whole service as its user meets it: real processes, measured through HTTP."""
