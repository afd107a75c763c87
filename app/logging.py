"""Structured logs: one JSON object per line, or readable lines on a terminal.

Each line has the correlation id of its request or run.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.line_budget import Sparing
from app.settings import LogFormat

CORRELATION_HEADER = "x-request-id"
# The INFO lines of these loggers are of no use to somebody who watches `lethe up`.
_CHATTER = ("uvicorn", "uvicorn.error", "celery", "kombu")


def configure_logging(
    log_format: LogFormat = "auto",
    *,
    program: str = "lethe",
    level: int = logging.INFO,
    copying: structlog.types.Processor | None = None,
) -> None:
    """Route structlog and the standard library's loggers to standard error.

    uvicorn's access log is always off: it prints raw paths, and paths contain user ids (invariant I8).

    Args:
        log_format: `auto` means `console` if standard error is a terminal.
        program: the name at the beginning of a readable line, because several processes may share the terminal.
        copying: sees every line of ours before it is written.
    """
    terminal = sys.stderr.isatty()
    readable = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        *([copying] if copying else []),
        *(_of_people(program) if readable else _OF_MACHINES),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        # Plain tracebacks: a rich one shows the values of variables, which may be ids.
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
    # uvicorn logs a line for each malformed request, asyncio one for each connection that it cannot accept.
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).filters[:] = [Sparing()]
    access = logging.getLogger("uvicorn.access")
    access.handlers[:], access.propagate, access.disabled = [], False, True
    # At INFO, httpx logs full URLs and Alembic logs every start.
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
