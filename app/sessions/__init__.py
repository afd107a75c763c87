"""Sessions of the dashboard: begun with an API key, ended by log-out, by time, or with the key."""
