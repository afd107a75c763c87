"""Why the service could not be measured."""

from __future__ import annotations


class ServiceUnmeasurable(Exception):
    """The measurement cannot begin or go on; the message says why.

    Args:
        message: one line.
        log_tail: the last lines of the installation's log, if they say more.
    """

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail
