"""The audit log, its checkpoints in the store, and the verification of both (invariant I12)."""
