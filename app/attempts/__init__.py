"""Attempts: which rungs a run tried, which it skipped, and why."""
