"""Logs for machines, and lines for people on a terminal."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from app.logging import configure_logging
from app.settings import LogFormat


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "kombu", "httpx", "httpx2", "alembic")
    before = {
        name: (logger.level, logger.handlers[:], logger.propagate, logger.disabled)
        for name in names
        if (logger := logging.getLogger(name))
    }
    yield
    root.handlers[:], root.level = handlers, level
    for name, (old_level, old_handlers, propagate, disabled) in before.items():
        logger = logging.getLogger(name)
        logger.setLevel(old_level)
        logger.handlers[:], logger.propagate, logger.disabled = old_handlers, propagate, disabled
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).filters[:] = []
    structlog.reset_defaults()


def logged(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, log_format: LogFormat) -> list[str]:
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(log_format, program="gateway")
    structlog.get_logger("tests.of_logging").warning("lease.lost", fence=7)
    logging.getLogger("celery.worker").info("ready.")
    logging.getLogger("celery.worker").error("lost the broker")
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(("stream", "log_format"), [(io.StringIO, "auto"), (Terminal, "json")])
def test_machines_get_json(
    stream: type[io.StringIO], log_format: LogFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, ready, lost = map(json.loads, logged(stream(), monkeypatch, log_format))
    assert (first["event"], first["fence"], first["level"]) == ("lease.lost", 7, "warning")
    assert first["timestamp"].endswith("Z")
    assert (ready["event"], lost["event"]) == ("ready.", "lost the broker")


@pytest.mark.parametrize(("stream", "log_format"), [(Terminal, "auto"), (io.StringIO, "console")])
def test_people_get_lines_and_no_chatter(
    stream: type[io.StringIO], log_format: LogFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(stream(), monkeypatch, log_format)
    assert len(lines) == 2
    for word in ("lease.lost", "gateway", "fence"):
        assert word in lines[0]
    assert "lost the broker" in lines[1]
    assert not lines[0].startswith("{")


def test_a_traceback_for_people_shows_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(program="gateway")
    user_id = "quetzal-" + "7" * 3
    try:
        raise ValueError(len(user_id))
    except ValueError:
        structlog.get_logger("tests.of_logging").exception("unexpected")
    assert "Traceback" in stream.getvalue()
    assert "quetzal-777" not in stream.getvalue()
