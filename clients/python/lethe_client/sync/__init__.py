"""The client without async. `python -m docs.generate` derives `lethe_client/aio/` from these files."""
