"""Forget requests: accepted, read back, retried."""
