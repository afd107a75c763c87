"""What each entry of the log is called and holds: a log of an earlier release must go on to verify, and be read."""

import json

import pytest

from app.audit import (
    decision_events,
    events,
    key_events,
    takedown_events,
    target_events,
    version_events,
    webhook_events,
)
from app.audit.events import Event
from app.audit.queries import actions
from app.db.models import ConsolidationReason
from app.db.reclaiming import Reclaimed

RUNGS = [{"step": 0, "method": "ucan", "reason": "no_time", "detail": "late"}]
# One entry of each kind as it has always been written.
ENTRIES: list[tuple[Event, str, str]] = [
    (
        events.ForgetAccepted("fr_1", 7, "2026-02-28T23:59:59+00:00", "s" * 4),
        "forget.accepted",
        (
            '{"request": "fr_1", "epoch": 7, "due_at": "2026-02-28T23:59:59+00:00", "subject": "ssss", '
            '"subject_commitment": null, "scope": "user", "selected_events": null}'
        ),
    ),
    (events.ForgetRetried("fr_1"), "forget.retried", '{"request": "fr_1"}'),
    (events.ForgetLeftOut("fr_1"), "forget.left_out", '{"request": "fr_1"}'),
    (events.ForgetReopened("fr_1"), "forget.reopened", '{"request": "fr_1"}'),
    (
        events.ForgetSplitOut("ur_1", ["fr_1"], 2),
        "forget.split_out",
        '{"run": "ur_1", "requests": ["fr_1"], "step": 2}',
    ),
    (
        events.ForgetNeedsAttention("ur_1", ["fr_1"], "ladder_exhausted"),
        "forget.needs_attention",
        '{"run": "ur_1", "requests": ["fr_1"], "code": "ladder_exhausted"}',
    ),
    (
        events.RunClaimed("ur_1", "forget", 3, 1, 8, "f" * 4, None, ["fr_1"]),
        "run.claimed",
        (
            '{"run": "ur_1", "kind": "forget", "fence": 3, "claim": 1, "covers_epoch": 8, "policy_hash": "ffff", '
            '"parent": null, "requests": ["fr_1"], "code": null}'
        ),
    ),
    (
        events.RunAttempted("ur_1", 3, 0, 0, "ucan", "accept", True, "ffff"),
        "run.attempted",
        (
            '{"run": "ur_1", "fence": 3, "number": 0, "step": 0, "method": "ucan", "decision": "accept", '
            '"accepted": true, "policy_hash": "ffff", "record": null}'
        ),
    ),
    (
        events.RungsSkipped("ur_1", 3, 0, 1, RUNGS),
        "run.rungs_skipped",
        (
            '{"run": "ur_1", "fence": 3, "first": 0, "up_to": 1, "rungs": '
            '[{"step": 0, "method": "ucan", "reason": "no_time", "detail": "late"}]}'
        ),
    ),
    (
        takedown_events.ItemTakenDown("td_1", "i7", 7),
        "item.taken_down",
        '{"takedown": "td_1", "item": "i7", "epoch": 7, "restored": false}',
    ),
    (
        takedown_events.ItemErased("td_1", "i7", "ur_1", None, 3, "2026-02-28T23:59:59+00:00"),
        "item.erased",
        (
            '{"takedown": "td_1", "item": "i7", "run": "ur_1", "version": null, "events": 3, '
            '"erased_at": "2026-02-28T23:59:59+00:00"}'
        ),
    ),
    (
        decision_events.ForgetReceived("fr_1", "2026-02-28T23:59:59+00:00", "2026-02-08T12:00:00+00:00"),
        "forget.received",
        (
            '{"request": "fr_1", "due_at": "2026-02-28T23:59:59+00:00", '
            '"verify_until": "2026-02-08T12:00:00+00:00"}'
        ),
    ),
    (
        decision_events.ForgetVerified("fr_1", "telephone"),
        "forget.verified",
        '{"request": "fr_1", "method": "telephone"}',
    ),
    (decision_events.ForgetUnverified("fr_1"), "forget.unverified", '{"request": "fr_1"}'),
    (
        decision_events.ForgetSuperseded("fr_1", "fr_2"),
        "forget.superseded",
        '{"request": "fr_1", "by": "fr_2"}',
    ),
    (decision_events.ForgetApproved("fr_1"), "forget.approved", '{"request": "fr_1"}'),
    (decision_events.ForgetWindowEnded("fr_1"), "forget.window_ended", '{"request": "fr_1"}'),
    (
        decision_events.ForgetExpedited("fr_1", "deadline"),
        "forget.expedited",
        '{"request": "fr_1", "reason": "deadline"}',
    ),
    (
        decision_events.ForgetHeld("fr_1", "legal_claims", "2026-02-01T12:00:00+00:00"),
        "forget.held",
        '{"request": "fr_1", "reason": "legal_claims", "review_at": "2026-02-01T12:00:00+00:00"}',
    ),
    (decision_events.ForgetReleased("fr_1"), "forget.released", '{"request": "fr_1"}'),
    (
        decision_events.ForgetExtended(
            "fr_1", "complexity", "2026-02-28T23:59:59+00:00", "2026-04-30T23:59:59+00:00"
        ),
        "forget.extended",
        (
            '{"request": "fr_1", "reason": "complexity", "before": "2026-02-28T23:59:59+00:00", '
            '"due_at": "2026-04-30T23:59:59+00:00"}'
        ),
    ),
    (
        decision_events.ForgetCancelled("fr_1", "changed_mind"),
        "forget.cancelled",
        '{"request": "fr_1", "reason": "changed_mind"}',
    ),
    (
        decision_events.ForgetDenialProposed("fr_1", "no_match"),
        "forget.denial_proposed",
        '{"request": "fr_1", "reason": "no_match"}',
    ),
    (
        decision_events.ForgetDenied("fr_1", "no_match"),
        "forget.denied",
        '{"request": "fr_1", "reason": "no_match"}',
    ),
    (
        decision_events.ReadmissionProposed("fr_1", "new_consent"),
        "suppression.readmission_proposed",
        '{"request": "fr_1", "reason": "new_consent"}',
    ),
    (
        decision_events.SuppressionLifted("fr_1", 7, "cancelled", "ffff"),
        "suppression.lifted",
        '{"request": "fr_1", "epoch": 7, "because": "cancelled", "subject": "ffff"}',
    ),
    (
        decision_events.SelectionLifted("fr_1", 7, "denied", "ffff"),
        "selection.lifted",
        '{"request": "fr_1", "epoch": 7, "because": "denied", "subject": "ffff"}',
    ),
    (
        decision_events.ForgetDeadlineNears("fr_1", 50, "2026-02-28T23:59:59+00:00"),
        "forget.deadline_nears",
        '{"request": "fr_1", "percent": 50, "due_at": "2026-02-28T23:59:59+00:00"}',
    ),
    (
        decision_events.ForgetStalled("fr_1", "queued", "2026-02-28T23:59:59+00:00", 24.0),
        "forget.stalled",
        '{"request": "fr_1", "status": "queued", "since": "2026-02-28T23:59:59+00:00", "longest_hours": 24.0}',
    ),
    (events.RunHandedBack("ur_1", 3), "run.handed_back", '{"run": "ur_1", "fence": 3}'),
    (
        events.RunHeldUp("ur_1", 3, "store_full"),
        "run.held_up",
        '{"run": "ur_1", "fence": 3, "code": "store_full"}',
    ),
    (
        events.RunNeedsAttention("ur_1", "invalid_input"),
        "run.needs_attention",
        '{"run": "ur_1", "code": "invalid_input"}',
    ),
    (
        events.ForgetCompleted(
            "ur_1", None, ["fr_1"], {"fr_1": "erased"}, {"adapter": "edited"}, "2026-01-31T12:00:00+00:00"
        ),
        "forget.completed",
        (
            '{"run": "ur_1", "version": null, "requests": ["fr_1"], "outcomes": {"fr_1": "erased"}, '
            '"parts": {"adapter": "edited"}, '
            '"completed_at": "2026-01-31T12:00:00+00:00"}'
        ),
    ),
    (events.BaseReadersStated("bbbb", 2), "base.readers_stated", '{"base": "bbbb", "readers": 2}'),
    (
        events.ConsolidationCompleted("ur_1", "dddd", [], {}, {}, "2026-01-31T12:00:00+00:00"),
        "consolidation.completed",
        (
            '{"run": "ur_1", "version": "dddd", "requests": [], "outcomes": {}, "parts": {}, '
            '"completed_at": "2026-01-31T12:00:00+00:00"}'
        ),
    ),
    (
        events.ConsolidationRequested("ur_1", ConsolidationReason.ON_DEMAND),
        "consolidation.requested",
        '{"run": "ur_1", "reason": "on_demand"}',
    ),
    (
        events.ReplicasAcknowledged("ur_1", 3, 5, "vvvv", 2),
        "replicas.acknowledged",
        '{"run": "ur_1", "fence": 3, "generation": 5, "version": "vvvv", "replicas": 2}',
    ),
    (events.InteractionsErased("ur_1", 12), "interactions.erased", '{"run": "ur_1", "rows": 12}'),
    (
        events.RowsReclaimed("ur_1", Reclaimed.REWRITTEN),
        "rows.reclaimed",
        f'{{"run": "ur_1", "result": "{Reclaimed.REWRITTEN}"}}',
    ),
    (
        events.LevelsMade(40, 0.5, 6),
        "levels.made",
        '{"watermark": 40, "smoothing": 0.5, "users": 6}',
    ),
    (
        events.VersionInstalled("dddd", 1, 0),
        "version.installed",
        '{"version": "dddd", "generation": 1, "forget_epoch": 0}',
    ),
    (
        events.VersionRolledBack("pppp", "dddd", 3, 8),
        "version.rolled_back",
        '{"version": "pppp", "left": "dddd", "generation": 3, "forget_epoch": 8}',
    ),
    (
        events.VersionPublished("ur_1", "dddd", "pppp", 2, 8, 8),
        "version.published",
        (
            '{"run": "ur_1", "version": "dddd", "parent": "pppp", "generation": 2, "forget_epoch": 8, '
            '"erasure_floor": 8}'
        ),
    ),
    (
        events.VersionWithdrawn("ur_1", "pppp", 2, 8),
        "version.withdrawn",
        '{"run": "ur_1", "version": "pppp", "generation": 2, "erasure_floor": 8}',
    ),
    (events.VersionDestroyed("ur_1", "pppp"), "version.destroyed", '{"run": "ur_1", "version": "pppp"}'),
    (
        events.VersionSurvived(None, "pppp", 3, 9),
        "version.survived",
        '{"version": null, "replaced": "pppp", "generation": 3, "erasure_floor": 9}',
    ),
    (
        events.TimelineStarted(2, 9, 1, {"fr_2": 10}, 0, 8, None),
        "timeline.started",
        (
            '{"timeline": 2, "after_epoch": 9, "readopted": 1, "epochs": {"fr_2": 10}, "floor_before": 0, '
            '"floor": 8, "withdrawn": null}'
        ),
    ),
    (
        events.AuditExported("csv", "forget.accepted", "", "2026-11-01", None),
        "audit.exported",
        '{"form": "csv", "action_filter": "forget.accepted", "about": "", "since": "2026-11-01", "until": null}',
    ),
    (events.TimelineConfirmed(2), "timeline.confirmed", '{"timeline": 2}'),
    (
        target_events.RecipientsNotified(["fr_1"], ["cache", "features"], ["features"]),
        "forget.recipients_notified",
        '{"requests": ["fr_1"], "targets": ["cache", "features"], "mandatory": ["features"]}',
    ),
    (
        target_events.TargetAcknowledged("fr_1", "cache"),
        "forget.target_acknowledged",
        '{"request": "fr_1", "target": "cache"}',
    ),
    (
        webhook_events.WebhookRegistered("we_1", "crm"),
        "webhook.registered",
        '{"endpoint": "we_1", "name": "crm"}',
    ),
    (webhook_events.WebhookChallenged("we_1"), "webhook.challenged", '{"endpoint": "we_1"}'),
    (webhook_events.WebhookActivated("we_1"), "webhook.activated", '{"endpoint": "we_1"}'),
    (
        webhook_events.WebhookDisabled("we_1", "gone"),
        "webhook.disabled",
        '{"endpoint": "we_1", "reason": "gone"}',
    ),
    (
        version_events.VersionExported("ffff", 3),
        "version.exported",
        '{"version": "ffff", "forget_epoch": 3}',
    ),
    (
        version_events.VersionDestructionFinished("ffff", 2),
        "version.destruction_finished",
        '{"version": "ffff", "blobs": 2}',
    ),
    (
        version_events.EngineEmptied("gateway-1", ["ffff"]),
        "replica.engine_emptied",
        '{"replica": "gateway-1", "versions": ["ffff"]}',
    ),
    (version_events.JournalCompleted([3, 4]), "journal.completed", '{"epochs": [3, 4]}'),
    (webhook_events.WebhookRemoved("we_1"), "webhook.removed", '{"endpoint": "we_1"}'),
    (
        webhook_events.WebhookReplayed("we_1", 3, 9),
        "webhook.replayed",
        '{"endpoint": "we_1", "first": 3, "last": 9}',
    ),
    (
        key_events.KeyIssued("crm", ["forget:create"], None),
        "key.issued",
        '{"name": "crm", "scopes": ["forget:create"], "expires_at": null}',
    ),
    (
        key_events.KeyRotated("crm", "2026-04-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"),
        "key.rotated",
        (
            '{"name": "crm", "expires_at": "2026-04-01T00:00:00+00:00", '
            '"former_until": "2026-01-02T00:00:00+00:00"}'
        ),
    ),
    (key_events.KeyRevoked("crm"), "key.revoked", '{"name": "crm"}'),
]


def kinds(root: type[Event]) -> set[type[Event]]:
    """Those that can be written: what others only build on has no action."""
    return {kind for kind in root.__subclasses__() if hasattr(kind, "action")}.union(
        *(kinds(kind) for kind in root.__subclasses__())
    )


@pytest.mark.parametrize(("event", "action", "data"), ENTRIES, ids=[action for _, action, _ in ENTRIES])
def test_an_entry_is_written_as_it_always_was(event: Event, action: str, data: str) -> None:
    assert event.action == action
    assert json.dumps(event.data()) == data


def test_there_are_no_others_and_no_two_are_called_the_same() -> None:
    assert {type(event) for event, _, _ in ENTRIES} == kinds(Event)
    assert len({event.action for event, _, _ in ENTRIES}) == len(ENTRIES)
    assert {event.action for event, _, _ in ENTRIES} == set(actions())
