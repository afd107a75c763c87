"""Suppressions: who has asked to be forgotten. Never deleted."""
