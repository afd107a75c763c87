"""The dependency `Once`: what a route that changes something does, it does once for each `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app import json_lines
from app.api_keys.authentication import caller_of
from app.audit.group_commit import NothingWritten
from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.dependencies import GatewayDependency
from app.errors import Problem, problem_response
from app.gateway import Gateway
from app.idempotency import service as answers
from app.idempotency.fingerprints import KeyedRequest
from app.idempotency.service import KEPT_FOR, Answer, KeyInUse

Result = TypeVar("Result")
REPLAYED = "Idempotent-Replayed"
# The server computes it anew.
_NOT_KEPT = frozenset({"content-length"})
_HEADER = "Idempotency-Key"
_FORM = r"^[\x21-\x7e]+$"
_MEANING = f"the same request with the same key gets the same answer for {KEPT_FOR.days} days"

_Key = Annotated[
    str | None, Header(alias=_HEADER, min_length=1, max_length=255, pattern=_FORM, description=_MEANING)
]
_HiddenKey = Annotated[
    str | None, Header(alias=_HEADER, min_length=1, max_length=255, pattern=_FORM, include_in_schema=False)
]


class _Refused(Problem):
    """A problem with the key itself. It is no answer to the request, so it is not kept."""


class _Answered(NothingWritten):
    """The request has an answer already."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class OnceRequest:
    """One request that is to have one effect, however often it is sent. Without a key, nothing is kept.

    A route does its work in `write`, opens its transaction with `transaction`, and passes its answer through `keep` in
    the transaction's block. Work in several transactions, each of which may be repeated, uses `keep_alone` at its end.
    """

    def __init__(self, gateway: Gateway, request: Request, keyed: KeyedRequest | None) -> None:
        self._gateway = gateway
        self._request = request
        self.keyed = keyed

    async def write(self, work: Callable[[], Response]) -> Response:
        """Like `Gateway.write`. A problem below 500 that the work raises is kept as the answer.

        Raises:
            Problem: 409, a request with this key is in flight; 422, the key was sent with another request.
        """
        return await self._one_at_a_time(self._gateway.write, work)

    async def import_(self, work: Callable[[], Response]) -> Response:
        """Like `write`, in the threads of `Gateway.import_`."""
        return await self._one_at_a_time(self._gateway.import_, work)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Like `Gateway.transaction`, and claims the key.

        Raises:
            DatabaseUnavailable: as `Gateway.transaction` does.
        """
        with self._gateway.transaction(before_lock=self._claim) as transaction:
            if self.keyed is not None:
                self._require_unanswered(self.keyed, transaction.session)
            yield transaction

    def write_grouped(self, subject: str, work: Callable[[Transaction], Result]) -> Result:
        """Do the work in a transaction like that of `transaction`, which others' work may share; see `GroupCommit`.

        Args:
            subject: whom it is about.

        Raises:
            DatabaseUnavailable: as `Gateway.transaction` does.
        """

        def unanswered(transaction: Transaction) -> Result:
            if self.keyed is not None:
                self._require_unanswered(self.keyed, transaction.session)
            return work(transaction)

        return self._gateway.group_commit.write(subject, unanswered, before_lock=self._claim)

    def keep(self, transaction: Transaction, response: Response) -> Response:
        """Store the answer in the transaction of what it answers: a crash leaves both or neither."""
        if self.keyed is not None:
            answer = _to_keep(self.keyed, response)
            answers.keep(transaction.session, self.keyed.key_mac, answer, transaction.now())
        return response

    def keep_alone(self, response: Response) -> Response:
        """Store an answer whose effects, if any, are committed and may be repeated."""
        if self.keyed is None:
            return response
        with self._gateway.database.unit_of_work() as session:
            answer = _to_keep(self.keyed, response)
            if answers.keep(session, self.keyed.key_mac, answer, database_now(session)):
                return response
            self._require_unanswered(self.keyed, session)
        return response

    async def _one_at_a_time(
        self,
        threads: Callable[[Callable[[], Response]], Awaitable[Response]],
        work: Callable[[], Response],
    ) -> Response:
        if self.keyed is None:
            return await threads(work)
        in_flight, key_mac = self._gateway.keys_in_flight, self.keyed.key_mac
        if key_mac in in_flight:
            return await threads(partial(self._kept_answer, self.keyed))
        in_flight.add(key_mac)
        try:
            return await threads(partial(self._answer, self.keyed, work))
        finally:
            in_flight.discard(key_mac)

    def _kept_answer(self, keyed: KeyedRequest) -> Response:
        """For a request whose key another one uses now: that one may be a repeat too, and repeats do not wait."""
        with self._gateway.database.read() as session:
            found = answers.find(session, keyed.key_mac, database_now(session))
        if found is None:
            raise _in_flight()
        return _replay(keyed, found)

    def _answer(self, keyed: KeyedRequest, work: Callable[[], Response]) -> Response:
        try:
            with self._gateway.database.read() as session:
                self._require_unanswered(keyed, session)
            try:
                return work()
            except Problem as problem:
                if isinstance(problem, _Refused) or problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                return self.keep_alone(problem_response(self._request, problem))
        except _Answered as known:
            return _replay(keyed, known.answer)
        except KeyInUse as error:
            raise _in_flight() from error

    def _claim(self, session: Session) -> None:
        if self.keyed is not None:
            answers.claim(session, self.keyed.key_mac)

    def _require_unanswered(self, keyed: KeyedRequest, session: Session) -> None:
        found = answers.find(session, keyed.key_mac, database_now(session))
        if found is not None:
            raise _Answered(found)


def respond(
    view: BaseModel, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer of a route as it is sent and kept."""
    return Response(view.model_dump_json(), status, headers, media_type="application/json")


