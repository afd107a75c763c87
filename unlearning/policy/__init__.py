"""The policy: rungs, thresholds, which lengths of history are decided, when to skip a rung and when to consolidate."""
