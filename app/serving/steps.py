"""Runs what computes one answer, in a blocked thread or in the event loop.

The engine is written once, as generators that yield what they wait for. Only what waits differs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from app.serving.batcher import Waiting
from app.serving.errors import Draining
from app.serving.live import Answer
from app.serving.ranker import RankingRequest
from app.serving.recommendation import FallbackReason

Submitted = Waiting[RankingRequest, Answer | FallbackReason]
Result = TypeVar("Result")
# It yields a request that is in the batcher's queue, is sent what came of it, and returns the result.
Steps = Generator[Submitted, Answer | FallbackReason, Result]


def run(steps: Steps[Result], wait: Callable[[Submitted], Answer | FallbackReason]) -> Result:
    """The result; blocks the calling thread while a batch runs."""
    try:
        submitted = next(steps)
        while True:
            try:
                outcome = wait(submitted)
            except Draining:
                outcome = "draining"
            submitted = steps.send(outcome)
    except StopIteration as done:
        result: Result = done.value
        return result


async def run_soon(
    steps: Steps[Result], answer: Callable[[Submitted], Awaitable[Answer | FallbackReason]]
) -> Result:
    """The result; the event loop goes on while a batch runs."""
    try:
        submitted = next(steps)
        while True:
            try:
                outcome = await answer(submitted)
            except Draining:
                outcome = "draining"
            submitted = steps.send(outcome)
    except StopIteration as done:
        result: Result = done.value
        return result