def _to_keep(keyed: KeyedRequest, response: Response) -> Answer:
    headers = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
    return Answer(keyed.fingerprint, response.status_code, headers, bytes(response.body).decode())


def require_same(keyed: KeyedRequest, fingerprint: str) -> None:
    """
    Raises:
        Problem: 422, the key was sent with another request.
    """
    if fingerprint != keyed.fingerprint:
        raise _Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "This key was sent with another request. Take a new key for each request.",
        )


def _replay(keyed: KeyedRequest, answer: Answer) -> Response:
    require_same(keyed, answer.fingerprint)
    return Response(answer.body, answer.status, {**answer.headers, REPLAYED: "true"})


def _in_flight() -> Problem:
    return _Refused(
        HTTPStatus.CONFLICT,
        "idempotency-in-flight",
        "A request with this key is in flight. Send it again to get its answer.",
        headers={"Retry-After": "1"},
    )


async def _once(request: Request, gateway: GatewayDependency, key: _Key = None) -> OnceRequest:
    return await _request(request, gateway, key)


async def _keyed_once(request: Request, gateway: GatewayDependency, key: _HiddenKey = None) -> OnceRequest:
    if key is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "idempotency-key-required",
            f"Send an {_HEADER}, so that the same request can be sent again after a broken connection.",
        )
    return await _request(request, gateway, key)


async def _request(request: Request, gateway: Gateway, key: str | None) -> OnceRequest:
    if key is None:
        return OnceRequest(gateway, request, None)
    scope = request.scope
    keyed = KeyedRequest(
        gateway.subject_key,
        principal=(await caller_of(scope)).name,
        route=f"{scope['method']} {scope['route'].path_format}",
        key=key,
        target=f"{scope['path']}?{scope['query_string'].decode()}",
        body=await request.body(),
        in_lines=json_lines.are_sent(request.headers),
    )
    return OnceRequest(gateway, request, keyed)


Once = Annotated[OnceRequest, Depends(_once)]
# For routes that refuse a request without a key. They describe it with `KEY_PARAMETER`, because it is not optional.
KeyedOnce = Annotated[OnceRequest, Depends(_keyed_once)]
KEY_PARAMETER = {
    "name": _HEADER,
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _FORM},
    "description": _MEANING,
}
