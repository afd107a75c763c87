"""API keys: issued and revoked by command, checked at the edge."""
