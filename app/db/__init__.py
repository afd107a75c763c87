"""Engine, transactions, tables, and how long anybody waits for them. The domain is in the folders beside it."""
