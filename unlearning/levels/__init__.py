"""Levels: what models that never saw a user make of that user's events, measured by fits on halves of the users."""
