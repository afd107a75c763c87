"""The outbox: what is to be told outside, kept in the transaction that gives cause for it."""
