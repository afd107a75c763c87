"""The gate: the decision whether a candidate is accepted, the band it compares with, and the search for a strength."""
