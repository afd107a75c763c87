"""Bearer tokens of an OpenID Connect provider: verified against its keys, and turned into callers."""
