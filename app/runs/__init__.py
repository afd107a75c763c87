"""Runs: queued, claimed under a fence, carried out rung by rung, and completed or handed back."""
