"""Roles: named sets of scopes. A key keeps the scopes that its role had when it was issued."""

from __future__ import annotations

from enum import StrEnum

from app.api_keys.service import Scope


class Role(StrEnum):
    """Whom a key, or a token, is for."""

    VIEWER = "viewer"  # watches the service
    OPERATOR = "operator"  # keeps it going
    APPROVER = "approver"  # decides about requests
    AUDITOR = "auditor"  # reads all evidence and changes nothing
    SERVICE = "service"  # another program of the company
    ADMIN = "admin"


_WATCH = frozenset(
    {
        Scope.FORGET_READ,
        Scope.RUNS_READ,
        Scope.ADAPTERS_READ,
        Scope.METRICS_READ,
        Scope.EVENTS_READ,
        Scope.DOCS_READ,
    }
)

# Scopes that change nothing. Recommendations are no part of them: they are personal.
LOOKING = _WATCH | {Scope.RECEIPTS_READ, Scope.AUDIT_READ}

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.VIEWER: _WATCH,
    Role.OPERATOR: _WATCH
    | {
        Scope.FORGET_CREATE,
        Scope.FORGET_RETRY,
        Scope.FORGET_CANCEL,
        Scope.FORGET_EXPEDITE,
        Scope.ITEMS_FORGET,
        Scope.CONSOLIDATE,
        Scope.ROLL_BACK,
        Scope.WEBHOOKS_MANAGE,
        Scope.TARGETS_ACKNOWLEDGE,
    },
    Role.APPROVER: _WATCH
    | {
        Scope.FORGET_VERIFY,
        Scope.FORGET_APPROVE,
        Scope.FORGET_DENY,
        Scope.FORGET_HOLD,
        Scope.FORGET_EXTEND,
        Scope.FORGET_CANCEL,
        Scope.SUPPRESSION_LIFT,
        Scope.RECEIPTS_READ,
    },
    Role.AUDITOR: LOOKING,
    Role.SERVICE: frozenset(
        {
            Scope.FORGET_CREATE,
            Scope.FORGET_VERIFY,
            Scope.FORGET_READ,
            Scope.FORGET_CANCEL,
            Scope.RECEIPTS_READ,
            Scope.TARGETS_ACKNOWLEDGE,
            Scope.RECOMMEND,
            Scope.INTERACTIONS_WRITE,
        }
    ),
    Role.ADMIN: frozenset(Scope),
}
