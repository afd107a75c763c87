"""Verifies a receipt offline: its signature, its checkpoint, the proofs in it, and that it says what the log says.

Pure module: it needs the receipt and the published keys, and neither settings nor a database.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.audit import merkle
from app.audit.notes import TreeHead
from app.receipts.claims import TYPE, Kind, token_digest
from app.signing.keys import PublicKeys, SignatureInvalid
from app.subjects import commitment


class ReceiptInvalid(Exception):
    """The receipt does not hold. The message says what is wrong."""


@dataclass(frozen=True)
class Verified:
    """A receipt that holds. ``head`` is the checkpoint that its entries are proved to be in."""

    kind: Kind
    claims: Mapping[str, Any]
    head: TreeHead
    entries: tuple[Mapping[str, Any], ...]


def verify(token: str, keys: PublicKeys) -> Verified:
    """Verify a receipt.

    Raises:
        ReceiptInvalid: it is not as it was issued under one of these keys, or contradicts the log entries in it.
    """
    try:
        claims = keys.verified_token(token, type_=TYPE)
        head = keys.verified_note(str(_field(claims, "log", "checkpoint")))
        kind = Kind(claims.get("kind", ""))
    except SignatureInvalid as error:
        raise ReceiptInvalid(str(error)) from error
    except ValueError as error:
        raise ReceiptInvalid("it says neither acceptance nor completion") from error
    _require(head.origin == claims.get("iss"), "its checkpoint is of another service's log")
    listed = _field(claims, "log", "entries")
    if not isinstance(listed, list) or not listed:
        raise ReceiptInvalid("it names no entry of the log")
    entries = tuple(_entry(item, head) for item in listed)
    try:
        (_acceptance if kind is Kind.ACCEPTANCE else _completion)(claims, entries)
    except (KeyError, TypeError, AttributeError) as error:
        raise ReceiptInvalid("a claim or an entry lacks what it must have") from error
    return Verified(kind, claims, head, entries)


def require_acceptance(completion: Verified, acceptance: str, keys: PublicKeys) -> None:
    """Check that a completion receipt completes what this acceptance receipt accepted.

    Raises:
        ReceiptInvalid: the acceptance receipt does not hold, or it is another one.
    """
    found = verify(acceptance, keys)
    _require(
        completion.kind is Kind.COMPLETION and found.kind is Kind.ACCEPTANCE,
        "it takes a completion receipt and an acceptance receipt",
    )
    _require(
        completion.claims["acceptance_receipt"] == token_digest(acceptance)
        and completion.claims["request"] == found.claims["request"],
        "it does not complete what the acceptance receipt accepted",
    )


def require_subject(verified: Verified, salt: str, user_id: str) -> None:
    """Check that the receipt is about this user.

    Raises:
        ReceiptInvalid: it is about somebody else, the salt is another one, or it names nobody.
        InvalidInput, ValueError: the id cannot be one; the salt is not hexadecimal.
    """
    committed = verified.claims.get("subject_commitment")
    _require(committed is not None, "it has no commitment to a subject")
    _require(
        hmac.compare_digest(str(committed), commitment(salt, user_id)),
        "it is about somebody else, or the salt is not the one of this request",
    )


def _entry(item: object, head: TreeHead) -> Mapping[str, Any]:
    """The content of one entry, proved to be in the log."""
    try:
        assert isinstance(item, Mapping)
        sequence, leaf = item["sequence"], item["leaf"]
        proof = [bytes.fromhex(each) for each in item["proof"]]
        content = json.loads(leaf)
        said = content["sequence"]
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ReceiptInvalid("an entry in it cannot be read") from error
    _require(
        type(sequence) is int
        and said == sequence
        and merkle.verify_inclusion(
            merkle.leaf_hash(leaf.encode()), sequence - 1, head.size, proof, head.root
        ),
        f"entry {sequence} is not proved to be in the log",
    )
    assert isinstance(content, dict)
    return content


def _acceptance(claims: Mapping[str, Any], entries: tuple[Mapping[str, Any], ...]) -> None:
    (accepted,) = _of(entries, "forget.accepted", 1)
    data = accepted["data"]
    _agree(claims, "request", data["request"])
    _agree(claims, "due_at", data["due_at"])
    _agree(claims, "suppression_epoch", data["epoch"])
    _agree(claims, "subject_commitment", data.get("subject_commitment"))


def _completion(claims: Mapping[str, Any], entries: tuple[Mapping[str, Any], ...]) -> None:
    (completed,) = _of(entries, "forget.completed", 1)
    data, run = completed["data"], claims["run"]
    _require(claims["request"] in data["requests"], "the log does not say that the request was completed")
    _agree(claims, "run", data["run"])
    _agree(claims, "version", data["version"])
    _agree(claims, "parts", data.get("parts"))
    _agree(claims, "completed_at", data.get("completed_at"))
    _agree(claims, "outcome", (data.get("outcomes") or {}).get(claims["request"]))
    final = [entry for entry in _of(entries, "run.claimed") if entry["data"]["run"] == run]
    _require(bool(final), "the log does not say that its run was claimed")
    _agree(claims, "policy_hash", final[-1]["data"]["policy_hash"])
    _agree(claims, "code", final[-1]["data"].get("code"))
    published = [entry for entry in _of(entries, "version.published") if entry["data"]["run"] == run]
    _agree(claims, "parent_version", published[-1]["data"]["parent"] if published else None)
    _agree(
        claims,
        "destroyed_versions",
        [
            {"version": entry["data"]["version"], "at": entry["recorded_at"]}
            for entry in _of(entries, "version.destroyed")
        ],
    )
    acknowledged = _of(entries, "replicas.acknowledged")[-1:]
    _agree(
        claims,
        "replicas_acknowledged",
        (
            {
                "at": acknowledged[0]["recorded_at"],
                "replicas": acknowledged[0]["data"]["replicas"],
                "version": acknowledged[0]["data"]["version"],
            }
            if acknowledged
            else None
        ),
    )
    for attempt in claims["attempts"]:
        _attempt(attempt, entries)


def _attempt(attempt: Mapping[str, Any], entries: tuple[Mapping[str, Any], ...]) -> None:
    """The attempt is logged, and its policy was logged before it (invariant I7)."""
    run, fence = attempt["run"], attempt["fence"]
    logged = [
        entry
        for entry in _of(entries, "run.attempted")
        if (entry["data"]["run"], entry["data"]["fence"]) == (run, fence)
        and entry["data"]["step"] == attempt["step"]
        # Entries of an earlier release have no number: it tried each rung once.
        and entry["data"]["number"] in (None, attempt["number"])
    ]
    _require(len(logged) == 1, f"the log does not have attempt {attempt['number']} of its run")
    for name in ("method", "decision", "accepted", "policy_hash"):
        _require(logged[0]["data"][name] == attempt[name], f"an attempt's {name} is not that of the log")
    claimed = [
        entry
        for entry in _of(entries, "run.claimed")
        if (entry["data"]["run"], entry["data"]["fence"]) == (run, fence)
    ]
    _require(
        any(
            entry["data"]["policy_hash"] == attempt["policy_hash"]
            and entry["sequence"] < logged[0]["sequence"]
            for entry in claimed
        ),
        "the policy of an attempt was not in the log before it",
    )


def _of(
    entries: tuple[Mapping[str, Any], ...], action: str, exactly: int | None = None
) -> list[Mapping[str, Any]]:
    found = [entry for entry in entries if entry["action"] == action]
    _require(exactly is None or len(found) == exactly, f"it must have {exactly} entry {action}")
    return found


def _agree(claims: Mapping[str, Any], name: str, logged: object) -> None:
    _require(claims[name] == logged, f"{name} is not what the log says")


def _field(claims: Mapping[str, Any], *path: str) -> object:
    found: object = claims
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise ReceiptInvalid(otherwise)
