"""The audit log as outsiders check it: checkpoints, entries and proofs over HTTP."""
