"""Forget requests: accepting, reading and retrying them."""
