"""Selections: some of a person's events that must be forgotten, while the person stays."""
