"""The kill points: places of the forget path at which a process can be made to die.

The product does not know them: the process that is to die replaces its own functions before it runs a command.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import event
from sqlalchemy.orm import Session

Moment = Literal["called", "returned", "before_commit", "after_commit", "linking"]


@dataclass(frozen=True)
class KillPoint:
    """A process of this kind dies at this moment of a function's first call.

    ``target`` is ``module:qualified name``. The moments ``called`` and ``returned`` are before and after the function.
    The other moments are the next of their kind in the same thread, once the function has been called:
    ``before_commit`` and ``after_commit`` of a transaction, and ``linking`` when a file of the store is about to get
    its name.
    """

    name: str
    process: Literal["gateway", "worker"]
    target: str
    moment: Moment


def _around(process: Literal["gateway", "worker"], step: str, target: str) -> list[KillPoint]:
    return [
        KillPoint(f"{process} before {step}", process, target, "before_commit"),
        KillPoint(f"{process} after {step}", process, target, "after_commit"),
    ]


_STORE = "model_store.content_addressed:ContentAddressedStore"
KILL_POINTS = (
    *_around("gateway", "commit of the acceptance", "app.forget_requests.service:accept"),
    KillPoint("gateway before journal entry", "gateway", f"{_STORE}.append_journal", "called"),
    KillPoint("gateway within journal entry", "gateway", f"{_STORE}.append_journal", "linking"),
    KillPoint("gateway after journal entry", "gateway", f"{_STORE}.append_journal", "returned"),
    KillPoint("gateway before dispatch", "gateway", "app.runs.queue:RunQueue._send", "called"),
    KillPoint("gateway after dispatch", "gateway", "app.runs.queue:RunQueue._send", "returned"),
    KillPoint("gateway before swap", "gateway", "app.serving.live:LiveVersion.publish", "called"),
    *_around("gateway", "commit of its acknowledgement", "app.replicas.service:DatabaseControlPlane.report"),
    *_around("worker", "commit of the claim", "app.runs.service:claim"),
    KillPoint("worker before journal entry", "worker", f"{_STORE}.append_journal", "called"),
    *_around("worker", "commit of an attempt", "app.attempts.service:record"),
    KillPoint("worker within blob", "worker", f"{_STORE}._put_blob", "linking"),
    KillPoint("worker after blob", "worker", f"{_STORE}._put_blob", "returned"),
    KillPoint("worker within manifest", "worker", f"{_STORE}._put_manifest", "linking"),
    KillPoint("worker after manifest", "worker", f"{_STORE}._put_manifest", "returned"),
    *_around("worker", "commit of the candidate", "app.versions.service:announce_candidate"),
    *_around("worker", "commit of the pointer's move", "app.versions.service:publish"),
    KillPoint("worker before acknowledgements", "worker", "worker.publication:wait_for_acknowledgement", "called"),
    KillPoint("worker after acknowledgements", "worker", "worker.publication:wait_for_acknowledgement", "returned"),
    *_around("worker", "commit of the deletion", "app.runs.completion:erase_subjects"),
    KillPoint("worker before destruction", "worker", f"{_STORE}.destroy", "called"),
    KillPoint("worker within destruction", "worker", f"{_STORE}.destroy", "linking"),
    KillPoint("worker after destruction", "worker", f"{_STORE}.destroy", "returned"),
    *_around("worker", "commit of the record of a destruction", "app.versions.service:mark_destroyed"),
    *_around("worker", "commit of the completion", "app.runs.completion:complete"),
)  # fmt: skip


def arm(point: KillPoint, order: Path, *, whole: bool) -> None:
    """Make this process, or a process that it forks, die once at the kill point.

    Args:
        order: a file. A process that reaches the kill point while the file exists deletes it and dies.
        whole: whether all processes of the service die, or only the one that reaches the kill point.
    """
    armed = threading.local()

    def die() -> None:
        try:
            order.unlink()
        except FileNotFoundError:
            return
        if whole:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def at(moment: Moment) -> Callable[..., None]:
        def reached(*_: Any) -> None:
            if getattr(armed, "moment", None) == moment:
                die()

        return reached

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if point.moment == "called":
                die()
            armed.moment = point.moment
            result = function(*arguments, **named)
            if point.moment == "returned":
                die()
            return result

        return wrapped

    replace_everywhere(point.target, wrap)
    event.listen(Session, "before_commit", at("before_commit"))
    event.listen(Session, "after_commit", at("after_commit"))
    link, linking = os.link, at("linking")

    def link_or_die(*arguments: Any, **named: Any) -> None:
        linking()
        link(*arguments, **named)

    os.link = link_or_die


def replace_everywhere(target: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function, or a method of a class, also where modules have imported it by name.

    Raises:
        ImportError, AttributeError: the function does not exist, so the list of kill points is out of date.
    """
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    before = getattr(owner, name)
    after = wrap(before)
    setattr(owner, name, after)
    if owners:
        return
    for loaded in list(sys.modules.values()):
        if vars(loaded).get(name) is before:
            setattr(loaded, name, after)
