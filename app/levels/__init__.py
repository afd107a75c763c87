"""Levels in the database, and their making by one worker at a time."""
