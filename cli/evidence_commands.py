"""Verifies receipts and checkpoints offline, for `lethe receipt verify` and `lethe audit verify-consistency`.

Neither needs a database, a model or the network. With ``--jwks`` not even settings are read, so it works on a machine
that holds nothing but the files.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.audit.merkle import verify_consistency
from app.receipts.verification import ReceiptInvalid, Verified, require_acceptance, require_subject, verify
from app.signing.keys import KeySetMalformed, PublicKeys, SignatureInvalid
from cli.failures import CommandError
from inputs import InvalidInput

_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What was found. ``lines`` are for people."""

    holds: bool
    lines: tuple[str, ...]


def verify_receipt(
    file: Path, *, jwks: Path | None, acceptance: Path | None, salt: str | None, user: str | None
) -> Answer:
    """Verify a receipt, and what else was asked about it.

    Raises:
        CommandError: a file cannot be read, or the options do not fit together.
    """
    if (salt is None) != (user is None):
        raise CommandError("--salt and --user belong together")
    keys = _keys(jwks)
    token, accepted = _text(file), None if acceptance is None else _text(acceptance)
    begun = time.perf_counter()
    try:
        found = verify(token, keys)
        if accepted is not None:
            require_acceptance(found, accepted, keys)
        if salt is not None and user is not None:
            require_subject(found, salt, user)
    except ReceiptInvalid as error:
        return Answer(False, (f"the receipt does not hold: {error}",))
    except (InvalidInput, ValueError) as error:
        raise CommandError(f"--salt or --user: {error}") from error
    milliseconds = (time.perf_counter() - begun) * 1000
    return Answer(
        True, (*_told(found, accepted is not None, user is not None), f"verified in {milliseconds:.1f} ms")
    )


def verify_growth(old: Path, new: Path, *, proof: Path, jwks: Path | None) -> Answer:
    """Verify that the log of the checkpoint `new` begins with the log of the checkpoint `old`.

    Raises:
        CommandError: a file cannot be read.
    """
    keys = _keys(jwks)
    try:
        first, second = (keys.verified_note(_text(file, strip=False)) for file in (old, new))
    except SignatureInvalid as error:
        return Answer(False, (f"a checkpoint does not hold: {error}",))
    if first.origin != second.origin:
        return Answer(False, ("the checkpoints are of two logs",))
    try:
        hashes = [bytes.fromhex(each) for each in _json(proof)["proof"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{proof} is no answer of /audit/proof/consistency") from error
    if not verify_consistency(first.size, second.size, first.root, second.root, hashes):
        told = (
            f"the log of {second.size} entries is not shown to begin with the log of {first.size} entries: it was "
            "rewritten or restored, or the proof is of other checkpoints"
        )
        return Answer(False, (told,))
    return Answer(True, (f"the log has only grown, from {first.size} to {second.size} entries",))


def _told(found: Verified, with_acceptance: bool, with_subject: bool) -> list[str]:
    claims = found.claims
    issued = datetime.fromtimestamp(int(claims["iat"]), UTC).isoformat()
    lines = [
        f"the {found.kind} receipt of {claims['request']} holds",
        f"issued by {claims['iss']} at {issued}",
        str(claims["statement"]),
        f"proved to be in the log: {len(found.entries)} of its {found.head.size} entries",
    ]
    if with_acceptance:
        lines.append("it completes what the acceptance receipt accepted")
    if with_subject:
        lines.append("it is about the user who was named")
    if claims["not_recorded"]:
        lines.append(f"not on record: {', '.join(map(str, claims['not_recorded']))}")
    return lines


def _keys(jwks: Path | None) -> PublicKeys:
    if jwks is None:
        # The keys of the installation here. Only now, because settings take longer to load than all else.
        from app.settings import get_settings
        from app.signing.from_settings import signer_of
        from cli.state_folder import use_settings_of

        use_settings_of(None)
        return signer_of(get_settings()).published
    try:
        return PublicKeys.of_jwks(_json(jwks))
    except KeySetMalformed as error:
        raise CommandError(f"{jwks}: {error}") from error


def _json(file: Path) -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(_text(file))
    except ValueError as error:
        raise CommandError(f"{file} is no JSON") from error
    return found


def _text(file: Path, *, strip: bool = True) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise CommandError(f"{file} is too large to be a receipt, a checkpoint or a set of keys")
    # What is no text does not verify, and that is the answer.
    text = content.decode(errors="replace")
    return text.removesuffix("\n") if strip else text
