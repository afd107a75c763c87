"""Why there can be no first version."""

from __future__ import annotations


class FirstFitError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""
