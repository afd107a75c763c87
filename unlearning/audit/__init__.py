"""What an auditor measures who has references or shadow models; too slow for the gate of every run."""
