"""Sends webhooks: a thread of each gateway, and one more for each answer that is waited for.

It is the gateway's, because the worker's process is busy with a run for minutes, and a delivery must not delay one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from http import HTTPStatus

import structlog

from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.events.names import EventName
from app.events.schemas import EventBody
from app.opendsr.callbacks import Callbacks
from app.opendsr.service import Told
from app.webhooks import queries, service
from app.webhooks.sending import Answer, Code, Sender
from app.webhooks.service import GIVEN_UP_AFTER, Attempt
from app.webhooks.signing import Signer, answers_challenge

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
# So many endpoints may be slow at the same time without holding up others.
_AT_A_TIME = 8


class Deliverer:
    """
    Args:
        transaction: begins a transaction under the ledger's lock.
        sender: makes the attempts.
        signer: signs the messages.
        acknowledge: takes a recipient's acknowledgement of a request, by the request's id and the endpoint's name.
        callbacks: writes those of OpenDSR; None if that is off.
    """

    def __init__(
        self,
        database: Database,
        transaction: Callable[[], AbstractContextManager[Transaction]],
        sender: Sender,
        signer: Signer,
        acknowledge: Callable[[Transaction, str, str], object],
        callbacks: Callbacks | None,
    ) -> None:
        self._database = database
        self._transaction = transaction
        self._sender = sender
        self.signer = signer
        self._acknowledge = acknowledge
        self._callbacks = callbacks
        self._changed = threading.Condition()
        # The endpoints to which a message is on its way. One at a time, so that events arrive in order if all is well.
        self._busy: set[str] = set()
        self._stopping = False
        self._woken = False
        self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Begin no more attempts, and wait for the others. One that does not end in time is made again elsewhere."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, seconds)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def wake(self) -> None:
        """Look for work now."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def _loop(self) -> None:
        failing = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._woken, _LOOK_SECONDS)
                self._woken = False
                if self._stopping:
                    return
                busy = frozenset(self._busy)
            try:
                for attempt in self._take(busy):
                    self._begin(attempt)
                failing = False
            except Exception as error:  # noqa: BLE001  (nobody would notice a dead thread)
                if not failing:
                    log.warning("webhooks.not_looked", error=type(error).__name__)
                failing = True

    def _take(self, busy: frozenset[str]) -> list[Attempt]:
        with self._database.read() as session:
            if not queries.work_waits(session, database_now(session), but=busy):
                return []
        with self._database.unit_of_work() as session:
            now = database_now(session)
            service.plan(session, now)
            return service.claim(session, now, limit=_AT_A_TIME - len(busy), but=busy)

    def _begin(self, attempt: Attempt) -> None:
        with self._changed:
            self._busy.add(attempt.delivery.endpoint_id)
        # A daemon, so that a receiver that hangs does not keep the process alive.
        threading.Thread(target=self._attempt, args=(attempt,), name="webhook", daemon=True).start()

    def _attempt(self, attempt: Attempt) -> None:
        delivery = attempt.delivery
        try:
            answer = self._send(attempt)
            self._settle(attempt, answer)
            log.info(
                "webhook.attempted",
                delivery=delivery.id, endpoint=delivery.endpoint_id, number=attempt.number, code=answer.code,
            )  # fmt: skip
        except DatabaseUnavailable:
            log.warning("webhook.not_settled", delivery=delivery.id)
        except Exception as error:  # noqa: BLE001  (the endpoint would stay busy)
            log.error("webhook.failed", delivery=delivery.id, error=type(error).__name__)
        finally:
            with self._changed:
                self._busy.discard(delivery.endpoint_id)
            self.wake()

    def _send(self, attempt: Attempt) -> Answer:
        delivery = attempt.delivery
        if delivery.sequence is None:
            challenge = self.signer.challenge(delivery.id)
            told = {
                "type": service.CHALLENGE,
                "timestamp": delivery.created_at.isoformat(),
                "data": {"challenge": challenge},
            }
            answer = self._post(attempt, delivery.id, json.dumps(told))
            if answer.code is Code.DELIVERED and not answers_challenge(answer.body, challenge):
                return replace(answer, code=Code.CHALLENGE_FAILED)
            return answer
        if attempt.event is None:
            return Answer(Code.EVENT_DROPPED)
        if attempt.told is not None:
            return self._call_back(attempt.url, attempt.told)
        # The same for every endpoint and attempt: whoever has seen it before can tell.
        return self._post(attempt, f"evt_{delivery.sequence}", EventBody.of(attempt.event).model_dump_json())

    def _call_back(self, url: str, told: Sequence[Told]) -> Answer:
        """Make all callbacks of one event. If one of them fails, all are made again."""
        if self._callbacks is None:
            return Answer(Code.UNSIGNED)
        answer = Answer(Code.EVENT_DROPPED)
        for one in told:
            headers, body = self._callbacks.message(one, url)
            answer = self._sender.send(url, headers, body)
            if answer.code is not Code.DELIVERED:
                break
        return answer

    def _post(self, attempt: Attempt, message_id: str, body: str) -> Answer:
        headers = self.signer.headers(attempt.delivery.endpoint_id, message_id, attempt.at, body)
        return self._sender.send(attempt.url, headers, body.encode())

    def _settle(self, attempt: Attempt, answer: Answer) -> None:
        endpoint_id, event = attempt.delivery.endpoint_id, attempt.event
        challenge = attempt.delivery.sequence is None
        notice = event is not None and event.name == EventName.FORGET_RECIPIENT_NOTICE
        if answer.code is Code.DELIVERED and (challenge or notice):
            # In one transaction: what follows from the answer must not be lost with this process.
            with self._transaction() as transaction:
                endpoint = service.settle(transaction.session, attempt, answer, now=transaction.now())
                if challenge:
                    service.activate(transaction, endpoint_id)
                # 202 means that the recipient has only noted it, and will say when it is done.
                elif endpoint is not None and answer.status != HTTPStatus.ACCEPTED:
                    assert event is not None
                    self._acknowledge(transaction, event.request_id or "", endpoint.name)
            return
        with self._database.unit_of_work() as session:
            now = database_now(session)
            endpoint = service.settle(session, attempt, answer, now=now)
            since = None if endpoint is None else endpoint.failing_since
        if answer.code is Code.GONE:
            self._disable(endpoint_id, "gone")
        elif since is not None and now - since >= GIVEN_UP_AFTER:
            self._disable(endpoint_id, "failing")

    def _disable(self, endpoint_id: str, reason: str) -> None:
        with self._transaction() as transaction:
            disabled = service.disable(transaction, endpoint_id, reason)
        if disabled:
            log.error("webhook.disabled", endpoint=endpoint_id, reason=reason)
