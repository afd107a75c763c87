"""What a person may do with a request on its page, one at a time or many at once.

Which actions a request's state allows, the view of the request says; `app.forget_requests.decisions` carries them out,
as for callers of the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from app.api_keys.authentication import Caller
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.dashboard.access import Viewer
from app.db.models import ForgetRequest, RequestStatus
from app.errors import Problem
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decision_endpoints import decide_about, follow, lift_by
from app.forget_requests.decisions import BY_EVENT, Action, Decision
from app.forget_requests.schemas import (
    CancelBody,
    DenyBody,
    ExpediteBody,
    ExtendBody,
    HoldBody,
    ReadmitBody,
    VerifyBody,
)
from app.forget_requests.states import REQUESTS
from app.forget_requests.verification_endpoint import begin, verify_by
from app.gateway import Gateway


@dataclass(frozen=True)
class Offer:
    """One action. ``does`` says what follows, ``body`` what the form must hold, and ``many`` whether many may be taken
    at once.
    """

    action: Action
    label: str
    scope: Scope
    does: str
    body: type[BaseModel] | None = None
    many: bool = False

    @property
    def choice(self) -> str:
        """The field that is chosen from a list."""
        return "method" if self.asks_for("method") else "reason"

    @property
    def choices(self) -> Sequence[str]:
        """What may be chosen; empty if the action has no form."""
        return get_args(self.body.model_fields[self.choice].annotation) if self.body is not None else ()

    def asks_for(self, field: str) -> bool:
        return self.body is not None and field in self.body.model_fields

    def before(self) -> tuple[RequestStatus, ...]:
        """The states in which it is allowed."""
        events = [event for event, action in BY_EVENT.items() if action is self.action]
        return tuple(status for event in events for status in REQUESTS.before(event))

    def read(self, fields: Mapping[str, list[str]]) -> BaseModel | None:
        """The form's fields, checked.

        Raises:
            Problem: 422, a field is missing or not allowed.
        """
        if self.body is None:
            return None
        given: dict[str, Any] = {name: fields[name][0] for name in self.body.model_fields if name in fields}
        if "subject_told" in given:
            given["subject_told"] = given["subject_told"] == "yes"
        if "review_at" in given:
            # The field is a day. A hold is looked at when that day begins, UTC.
            given["review_at"] += "T00:00:00+00:00"
        try:
            return self.body.model_validate(given)
        except ValidationError as error:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "validation-failed",
                f"{self.label}: the form lacks a value, or has one that is not allowed.",
            ) from error

    def take(
        self, gateway: Gateway, request_id: str, viewer: Viewer, body: BaseModel | None
    ) -> ForgetRequest:
        """Carry the action out.

        Raises:
            Problem: 404, there is no such request; 403, this person may not do it; 409, not in its state.
        """
        caller = Caller(viewer.name, viewer.scopes)
        if isinstance(body, VerifyBody):
            with gateway.transaction() as transaction:
                accepted = verify_by(gateway, transaction, caller, request_id, body.method)
            begin(gateway, accepted)
            return accepted.request
        reason = str(getattr(body, "reason", ""))
        decide = partial(self._decide, gateway, body)
        with gateway.transaction() as transaction:
            request = decide_about(transaction, caller, request_id, self.action, decide, reason=reason)
            entry = lift_by(transaction, request, self.action)
        follow(gateway, entry)
        return request

    def _decide(
        self,
        gateway: Gateway,
        body: BaseModel | None,
        transaction: Transaction,
        request: ForgetRequest,
        decision: Decision,
    ) -> None:
        about = (transaction, request, decision)
        match self.action:
            case Action.APPROVE:
                decisions.approve(*about, gateway.request_policy)
            case Action.DENY:
                decisions.deny(*about)
            case Action.HOLD:
                assert isinstance(body, HoldBody)
                decisions.hold(*about, review_at=body.review_at)
            case Action.RELEASE:
                decisions.release(*about)
            case Action.CANCEL:
                decisions.cancel(*about)
            case Action.EXTEND:
                decisions.extend(*about, gateway.request_policy)
            case Action.EXPEDITE:
                decisions.expedite(*about)
            case Action.READMIT:
                decisions.readmit(*about)
            case Action.RETRY:
                forget_requests.retry(transaction, request.id, actor=decision.actor, now=decision.now)


OFFERS = {
    offer.action: offer
    for offer in (
        Offer(
            Action.VERIFY, "Verify", Scope.FORGET_VERIFY,
            "says that you have made sure that the person has asked; the suppression begins", VerifyBody,
        ),
        Offer(
            Action.APPROVE, "Approve", Scope.FORGET_APPROVE,
            "lets it go on; somebody else must have sent it", many=True,
        ),
        Offer(
            Action.RETRY, "Retry", Scope.FORGET_RETRY,
            "queues it again from the first rung on; its deadline does not move", many=True,
        ),
        Offer(
            Action.RELEASE, "End the hold", Scope.FORGET_HOLD,
            "lets it go on where it was stopped", many=True,
        ),
        Offer(
            Action.EXPEDITE, "Expedite", Scope.FORGET_EXPEDITE,
            "puts it before the others, and ends its cancel window", ExpediteBody,
        ),
        Offer(
            Action.HOLD, "Hold", Scope.FORGET_HOLD,
            "stops it before a run takes it; suppression and deadline stay", HoldBody,
        ),
        Offer(
            Action.EXTEND, "Extend", Scope.FORGET_EXTEND,
            "moves the deadline to the legal limit, once", ExtendBody,
        ),
        Offer(
            Action.DENY, "Deny", Scope.FORGET_DENY,
            "takes two people who give the same reason; then the suppression is lifted", DenyBody,
        ),
        Offer(
            Action.CANCEL, "Cancel", Scope.FORGET_CANCEL,
            "withdraws it at the person's wish; the suppression is lifted", CancelBody,
        ),
        Offer(
            Action.READMIT, "Readmit", Scope.SUPPRESSION_LIFT,
            "takes two people; from then on new events are stored, and nothing old comes back", ReadmitBody,
        ),
    )
}  # fmt: skip


def offered(actions: Sequence[Action], viewer: Viewer) -> list[Offer]:
    """Those of a request's actions that this viewer may take, in the order of the pages."""
    if viewer.token is None:
        return []
    return [offer for action, offer in OFFERS.items() if action in actions and viewer.may(offer.scope)]


def named(name: str, viewer: Viewer) -> Offer:
    """The action of this name.

    Raises:
        Problem: 404, there is none; 403, the viewer may not take it.
    """
    offer = OFFERS.get(Action(name)) if name in list(Action) else None
    if offer is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "There is no such action.")
    if not viewer.may(offer.scope):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "missing-scope",
            f"This key lacks the scope {offer.scope}.",
            scope=str(offer.scope),
        )
    return offer
