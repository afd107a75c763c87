"""Suppressions: the subjects who have asked to be forgotten. They are never deleted."""
