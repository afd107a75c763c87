"""What an operator sets: rungs, thresholds, lengths of history that are decided, when to skip and to consolidate."""
