"""Takedowns: items that are never recommended again, and whose events are forgotten. They are never deleted."""
