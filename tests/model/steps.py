"""What may happen next. Each generator yields pairs of a name and the state after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.state import UNVERIFIED, Feed, Replica, Request, Run, Size, State, Version, Worker, newest

Steps = Iterator[tuple[str, State]]
MOST_CLAIMS = 2
NAMES = "abc"


@dataclass(frozen=True)
class Rules:
    """The safeguards of the service. A variant takes one of them out."""

    one_live_request: bool = True
    cancel_only_before_claim: bool = True
    lift_has_its_own_epoch: bool = True
    lift_ends_older_only: bool = True
    fence_checked: bool = True
    floor_raised: bool = True
    acknowledgement_awaited: bool = True
    older_versions_destroyed: bool = True
    sweeper_sends_again: bool = True
    verified_at_an_epoch_of_its_own: bool = True
    verified_if_no_other_is_in_force: bool = True


RIGHT = Rules()


def steps(state: State, rules: Rules, size: Size) -> Steps:
    """Everything that can happen in a state."""
    yield from _people(state, rules, size)
    yield from _queue(state, rules)
    for place, worker in enumerate(state.workers):
        yield from _claims(state, place, worker)
        if worker.fence:
            yield from _works(state, place, worker, rules)
    for place, replica in enumerate(state.replicas):
        yield from _serves(state, place, replica, rules, size)


def _people(state: State, rules: Rules, size: Size) -> Steps:
    # Subjects differ in nothing, so `a` is the first to ask.
    asked = len({one.subject for one in state.requests})
    for subject in range(min(size.subjects, asked + 1)):
        last = newest(state, subject)
        # Whoever is forgotten is suppressed, and has nothing new to ask for.
        suppressed = last is not None and not last.lifted
        if state.accepts and (not suppressed or not rules.one_live_request):
            for place, replica in enumerate(state.replicas):
                if replica.up:
                    accepted = _accept(state, subject, place)
                    yield f"replica accepts a request of {NAMES[subject]}", accepted
        waits = any(one.subject == subject and one.status == UNVERIFIED for one in state.requests)
        if state.received and not suppressed and not waits:
            yield f"replica receives a request of {NAMES[subject]}", _receive(state, subject, rules)
    for one in state.requests:
        name = NAMES[one.subject]
        stoppable = ("queued",) if rules.cancel_only_before_claim else ("queued", "unlearning", "deploying")
        if state.cancels and one.status in stoppable:
            epoch = state.epoch + rules.lift_has_its_own_epoch
            cancelled = one._replace(status="cancelled", lifted=epoch)
            yield (
                f"{name} cancels",
                _with(state, {one: cancelled})._replace(epoch=epoch, cancels=state.cancels - 1),
            )
        if one.status == UNVERIFIED:
            yield from _ends_or_begins(state, one, rules)
        if one.status == "attention":
            yield (
                f"somebody retries the request of {name}",
                _wait(_with(state, {one: one._replace(status="queued")})),
            )
    if state.previous in state.versions and state.previous is not None and state.previous[0] >= state.floor:
        yield "somebody rolls back", state._replace(live=state.previous, previous=None)


def _accept(state: State, subject: int, place: int) -> State:
    request = Request(subject, state.epoch + 1, "queued")
    after = state._replace(requests=(*state.requests, request), accepts=state.accepts - 1)
    return _begin(after, request, place)


def _receive(state: State, subject: int, rules: Rules) -> State:
    """Nothing begins. The service draws a number here too, which only orders lists, and the model leaves it out."""
    number = 0 if rules.verified_at_an_epoch_of_its_own else state.epoch + 1
    request = Request(subject, number, UNVERIFIED)
    return state._replace(
        epoch=max(state.epoch, number), requests=(*state.requests, request), received=state.received - 1
    )


def _ends_or_begins(state: State, one: Request, rules: Rules) -> Steps:
    name = NAMES[one.subject]
    yield f"nobody verifies the request of {name}", _with(state, {one: one._replace(status="expired")})
    others = [other for other in state.requests if other.subject == one.subject and other is not one]
    in_force = any(other.status not in (UNVERIFIED, "expired") and not other.lifted for other in others)
    if in_force and rules.verified_if_no_other_is_in_force:
        return
    for place, replica in enumerate(state.replicas):
        if replica.up:
            epoch = state.epoch + 1 if rules.verified_at_an_epoch_of_its_own else one.epoch
            verified = one._replace(epoch=epoch, status="queued")
            after = _begin(_with(state, {one: verified}), verified, place)
            yield f"somebody verifies the request of {name}", after


def _begin(state: State, request: Request, place: int) -> State:
    """The request is in force, and the replica that was asked knows it."""
    replica = state.replicas[place]
    others = frozenset(pair for pair in replica.knows if pair[0] != request.subject)
    told = replica._replace(knows=others | {(request.subject, request.epoch)})
    after = state._replace(epoch=max(state.epoch, request.epoch))
    return _wait(_with_replica(after, place, told))


def _queue(state: State, rules: Rules) -> Steps:
    if state.outbox:
        yield "the gateway sends the message", state._replace(outbox=False, message=True)
    if state.message and state.faults:
        yield "the broker loses the message", state._replace(message=False, faults=state.faults - 1)
    idle = state.waiting and state.run is None
    left = state.run is not None and state.run.lapsed
    if rules.sweeper_sends_again and (idle or left) and not state.message:
        yield "the sweeper sends a message", state._replace(message=True, outbox=False)
    if state.run is not None and not state.run.lapsed and state.faults:
        lapsed = state.run._replace(lapsed=True)
        yield "the run's worker is frozen", state._replace(run=lapsed, faults=state.faults - 1)
        holder = next(place for place, worker in enumerate(state.workers) if worker.fence == state.run.fence)
        killed = _with_worker(state, holder, Worker())
        yield "the run's worker is killed", killed._replace(run=lapsed, faults=state.faults - 1)


def _claims(state: State, place: int, worker: Worker) -> Steps:
    if not state.message or worker.fence:
        return
    before = state._replace(message=False, outbox=False)
    run, fence, epoch = state.run, state.fence + 1, state.epoch + 1
    if run is None:
        if not state.waiting:
            yield "a worker finds nothing to do", before
        else:
            taken = {
                one: one._replace(status="unlearning", taken=True)
                for one in state.requests
                if one.status == "queued"
            }
            after = _with(before, taken)._replace(
                run=Run(fence, epoch), fence=fence, epoch=epoch, waiting=False
            )
            yield "a worker claims the run", _with_worker(after, place, Worker(fence, epoch, state.live))
        return
    if not run.lapsed:
        yield "a worker finds another at work", before
    elif run.stage != "ladder":
        after = before._replace(
            run=run._replace(fence=fence, claims=run.claims + 1, lapsed=False), fence=fence
        )
        yield "another worker goes on with the run", _with_worker(after, place, Worker(fence, run.covers))
    elif run.claims >= MOST_CLAIMS:
        given_up = {one: one._replace(status="attention", taken=False) for one in _of_run(state)}
        after = _with(before, given_up)._replace(run=None)
        # The sweeper tells of the run that waits, if one does.
        yield "the run is given up", after
    else:
        again = Run(fence, epoch, claims=run.claims + 1)
        after = before._replace(run=again, fence=fence, epoch=epoch)
        yield (
            "another worker takes the run over",
            _with_worker(after, place, Worker(fence, epoch, state.live)),
        )


def _works(state: State, place: int, worker: Worker, rules: Rules) -> Steps:
    run = state.run
    holds = run is not None and run.fence == worker.fence
    if not holds and rules.fence_checked:
        yield "a worker learns that it has lost the run", _with_worker(state, place, Worker())
        return
    if run is None:
        return
    if worker.parent is not None and worker.candidate is None and run.stage == "ladder":
        forgotten = frozenset(one.subject for one in _of_run(state))
        made: Version = (worker.covers, worker.parent[1] - forgotten)
        after = state._replace(versions=state.versions | {made})
        yield "a worker stores a candidate", _with_worker(after, place, worker._replace(candidate=made))
    if worker.candidate is not None and run.stage == "ladder" and state.live == worker.parent:
        yield "a worker publishes" + ("" if holds else " without the fence"), _publish(state, worker, rules)
    if not holds or run.stage == "ladder":
        return
    if not worker.acknowledged and (not rules.acknowledgement_awaited or _acknowledged(state, run)):
        name = (
            "every replica has acknowledged" if rules.acknowledgement_awaited else "a worker waits for nobody"
        )
        yield name, _with_worker(state, place, worker._replace(acknowledged=True))
    if worker.acknowledged and run.stage == "published":
        kept = frozenset(one for one in state.versions if one == state.live or one[0] >= state.floor)
        after = state._replace(versions=kept if rules.older_versions_destroyed else state.versions)
        yield "the worker erases and destroys", after._replace(run=run._replace(stage="erased"))
    if worker.acknowledged and run.stage == "erased":
        completed = {one: one._replace(status="completed", taken=False) for one in _of_run(state)}
        over = {one.subject for one in completed}
        superseded = {
            one: one._replace(status="expired")
            for one in state.requests
            if one.status == UNVERIFIED and one.subject in over
        }
        after = _with_worker(_with(state, completed | superseded), place, Worker())
        yield "the worker completes", after._replace(run=None)


def _publish(state: State, worker: Worker, rules: Rules) -> State:
    run, candidate = state.run, worker.candidate
    assert run is not None
    assert candidate is not None
    deploying = {
        one: one._replace(status="deploying") for one in _of_run(state) if one.status == "unlearning"
    }
    return _with(state, deploying)._replace(
        live=candidate,
        previous=state.live,
        floor=max(state.floor, candidate[0]) if rules.floor_raised else state.floor,
        published=max(state.published, candidate[0]),
        run=run._replace(stage="published"),
        stale=state.stale or worker.fence != run.fence,
    )


def _acknowledged(state: State, run: Run) -> bool:
    return all(
        replica.epoch >= run.covers and replica.serves == state.live
        for replica in state.replicas
        if replica.up
    )


def _serves(state: State, place: int, replica: Replica, rules: Rules, size: Size) -> Steps:
    if not replica.up:
        yield "a replica starts", _with_replica(state, place, Replica())
        return
    if state.faults:
        stopped = _with_replica(state, place, Replica(up=False))
        yield "a replica is killed", stopped._replace(faults=state.faults - 1)
    if replica.reading is None:
        feed = _feed(state, replica.epoch)
        if feed.epoch != replica.epoch or not replica.fresh:
            late = replica._replace(reading=feed) if size.late else _hear(replica, feed, rules)
            yield "a replica reads the feed", _with_replica(state, place, late)
    else:
        heard = _hear(replica._replace(reading=None), replica.reading, rules)
        yield "the answer of the feed arrives", _with_replica(state, place, heard)
    if replica.fresh and replica.serves != state.live and state.live[0] >= state.floor:
        yield "a replica swaps", _with_replica(state, place, replica._replace(serves=state.live))


def _feed(state: State, after: int) -> Feed:
    in_force = [one for one in state.requests if one.status not in (UNVERIFIED, "expired")]
    rows = [one for one in in_force if one.epoch > after or one.lifted > after]
    return Feed(
        state.epoch,
        tuple((one.epoch, one.subject) for one in rows),
        tuple((one.lifted, one.subject) for one in rows if one.lifted),
    )


def _hear(replica: Replica, feed: Feed, rules: Rules) -> Replica:
    knows = dict(replica.knows)
    ended: dict[int, int] = {}
    for lifted, subject in feed.lifted:
        ended[subject] = max(lifted, ended.get(subject, 0))
    for epoch, subject in feed.suppressed:
        if epoch > ended.get(subject, 0):
            knows[subject] = max(epoch, knows.get(subject, 0))
    for subject, lifted in ended.items():
        if subject in knows and (knows[subject] < lifted or not rules.lift_ends_older_only):
            del knows[subject]
    return replica._replace(knows=frozenset(knows.items()), epoch=max(replica.epoch, feed.epoch), fresh=True)


def _of_run(state: State) -> list[Request]:
    return [one for one in state.requests if one.taken]


def _wait(state: State) -> State:
    return state if state.waiting else state._replace(waiting=True, outbox=True)


def _with(state: State, changed: dict[Request, Request]) -> State:
    return state._replace(requests=tuple(changed.get(one, one) for one in state.requests))


def _with_worker(state: State, place: int, worker: Worker) -> State:
    workers = list(state.workers)
    workers[place] = worker
    return state._replace(workers=tuple(workers))


def _with_replica(state: State, place: int, replica: Replica) -> State:
    replicas = list(state.replicas)
    replicas[place] = replica
    return state._replace(replicas=tuple(replicas))
