"""Structured logs: JSON, one object a line, or lines for people on a terminal.

Each line has the correlation id of the request or run it belongs to.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.line_budget import Sparing
from app.settings import LogFormat

CORRELATION_HEADER = "x-request-id"
# What servers and queues say of themselves tells nobody anything who watches `lethe up`.
_CHATTER = ("uvicorn", "uvicorn.error", "celery", "kombu")


def configure_logging(
    log_format: LogFormat = "auto", *, program: str = "lethe", level: int = logging.INFO
) -> None:
    """Route structlog and the standard library's loggers to standard error.

    uvicorn's access log stays off for good: it prints raw paths, and paths carry user ids (invariant I8).

    Args:
        log_format: `auto` is `console` where standard error is a terminal.
        program: what a line for people begins with; several processes may share the terminal.
    """
    terminal = sys.stderr.isatty()
    readable = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        *(_of_people(program) if readable else _OF_MACHINES),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        # Tracebacks stay plain: one with the values of variables would show ids.
        structlog.dev.ConsoleRenderer(
            colors=terminal,
            pad_event_to=0,
            pad_level=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
        if readable
        else structlog.processors.JSONRenderer()
    )
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
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "celery"):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True
    # A line for each request that is none, and asyncio's for each connection that cannot be taken.
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).filters[:] = [Sparing()]
    access = logging.getLogger("uvicorn.access")
    access.handlers[:], access.propagate, access.disabled = [], False, True
    # httpx prints full URLs at INFO; Alembic says on every start that it looked.
    for name in ("httpx", "httpx2", "alembic", *(_CHATTER if readable else ())):
        logging.getLogger(name).setLevel(logging.WARNING)


_OF_MACHINES: list[Any] = [
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _of_people(program: str) -> list[Any]:
    def name_program(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
        return line | {"logger": program}

    return [name_program, structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)]
