"""Targets: other systems that hold the users, and whose acknowledgement a request waits for."""
