import logging

import pytest

from app import line_budget
from app.line_budget import LineBudget, Sparing


def test_lines_beyond_the_budget_are_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(line_budget.time, "monotonic", lambda: now)
    budget = LineBudget(lines=2)
    assert [budget.take() for _ in range(5)] == [0, 0, None, None, None]
    now = 59.0
    assert budget.take() is None
    now = 60.0
    assert [budget.take() for _ in range(3)] == [4, 0, None]


def test_a_server_goes_on_to_say_what_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.sparing")
    logger.addFilter(Sparing(lines=1))
    with caplog.at_level(logging.INFO, logger.name):
        for _ in range(3):
            logger.warning("Invalid HTTP request received.")
            logger.info("Started")
        logger.error("Exception in ASGI application")
    assert caplog.messages.count("Invalid HTTP request received.") == 1
    assert caplog.messages.count("Started") == 3
    # Strangers cause warnings at will; they must not hide an error.
    assert caplog.messages.count("Exception in ASGI application") == 1
