"""What an answer without an end and its connection need of each other. Both are callables in the request's state."""

# Left by the connection: closes it at once, for a client that does not read.
HANG_UP = "hang_up"
# Left by the application: ends the answer, because the server stops.
WHEN_STOPPING = "when_stopping"
