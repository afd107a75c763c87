"""What there is in the model: everything is a value, so that two equal states are one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

# A version: the epoch that it covers, and the subjects whom it knows. No two runs cover the same epoch.
Version = tuple[int, frozenset[int]]

OPEN = ("queued", "unlearning", "deploying", "attention")
# Waits for its verification. Nothing has begun.
UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Size:
    """How much may happen. Faults and wishes are bounded, what the service does about them is not."""

    subjects: int = 2
    replicas: int = 2
    workers: int = 2
    accepts: int = 2
    cancels: int = 1
    # How many requests end users send themselves, which somebody must verify.
    received: int = 0
    faults: int = 0
    # Whether an answer of the feed may arrive later than what has happened meanwhile.
    late: bool = True


class Request(NamedTuple):
    """A request about the subject. ``epoch`` is 0 until it is verified.

    ``lifted`` is the epoch at which its suppression ended, 0 while it is in force.

    ``taken``: it belongs to the run that is under way.
    """

    subject: int
    epoch: int
    status: str
    lifted: int = 0
    taken: bool = False


class Run(NamedTuple):
    """The run that is under way. ``lapsed``: its worker was not heard of for longer than its lease."""

    fence: int
    covers: int
    stage: str = "ladder"
    claims: int = 1
    lapsed: bool = False


class Worker(NamedTuple):
    """A worker. One whose fence is old does not know it. ``fence`` is 0 while it has no run."""

    fence: int = 0
    covers: int = 0
    parent: Version | None = None
    candidate: Version | None = None
    acknowledged: bool = False


class Feed(NamedTuple):
    """One answer of the feed: suppressions and lifts above a cursor, as pairs of epoch and subject."""

    epoch: int
    suppressed: tuple[tuple[int, int], ...]
    lifted: tuple[tuple[int, int], ...]


class Replica(NamedTuple):
    """A gateway process. ``knows`` are pairs of subject and epoch; ``epoch`` is what it says that it enforces.

    ``fresh``: it has heard the feed since it started; before that it personalises for nobody. ``serves`` is the version
    in its memory.
    """

    knows: frozenset[tuple[int, int]] = frozenset()
    epoch: int = 0
    fresh: bool = False
    serves: Version | None = None
    reading: Feed | None = None
    up: bool = True


class State(NamedTuple):
    """The database, the broker, the store, the workers and the replicas.

    ``waiting``: a queued run waits. ``outbox`` and ``message``: somebody is to be told of it, and is told.
    ``published`` is the highest epoch that was ever published, and ``stale`` whether a worker without the run's fence
    has published: only promises look at these two.
    """

    requests: tuple[Request, ...]
    replicas: tuple[Replica, ...]
    workers: tuple[Worker, ...]
    live: Version
    versions: frozenset[Version]
    accepts: int
    cancels: int
    faults: int
    received: int = 0
    previous: Version | None = None
    epoch: int = 0
    fence: int = 0
    floor: int = 0
    run: Run | None = None
    waiting: bool = False
    outbox: bool = False
    message: bool = False
    published: int = 0
    stale: bool = False


def first(size: Size) -> State:
    """Everybody is known to the live version, nobody has asked for anything."""
    version = (0, frozenset(range(size.subjects)))
    return State(
        requests=(),
        replicas=(Replica(fresh=True, serves=version),) * size.replicas,
        workers=(Worker(),) * size.workers,
        live=version,
        versions=frozenset([version]),
        accepts=size.accepts,
        cancels=size.cancels,
        faults=size.faults,
        received=size.received,
    )


def alike(state: State) -> State:
    """The same state with workers and replicas in a fixed order: it makes no difference which of them is which."""
    return state._replace(
        workers=tuple(sorted(state.workers, key=_order)), replicas=tuple(sorted(state.replicas, key=_order))
    )


@cache
def _order(item: Worker | Replica) -> str:
    # Hashes would do as well, and differ from process to process.
    return repr(item)


def newest(state: State, subject: int) -> Request | None:
    """The subject's newest request that was verified."""
    return max(
        (one for one in state.requests if one.subject == subject and one.epoch),
        key=lambda one: one.epoch,
        default=None,
    )
