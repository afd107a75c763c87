"""Readership: whom a base and replaced versions have read (invariant I13)."""
