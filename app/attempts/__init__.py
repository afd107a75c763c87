"""Attempts: what a run tried, rung by rung, what it did without, and why."""
