"""The published vectors: what a verifier must take, and what it must refuse (R-39, R-40)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.audit import merkle
from app.receipts.verification import ReceiptInvalid, _completion, require_acceptance, require_subject, verify
from app.signing.keys import PublicKeys, SignatureInvalid
from app.subjects import commitment

FOLDER = Path(__file__).parents[4] / "docs" / "reference" / "receipts"
VECTORS: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
KEYS = PublicKeys.of_jwks(json.loads((FOLDER / "jwks.json").read_text()))


def read(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return text.rstrip("\n") if name.endswith(".jwt") else text


def flipped(text: str) -> Iterator[str]:
    """The text with one bit flipped, in every way. What is no UTF-8 any more is read as a command reads it."""
    content = text.encode()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            yield changed.decode(errors="replace")


@pytest.mark.parametrize("name", ["acceptance.jwt", "completion.jwt"])
def test_published_receipts_hold(name: str) -> None:
    verified = verify(read(name), KEYS)
    assert read(name) in VECTORS["valid"]
    assert verified.claims["iss"] == VECTORS["issuer"]
    require_subject(verified, VECTORS["salt"], VECTORS["user"])
    assert commitment(VECTORS["salt"], VECTORS["user"]) == VECTORS["subject_commitment"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["why"])
def test_published_contradictions_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(ReceiptInvalid):
        verify(case["token"], KEYS)


def test_published_leaves_and_roots() -> None:
    nodes: dict[tuple[int, int], bytes] = {}
    for place, item in enumerate(VECTORS["leaves"]):
        hashed = merkle.leaf_hash(item["leaf"].encode())
        assert hashed.hex() == item["leaf_hash"]
        for level, index, digest in merkle.completed_by(place, hashed, lambda *key: nodes[key]):
            nodes[level, index] = digest
    roots = [merkle.root(size, lambda *key: nodes[key]).hex() for size in range(len(VECTORS["roots"]))]
    assert roots == VECTORS["roots"]


def test_a_policy_that_was_logged_after_the_attempt_is_refused() -> None:
    """I7, in an honestly signed log: the claim that names the policy comes behind the attempt."""
    completion = verify(read("completion.jwt"), KEYS)
    claimed = next(entry for entry in completion.entries if entry["action"] == "run.claimed")
    late = [{**entry, "sequence": 99} if entry is claimed else entry for entry in completion.entries]
    with pytest.raises(ReceiptInvalid, match="was not in the log before it"):
        _completion(completion.claims, tuple(late))


def test_a_completion_belongs_to_its_acceptance() -> None:
    completion = verify(read("completion.jwt"), KEYS)
    require_acceptance(completion, read("acceptance.jwt"), KEYS)
    with pytest.raises(ReceiptInvalid, match="takes a completion receipt and an acceptance receipt"):
        require_acceptance(completion, read("completion.jwt"), KEYS)
    other = verify(read("completion.jwt"), KEYS)
    object.__setattr__(other, "claims", {**other.claims, "acceptance_receipt": "0" * 64})
    with pytest.raises(ReceiptInvalid, match="does not complete"):
        require_acceptance(other, read("acceptance.jwt"), KEYS)


def test_every_flipped_bit_of_a_receipt_is_noticed() -> None:
    """R-39, in the acceptance receipt: the same code reads both, and a completion is ten times as long."""
    for text in flipped(read("acceptance.jwt")):
        with pytest.raises(ReceiptInvalid):
            verify(text, KEYS)


def test_a_flipped_bit_in_every_character_of_a_completion_is_noticed() -> None:
    token = read("completion.jwt")
    for place in range(0, len(token), 7):
        changed = chr(ord(token[place]) ^ (1 << place % 7))
        with pytest.raises(ReceiptInvalid):
            verify(token[:place] + changed + token[place + 1 :], KEYS)


@pytest.mark.parametrize("name", ["checkpoint-old.txt", "checkpoint-new.txt"])
def test_every_flipped_bit_of_a_checkpoint_is_noticed(name: str) -> None:
    assert KEYS.verified_note(read(name)).root.hex() in VECTORS["roots"]
    for text in flipped(read(name)):
        with pytest.raises(SignatureInvalid):
            KEYS.verified_note(text)


def test_every_flipped_bit_of_a_proof_is_noticed() -> None:
    old, new = (KEYS.verified_note(read(f"checkpoint-{which}.txt")) for which in ("old", "new"))
    proof = [bytes.fromhex(each) for each in json.loads(read("consistency.json"))["proof"]]
    assert merkle.verify_consistency(old.size, new.size, old.root, new.root, proof)
    for place, digest in enumerate(proof):
        for bit in range(256):
            changed = bytearray(digest)
            changed[bit // 8] ^= 1 << bit % 8
            other = [*proof[:place], bytes(changed), *proof[place + 1 :]]
            assert not merkle.verify_consistency(old.size, new.size, old.root, new.root, other)
