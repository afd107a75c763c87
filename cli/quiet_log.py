"""Logging for commands that print their own messages."""

from __future__ import annotations

import logging


def log_warnings_only() -> None:
    """Log warnings and errors to standard error, and nothing else: the command itself prints what it does."""
    from app.logging import configure_logging
    from app.settings import get_settings

    configure_logging(get_settings().log_format, level=logging.WARNING)
