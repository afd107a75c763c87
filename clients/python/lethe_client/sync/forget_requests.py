"""Calls about forget requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from time import monotonic, sleep
from typing import Any

from lethe_client.batches import ForgetItem, Selection
from lethe_client.errors import NeedsAttention, WaitTimeout
from lethe_client.exchange import Call, accepted, id_of, segment
from lethe_client.models import (
    AcceptedRequest,
    CancelReason,
    DenialReason,
    ErasureStatistics,
    ExpediteReason,
    ExtendReason,
    ForgetRequest,
    ForgetRequestDetail,
    ForgetRequestPage,
    HoldReason,
    ReadmitReason,
    Reason,
    Regime,
    Status,
    VerificationMethod,
)
from lethe_client.sync.connection import Connection


class ForgetRequests(Connection):
    """Asking for a user to be forgotten, following requests, and deciding about them."""

    def forget(
        self,
        user_id: str,
        *,
        reason: Reason | None = None,
        client_reference: str | None = None,
        interactions: Selection | None = None,
        regime: Regime | None = None,
        zone: str | None = None,
        requested_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AcceptedRequest:
        """Ask for a user to be forgotten. The id travels in the body, so no log of addresses has it.

        A repeat returns the same request. Somebody who is not known gets the same answer.

        Args:
            user_id: any id.
            reason: why the person asks.
            client_reference: your own ticket number; it must not identify the user.
            interactions: only these of the person's events; everything otherwise.
            regime: the rules of the deadline; the service's own otherwise.
            zone: the person's time zone, an IANA name: a day ends there.
            requested_at: when the person asked, if that was earlier; it can only shorten the time.
            idempotency_key: makes the call safe to repeat, see `Client`.

        >>> request = client.forget("user-1", reason="withdrawn_consent", client_reference="zd-4411")
        >>> request.status, request.done
        ('queued', False)
        >>> again = client.forget("user-1")
        >>> again.id == request.id, again.existing
        (True, True)
        """
        item = ForgetItem(
            user_id=user_id,
            reason=reason,
            client_reference=client_reference,
            interactions=interactions,
            regime=regime,
            zone=zone,
            requested_at=requested_at,
        )
        body = item.model_dump(mode="json", exclude_none=True)
        response = self._send(Call("POST", "/forget-requests", body=body, idempotency_key=idempotency_key))
        return accepted(response)

    def forget_in_path(
        self,
        user_id: str,
        *,
        reason: Reason | None = None,
        client_reference: str | None = None,
        interactions: Selection | None = None,
        regime: Regime | None = None,
        zone: str | None = None,
        requested_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AcceptedRequest:
        """Like `forget`, with the id in the path. Proxies log paths; `forget` is the better choice.

        >>> client.forget_in_path("user-2").outcome is None
        True
        """
        item = ForgetItem(
            user_id=user_id,
            reason=reason,
            client_reference=client_reference,
            interactions=interactions,
            regime=regime,
            zone=zone,
            requested_at=requested_at,
        )
        body = item.model_dump(mode="json", exclude_none=True, exclude={"user_id"})
        path = f"/users/{segment(user_id)}/forget"
        response = self._send(Call("POST", path, body=body, idempotency_key=idempotency_key))
        return accepted(response)

    def list_forget_requests(
        self,
        *,
        status: Iterable[Status] = (),
        overdue: bool | None = None,
        stalled: bool | None = None,
        client_reference: str | None = None,
        received_from: datetime | None = None,
        received_before: datetime | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> ForgetRequestPage:
        """One page of forget requests: unfinished ones first, the nearest deadline first.

        >>> page = client.list_forget_requests(status=["queued"], overdue=False, limit=1)
        >>> len(page.forget_requests)
        1
        """
        parameters = {
            "status": list(status),
            "overdue": overdue,
            "stalled": stalled,
            "client_reference": client_reference,
            "received_from": None if received_from is None else received_from.isoformat(),
            "received_before": None if received_before is None else received_before.isoformat(),
            "cursor": cursor,
            "limit": limit,
        }
        return self._ask(Call("GET", "/forget-requests", parameters), ForgetRequestPage)

    def each_forget_request(
        self,
        *,
        status: Iterable[Status] = (),
        overdue: bool | None = None,
        stalled: bool | None = None,
        client_reference: str | None = None,
        received_from: datetime | None = None,
        received_before: datetime | None = None,
    ) -> Iterator[ForgetRequest]:
        """All forget requests that `list_forget_requests` finds, page after page.

        >>> request = client.forget("user-9", client_reference="zd-4412")
        >>> [one.id for one in client.each_forget_request(client_reference="zd-4412")] == [request.id]
        True
        """
        cursor = None
        while True:
            page = self.list_forget_requests(
                status=status,
                overdue=overdue,
                stalled=stalled,
                client_reference=client_reference,
                received_from=received_from,
                received_before=received_before,
                cursor=cursor,
                limit=500,
            )
            for request in page.forget_requests:  # noqa: UP028  (an async generator has no `yield from`)
                yield request
            cursor = page.next_cursor
            if cursor is None:
                return

    def read_forget_request(self, request: str) -> ForgetRequestDetail:
        """A request with every attempt that was made for it, by its id or its link.

        >>> request = client.forget("user-1")
        >>> client.read_forget_request(request.id).waits_for
        'a worker to claim the run'
        """
        return self._ask(Call("GET", f"/forget-requests/{segment(id_of(request))}"), ForgetRequestDetail)

    def wait_until_done(self, request: str, *, timeout: float, every: float = 2.0) -> ForgetRequestDetail:
        """Look at a request until it is done: completed, cancelled or denied.

        Args:
            request: its id or its link.
            timeout: seconds after which waiting ends. The request goes on.
            every: seconds between two looks.

        Raises:
            NeedsAttention: a person has to decide; nothing goes on before.
            WaitTimeout: it is not done in time.

        >>> request = client.forget("user-3")
        >>> _ = client.cancel_forget_request(request.id, reason="sent_by_mistake")
        >>> client.wait_until_done(request.id, timeout=60).outcome
        'cancelled'
        """
        until = monotonic() + timeout
        while True:
            found = self.read_forget_request(request)
            if found.done:
                return found
            if found.status == "needs_attention":
                raise NeedsAttention(found)
            if monotonic() + every > until:
                raise WaitTimeout(found)
            sleep(every)

    def retry_forget_request(self, request: str, *, idempotency_key: str | None = None) -> ForgetRequest:
        """Queue a request that needs attention again. Its deadline stays."""
        return self._act(request, "retry", {}, idempotency_key)

    def verify_forget_request(
        self, request: str, *, method: VerificationMethod, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Say that you have made sure that the person has asked, and how. The suppression begins."""
        return self._act(request, "verify", {"method": method}, idempotency_key)

    def approve_forget_request(self, request: str, *, idempotency_key: str | None = None) -> ForgetRequest:
        """Approve a request that waits for a second person."""
        return self._act(request, "approve", {}, idempotency_key)

    def deny_forget_request(
        self, request: str, *, reason: DenialReason, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Deny a request, which takes two people with the same reason."""
        return self._act(request, "deny", {"reason": reason}, idempotency_key)

    def cancel_forget_request(
        self, request: str, *, reason: CancelReason = "changed_mind", idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Withdraw a request before a run has taken it. The person is no longer suppressed.

        >>> request = client.forget("user-4")
        >>> client.cancel_forget_request(request.id).outcome
        'cancelled'
        """
        return self._act(request, "cancel", {"reason": reason}, idempotency_key)

    def hold_forget_request(
        self, request: str, *, reason: HoldReason, review_at: datetime, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Stop a request until a person releases it. Suppression and deadline stay.

        >>> from datetime import UTC, datetime, timedelta
        >>> request = client.forget("user-5")
        >>> held = client.hold_forget_request(
        ...     request.id, reason="legal_claims", review_at=datetime.now(UTC) + timedelta(days=7)
        ... )
        >>> held.status, client.release_forget_request(request.id).status
        ('on_hold', 'queued')
        """
        body = {"reason": reason, "review_at": review_at.isoformat()}
        return self._act(request, "hold", body, idempotency_key)

    def release_forget_request(self, request: str, *, idempotency_key: str | None = None) -> ForgetRequest:
        """End a hold."""
        return self._act(request, "release", {}, idempotency_key)

    def extend_forget_request(
        self, request: str, *, reason: ExtendReason, subject_told: bool, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Move the deadline to the legal limit, once, after the person was told.

        >>> request = client.forget("user-6")
        >>> later = client.extend_forget_request(request.id, reason="complexity", subject_told=True)
        >>> later.due_at > request.due_at
        True
        """
        body = {"reason": reason, "subject_told": subject_told}
        return self._act(request, "extend", body, idempotency_key)

    def expedite_forget_request(
        self, request: str, *, reason: ExpediteReason, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Put a request before the others."""
        return self._act(request, "expedite", {"reason": reason}, idempotency_key)

    def readmit_forget_request(
        self, request: str, *, reason: ReadmitReason, idempotency_key: str | None = None
    ) -> ForgetRequest:
        """Let somebody come back who was forgotten, which takes two people."""
        return self._act(request, "readmit", {"reason": reason}, idempotency_key)

    def read_erasure_statistics(self, year: int | None = None) -> ErasureStatistics:
        """Counts and median days of one year, or of every year with requests.

        >>> client.read_erasure_statistics(2001).years[0].received
        0
        """
        return self._ask(Call("GET", "/statistics/erasures", {"year": year}), ErasureStatistics)

    def _act(
        self, request: str, action: str, body: Mapping[str, Any], idempotency_key: str | None
    ) -> ForgetRequest:
        path = f"/forget-requests/{segment(id_of(request))}/{action}"
        return self._ask(Call("POST", path, body=body, idempotency_key=idempotency_key), ForgetRequest)
