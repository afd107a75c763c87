"""Levels as the database keeps them, and the making of them by one worker at a time."""
