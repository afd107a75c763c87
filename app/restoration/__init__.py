"""After a restore: replaying the erasure journal into the database, and choosing what may serve (invariant I15)."""
