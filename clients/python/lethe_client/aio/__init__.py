# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""The client for async code. `python -m docs.generate` derives `lethe_client/aio/` from these files."""
