"""What a command logs while it talks to a person by itself."""

from __future__ import annotations

import logging


def log_warnings_only() -> None:
    """To standard error; what goes as it should, the command says in its own words."""
    from app.logging import configure_logging
    from app.settings import get_settings

    configure_logging(get_settings().log_format, level=logging.WARNING)
