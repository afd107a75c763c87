"""Test vectors of receipts and checkpoints: a small log, signed with a key that everybody knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from app.audit import events, merkle
from app.audit.events import Event
from app.audit.leaves import leaf_of
from app.receipts import claims
from app.receipts.claims import TYPE, Asked, LogEvidence, LoggedEntry
from app.signing.keys import Signer
from app.subjects import SubjectKey, commitment

# NOT A SECRET: these keys are published here. No service may sign with them.
SEED = bytes(range(32))
OTHER_SEED = bytes(range(32, 64))
ISSUER = "test-vectors.invalid"
USER = "user-1"
_SALT = SubjectKey(b"a subject key of the test vectors").receipt_salt(USER)
_COMMITMENT = commitment(_SALT, USER)
_REQUEST, _OTHER, _RUN = f"fr_{'1' * 32}", f"fr_{'2' * 32}", f"ur_{'3' * 32}"
_OLD, _NEW, _POLICY = "a" * 64, "b" * 64, "c" * 64
_BEGUN = datetime(2026, 11, 30, 12, tzinfo=UTC)
_DUE = "2026-12-30T23:59:59+00:00"
_SIZE_BEFORE = 3
_WARNING = "TEST VECTORS. The private keys are published: no service may sign with them."


def _events() -> list[Event]:
    return [
        events.ForgetAccepted(_REQUEST, 7, _DUE, "d" * 64, _COMMITMENT),
        events.ForgetAccepted(_OTHER, 8, _DUE, "e" * 64, None),
        events.RunClaimed(
            _RUN, "forget", 4, 1, 8, _POLICY, _OLD, [_REQUEST, _OTHER], f"lethe 0.1.0 sources {'0' * 64}"
        ),
        events.RunAttempted(_RUN, 4, 0, 0, "ucan", "fail", False, _POLICY, "f" * 64),
        events.RunAttempted(_RUN, 4, 1, 1, "least_change", "pass", True, _POLICY, "9" * 64),
        events.VersionPublished(_RUN, _NEW, _OLD, 12, 8, 8),
        events.ReplicasAcknowledged(_RUN, 4, 12, _NEW, 2),
        events.InteractionsErased(_RUN, 31),
        events.RowsReclaimed(_RUN, "rewritten"),
        events.VersionDestroyed(_RUN, _OLD),
        events.ForgetCompleted(
            run=_RUN,
            version=_NEW,
            requests=[_REQUEST, _OTHER],
            outcomes={_REQUEST: "erased", _OTHER: "no_data"},
            parts={"adapter": "edited", "base": "attested", "elsewhere": "not covered"},
            completed_at=_at(10),
        ),
        events.ConsolidationRequested(f"ur_{'4' * 32}", "age"),
    ]


def _at(second: int) -> str:
    return (_BEGUN + timedelta(seconds=second)).isoformat()


class _Log:
    """A log of these events, in memory."""

    def __init__(self) -> None:
        self.leaves = [
            leaf_of(place + 1, _BEGUN + timedelta(seconds=place), "worker", event.action, event.data())
            for place, event in enumerate(_events())
        ]
        self._nodes: dict[tuple[int, int], bytes] = {}
        for place, leaf in enumerate(self.leaves):
            hashed = merkle.leaf_hash(leaf.encode())
            for level, index, digest in merkle.completed_by(place, hashed, self.node):
                self._nodes[level, index] = digest

    @property
    def size(self) -> int:
        return len(self.leaves)

    def node(self, level: int, place: int) -> bytes:
        return self._nodes[level, place]

    def root(self, size: int) -> bytes:
        return merkle.root(size, self.node)

    def hashes(self, ranges: list[tuple[int, int]]) -> list[str]:
        return [merkle.range_hash(*each, self.node).hex() for each in ranges]

    def evidence(self, signer: Signer, first: int, last: int) -> LogEvidence:
        """The entries from `first` to `last`, counted from 1, under a checkpoint of the whole log."""
        listed = []
        for sequence in range(first, last + 1):
            content = json.loads(self.leaves[sequence - 1])
            listed.append(
                LoggedEntry(
                    sequence=sequence,
                    action=content["action"],
                    recorded_at=content["recorded_at"],
                    data=content["data"],
                    leaf=self.leaves[sequence - 1],
                    proof=self.hashes(merkle.inclusion_ranges(sequence - 1, self.size)),
                )
            )
        return LogEvidence(signer.note(self.size, self.root(self.size)), listed)


def _attempt(number: int, method: str, decision: str, *, serves: bool) -> dict[str, Any]:
    return {
        "run": _RUN,
        "fence": 4,
        "number": number,
        "step": number,
        "method": method,
        "config": {},
        "search": None,
        "started_at": _at(3),
        "finished_at": _at(4),
        "policy_hash": _POLICY,
        "decision": decision,
        "accepted": serves,
        "serves": serves,
        "failed": False,
        "measures": [
            {
                "measure": "held_out_loss",
                "value": 0.01,
                "low": None,
                "high": 0.05,
                "passed": True,
                "binding": True,
            }
        ],
        "subject_decision": decision,
        "subject_measures": [
            {
                "measure": "membership_z",
                "value": 0.4 if serves else 3.1,
                "low": None,
                "high": 1.64,
                "passed": serves,
                "binding": True,
            }
        ],
    }


def _acceptance(log: _Log, signer: Signer) -> dict[str, Any]:
    asked = Asked(_REQUEST, _at(0), "objection", "zd-4411")
    accepted = json.loads(log.leaves[0])["data"]
    return _stamped(claims.acceptance(asked, accepted, log.evidence(signer, 1, 1)), signer, "acceptance.1")


def _completion(log: _Log, signer: Signer) -> dict[str, Any]:
    evidence = log.evidence(signer, 3, 11)
    content = claims.completion(
        _REQUEST,
        json.loads(log.leaves[0])["data"],
        signer.token(_acceptance(log, signer), type_=TYPE),
        [
            _attempt(0, "ucan", "fail", serves=False),
            _attempt(1, "least_change", "pass", serves=True),
        ],
        [],
        evidence.entries[-1],
        evidence,
    )
    return _stamped(content, signer, "completion.11")


def _stamped(content: dict[str, Any], signer: Signer, name: str) -> dict[str, Any]:
    issued = int((_BEGUN + timedelta(seconds=60)).timestamp())
    return {"iss": signer.issuer, "iat": issued, "jti": f"{_REQUEST}.{name}", **content}


@cache
def _files() -> Mapping[str, str]:
    log, signer = _Log(), Signer(SEED, issuer=ISSUER)
    acceptance, completion = _acceptance(log, signer), _completion(log, signer)
    tokens = {
        "acceptance.jwt": signer.token(acceptance, type_=TYPE),
        "completion.jwt": signer.token(completion, type_=TYPE),
    }
    ranges = merkle.consistency_ranges(_SIZE_BEFORE, log.size)
    return {
        "jwks.json": _json({"warning": _WARNING, **signer.published.jwks}),
        **{name: f"{token}\n" for name, token in tokens.items()},
        "checkpoint-old.txt": signer.note(_SIZE_BEFORE, log.root(_SIZE_BEFORE)),
        "checkpoint-new.txt": signer.note(log.size, log.root(log.size)),
        "consistency.json": _json(
            {
                "first": _SIZE_BEFORE,
                "second": log.size,
                "first_root": log.root(_SIZE_BEFORE).hex(),
                "second_root": log.root(log.size).hex(),
                "proof": log.hashes(ranges),
            }
        ),
        "vectors.json": _json(
            {
                "warning": _WARNING,
                "private_seed": SEED.hex(),
                "issuer": ISSUER,
                "user": USER,
                "salt": _SALT,
                "subject_commitment": _COMMITMENT,
                "leaves": [
                    {"leaf": leaf, "leaf_hash": merkle.leaf_hash(leaf.encode()).hex()} for leaf in log.leaves
                ],
                "roots": [log.root(size).hex() for size in range(log.size + 1)],
                "valid": list(tokens.values()),
                "invalid": [
                    {"why": why, "token": token} for why, token in _invalid(signer, acceptance, completion)
                ],
            }
        ),
    }


def _invalid(signer: Signer, acceptance: dict[str, Any], completion: dict[str, Any]) -> list[tuple[str, str]]:
    """Tokens that a verifier must refuse. All but the last ones are signed as they should be."""

    def changed(claims_: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> str:
        copy = json.loads(json.dumps(claims_))
        change(copy)
        return signer.token(copy, type_=TYPE)

    good, stranger = signer.token(completion, type_=TYPE), Signer(OTHER_SEED, issuer=ISSUER)
    entries = completion["log"]["entries"]
    return [
        ("due_at is not that of the entry", changed(acceptance, lambda c: c.update(due_at=_at(0)))),
        ("the epoch is not that of the entry", changed(acceptance, lambda c: c.update(suppression_epoch=6))),
        (
            "the commitment is not that of the entry",
            changed(acceptance, lambda c: c.update(subject_commitment=None)),
        ),
        ("the outcome is not that of the entry", changed(completion, lambda c: c.update(outcome="no_data"))),
        (
            "the entry does not name the request",
            changed(completion, lambda c: c.update(request=f"fr_{'5' * 32}")),
        ),
        ("a destroyed version is left out", changed(completion, lambda c: c.update(destroyed_versions=[]))),
        (
            "a part's state is not that of the entry",
            changed(completion, lambda c: c["parts"].update(adapter="exact")),
        ),
        (
            "an attempt's decision is not that of its entry",
            changed(completion, lambda c: c["attempts"][0].update(decision="pass")),
        ),
        (
            "an attempt's entry is missing",
            changed(completion, lambda c: c["log"].update(entries=[entries[0], *entries[2:]])),
        ),
        (
            "the claim that names the policy is missing",
            changed(completion, lambda c: c["log"].update(entries=entries[1:])),
        ),
        (
            "a leaf is not the one that is proved",
            changed(completion, lambda c: c["log"]["entries"][8].update(leaf=entries[8]["leaf"] + " ")),
        ),
        (
            "an entry is proved under another number",
            changed(completion, lambda c: c["log"]["entries"][8].update(sequence=10)),
        ),
        ("a proof is too short", changed(completion, lambda c: c["log"]["entries"][0]["proof"].pop())),
        (
            "the checkpoint was signed by somebody else",
            changed(
                completion,
                lambda c: c["log"].update(checkpoint=stranger.note(12, bytes.fromhex(_files_root()))),
            ),
        ),
        (
            "the checkpoint is of another service's log",
            changed(completion, lambda c: c.update(iss="other.invalid")),
        ),
        ("it is of another type", signer.token(completion, type_="JWT")),
        ("it was signed by somebody else", stranger.token(completion, type_=TYPE)),
        ("its signature was cut off", good.rpartition(".")[0] + "."),
        ("it is padded", good + "=="),
        ("its last character has bits that Base64url does not use", good[:-1] + _with_unused_bit(good[-1])),
    ]


def _files_root() -> str:
    log = _Log()
    return log.root(log.size).hex()


def _with_unused_bit(character: str) -> str:
    """64 bytes end with a character that has four bits too many, which must be 0."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return digits[digits.index(character) ^ 1]


def _json(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


VECTORS = (
    "jwks.json",
    "acceptance.jwt",
    "completion.jwt",
    "checkpoint-old.txt",
    "checkpoint-new.txt",
    "consistency.json",
    "vectors.json",
)


def vector(name: str) -> str:
    """The content of one file of the vectors. The same at every call: Ed25519 signatures have no random part."""
    return _files()[name]
