"""Runs: queued, claimed under a fence, tried rung by rung, completed or handed back."""
