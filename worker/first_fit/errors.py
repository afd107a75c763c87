"""Why there can be no first version."""

from __future__ import annotations


class FirstFitError(Exception):
    """The first version cannot be made; the message says why and what to do."""
