"""Each guard of the promises is taken away on purpose, and a test must notice (`make guards`)."""
