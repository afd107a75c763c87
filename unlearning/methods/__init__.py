"""How a run edits the adapter: one file per method, one explicit registry."""
