"""What can go wrong between this gateway and its vLLM server.

VllmError
├── ServerFailed    no answer, or an error of the server's own; it may pass
├── NameUnknown     the server has no model of this name
├── CallRefused     the server does not take the call; has ``status``
└── AnswerDistrusted  the answer is not one that this name could have given
"""

from __future__ import annotations


class VllmError(Exception):
    """Root. Messages name no user and hold no prompt."""


class ServerFailed(VllmError):
    """The server does not answer, or failed."""


class NameUnknown(VllmError):
    """The server has no model of this name."""


class CallRefused(VllmError):
    """The server does not take the call."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class AnswerDistrusted(VllmError):
    """The server's answer cannot be one of the model that was asked."""
