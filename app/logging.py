"""Structured logs, one JSON object a line, each with the correlation id of the request or run it belongs to."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.line_budget import Sparing

CORRELATION_HEADER = "x-request-id"


def configure_logging(*, human_readable: bool = False) -> None:
    """Route structlog and the standard library's loggers to standard error.

    uvicorn's access log stays off for good: it prints raw paths, and paths carry user ids (invariant I8).
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = structlog.dev.ConsoleRenderer() if human_readable else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "celery"):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True
    # A line for each request that is none, and asyncio's for each connection that cannot be taken.
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).filters[:] = [Sparing()]
    access = logging.getLogger("uvicorn.access")
    access.handlers[:], access.propagate, access.disabled = [], False, True
    # httpx prints full URLs at INFO; Alembic says on every start that it looked.
    for name in ("httpx", "httpx2", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
