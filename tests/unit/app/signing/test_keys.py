"""Signing and verifying, against the vectors of the RFCs."""

from __future__ import annotations

import json

import jwt
import pytest

from app.failures import SettingError
from app.settings import Settings
from app.signing.from_settings import signer_of
from app.signing.keys import KeySetMalformed, PublicKey, PublicKeys, SignatureInvalid, Signer

# RFC 8037, appendix A: the key of RFC 8032's first test.
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
SIGNER = Signer(RFC_SEED, issuer="example.org")


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, environment="development", **values)  # type: ignore[arg-type]


def test_a_key_is_named_by_its_thumbprint() -> None:
    assert SIGNER.public.text == RFC_PUBLIC
    assert SIGNER.public.kid == RFC_THUMBPRINT
    assert PublicKey.of(RFC_PUBLIC) == SIGNER.public


def test_the_same_claims_give_the_same_token() -> None:
    token = SIGNER.token({"a": 1}, type_="t")
    assert token == SIGNER.token({"a": 1}, type_="t")
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "kid": RFC_THUMBPRINT, "typ": "t"}
    assert SIGNER.published.verified_token(token, type_="t") == {"a": 1}


def test_former_keys_stay_published_and_sign_nothing() -> None:
    """A rotation: what was signed before goes on to verify."""
    before = SIGNER.token({"a": 1}, type_="t")
    after = Signer(bytes(32), [SIGNER.public], issuer="example.org")
    assert [key["kid"] for key in after.published.jwks["keys"]] == [after.public.kid, RFC_THUMBPRINT]
    assert after.published.verified_token(before, type_="t") == {"a": 1}
    with pytest.raises(SignatureInvalid, match="not in the set of keys"):
        SIGNER.published.verified_token(after.token({"a": 1}, type_="t"), type_="t")


@pytest.mark.parametrize(("algorithm", "key"), [("none", ""), ("HS256", RFC_PUBLIC)])
def test_no_other_algorithm_is_taken(algorithm: str, key: str) -> None:
    """Neither none, nor an HMAC under what everybody knows: the public key."""
    token = jwt.encode({"a": 1}, key, algorithm=algorithm, headers={"typ": "t", "kid": RFC_THUMBPRINT})
    with pytest.raises(SignatureInvalid, match="header"):
        SIGNER.published.verified_token(token, type_="t")


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        [],
        {"keys": "none"},
        {"keys": []},
        {"keys": [{"kty": "RSA", "n": "AQAB"}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "é"}]},
    ],
)
def test_what_is_no_set_of_our_keys_is_refused(jwks: object) -> None:
    with pytest.raises(KeySetMalformed):
        PublicKeys.of_jwks(jwks)


def test_checkpoints_with_signatures_of_witnesses_are_read() -> None:
    note = SIGNER.note(3, b"r" * 32)
    witness = Signer(bytes(32), issuer="witness.example").note(3, b"r" * 32).splitlines()[-1]
    assert SIGNER.published.verified_note(f"{note}{witness}\n").size == 3
    with pytest.raises(SignatureInvalid, match="none of the keys"):
        PublicKeys([Signer(bytes(32), issuer="x").public]).verified_note(note)


def test_development_has_a_key_that_everybody_knows_and_production_has_none() -> None:
    assert signer_of(settings()).public == signer_of(settings()).public
    secrets = {"subject_key": "s" * 32, "audit_key": "a" * 32}
    with pytest.raises(SettingError, match="LETHE_SIGNING_KEY must be 64 hexadecimal digits"):
        signer_of(Settings(_env_file=None, **secrets))  # type: ignore[arg-type]
    signer = signer_of(Settings(_env_file=None, **secrets, signing_key=RFC_SEED.hex()))  # type: ignore[arg-type]
    assert signer.public.text == RFC_PUBLIC


def test_former_keys_that_cannot_be_read_are_refused() -> None:
    published = signer_of(settings(former_signers=f"{RFC_PUBLIC} ")).published
    assert json.dumps(published.jwks).count('"kid"') == 2
    with pytest.raises(SettingError, match="LETHE_FORMER_SIGNERS: an Ed25519 public key has 32 bytes"):
        signer_of(settings(former_signers="AAAA"))
