"""How long suppressions and recommendations take, by the hour."""
