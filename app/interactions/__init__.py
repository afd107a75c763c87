"""Users' events: ingested, read for training, counted for the fallback."""
