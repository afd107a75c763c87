"""Batches of forget requests: accepted item by item, with a result for each."""
