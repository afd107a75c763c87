"""The gate: the pure decision whether a candidate is accepted, the band it uses, and the search for a strength."""
