"""Engine, transactions, tables and time limits. The rules about the rows are in the neighbouring packages."""
