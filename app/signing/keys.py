"""Signs receipts (JWS) and checkpoints (signed notes), and verifies both with published keys.

Verifying needs no settings and no database: `lethe receipt verify` uses it offline. PyJWT does the JOSE part. A key
signs both kinds, and no text can be taken for one of the other kind: what a JWS signs has no line break, and a
checkpoint has three.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_decode, base64url_encode

from app.audit.notes import NoteMalformed, NoteSignature, TreeHead, key_hash, note_of, read_note
from inputs import canonical_json

ALGORITHM = "EdDSA"
_BYTES = 32


class SignatureInvalid(Exception):
    """The text was not signed by one of the keys, or was changed since. The message says which."""


class KeySetMalformed(ValueError):
    """The set of keys cannot be used. The message says why."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key of 32 bytes. ``kid`` is its thumbprint after RFC 7638."""

    raw: bytes

    @property
    def kid(self) -> str:
        thumbprint = canonical_json({"crv": "Ed25519", "kty": "OKP", "x": self.text})
        return base64url_encode(hashlib.sha256(thumbprint).digest()).decode()

    @property
    def text(self) -> str:
        """The key as a JWK has it: Base64url."""
        return base64url_encode(self.raw).decode()

    @property
    def jwk(self) -> dict[str, str]:
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": self.text,
            "kid": self.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }

    @property
    def key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)

    @classmethod
    def of(cls, text: str) -> PublicKey:
        """The key in this Base64url text.

        Raises:
            KeySetMalformed: it is no such key.
        """
        try:
            raw = _decoded(text)
            if len(raw) != _BYTES:
                raise KeySetMalformed("an Ed25519 public key has 32 bytes, 43 characters of Base64url")
            # The library says whether the bytes may be a key.
            Ed25519PublicKey.from_public_bytes(raw)
        except SignatureInvalid as error:
            raise KeySetMalformed("a public key is not in Base64url") from error
        return cls(raw)


class PublicKeys:
    """The keys that somebody trusts, and verification with them."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    @classmethod
    def of_jwks(cls, jwks: object) -> PublicKeys:
        """The Ed25519 keys of a JWK Set. Other keys in it are left out.

        Raises:
            KeySetMalformed: it is no JWK Set, or holds no such key.
        """
        listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(listed, list):
            raise KeySetMalformed("this is no JWK Set: it has no list of keys")
        found = [
            PublicKey.of(str(key.get("x", "")))
            for key in listed
            if isinstance(key, Mapping) and (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519")
        ]
        if not found:
            raise KeySetMalformed("the JWK Set has no Ed25519 key")
        return cls(found)

    @property
    def jwks(self) -> dict[str, list[dict[str, str]]]:
        return {"keys": [key.jwk for key in self._keys.values()]}

    def verified_token(self, token: str, *, type_: str) -> dict[str, Any]:
        """The claims of a compact JWS.

        Args:
            type_: the ``typ`` that its header must have.

        Raises:
            SignatureInvalid: it is no JWS of this type, or none of these keys signed it.
        """
        # A text that decodes to the same bytes would verify too, and have another hash.
        for segment in token.split("."):
            _decoded(segment)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if header.get("typ") != type_ or header.get("alg") != ALGORITHM:
                raise SignatureInvalid(f"its header does not say {type_} and {ALGORITHM}")
            if key is None:
                raise SignatureInvalid("it was signed with a key that is not in the set of keys")
            payload = jwt.PyJWS().decode(token, key.key, algorithms=[ALGORITHM])
            claims = json.loads(payload)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise SignatureInvalid("its signature does not verify, or it is no JWS") from error
        if not isinstance(claims, dict):
            raise SignatureInvalid("its payload is no JSON object")
        return claims

    def verified_note(self, note: str) -> TreeHead:
        """The checkpoint in a signed note. Signatures of other keys, as those of witnesses, are left out.

        Raises:
            SignatureInvalid: it is no checkpoint, or none of these keys signed it under the log's name.
        """
        try:
            head, signatures = read_note(note)
        except NoteMalformed as error:
            raise SignatureInvalid(f"the checkpoint cannot be read: {error}") from error
        known = {key_hash(head.origin, key.raw): key for key in self._keys.values()}
        ours = [each for each in signatures if each.name == head.origin and each.key_hash in known]
        if not ours:
            raise SignatureInvalid("the checkpoint was signed with none of the keys in the set of keys")
        for each in ours:
            try:
                known[each.key_hash].key.verify(each.signature, head.text.encode())
            except InvalidSignature as error:
                raise SignatureInvalid("the checkpoint's signature does not verify") from error
        return head


class Signer:
    """Signs under one key. ``published`` has its public key first, and then the former ones.

    Args:
        seed: the private key, 32 bytes (RFC 8032).
        issuer: the name of the service in receipts and of its log in checkpoints.
    """

    def __init__(self, seed: bytes, former: Iterable[PublicKey] = (), *, issuer: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        self.published = PublicKeys([self.public, *former])
        self.issuer = issuer

    def token(self, claims: Mapping[str, Any], *, type_: str) -> str:
        """A compact JWS over the claims in canonical JSON. The same claims give the same text."""
        headers = {"typ": type_, "kid": self.public.kid}
        return jwt.PyJWS().encode(canonical_json(claims), self._key, algorithm=ALGORITHM, headers=headers)

    def note(self, size: int, root: bytes) -> str:
        """A signed checkpoint of the log."""
        head = TreeHead(self.issuer, size, root)
        signature = self._key.sign(head.text.encode())
        return note_of(head, NoteSignature(self.issuer, key_hash(self.issuer, self.public.raw), signature))


def _decoded(segment: str) -> bytes:
    try:
        found = base64url_decode(segment)
    except (binascii.Error, ValueError) as error:
        raise SignatureInvalid("a part of it is not in Base64url") from error
    if base64url_encode(found).decode() != segment:
        raise SignatureInvalid("a part of it is not in canonical Base64url")
    return found
