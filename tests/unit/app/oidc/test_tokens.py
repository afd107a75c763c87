"""R-46: which tokens are valid, and who sends them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm
from pydantic import ValidationError

from app.api_keys.roles import SCOPES_OF, Role
from app.oidc.provider_keys import KeysUnavailable, ProviderKeys
from app.oidc.tokens import OWN_SCOPES, TokenVerifier, is_token
from app.settings import Settings
from app.subjects import SubjectKey
from tests.tokens import AUDIENCE, ISSUER, Issuer

SUBJECTS = SubjectKey(b"a key of the tests")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def verifier(issuer: Issuer, **changes: Any) -> TokenVerifier:
    options = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "roles_claim": "realm.roles",
        "roles": {"ops": Role.OPERATOR, "dpo": Role.APPROVER},
        "user_claim": "sub",
        **changes,
    }
    return TokenVerifier(SUBJECTS, ProviderKeys(str(issuer.file)), **options)  # type: ignore[arg-type]


def test_r46_a_role_of_the_issuer_is_a_role_of_the_service(issuer: Issuer) -> None:
    holder = verifier(issuer).holder(issuer.token("erika", realm={"roles": ["ops", "dpo", "other"]}))
    assert holder is not None
    assert holder.scopes == SCOPES_OF[Role.OPERATOR] | SCOPES_OF[Role.APPROVER]
    assert holder.subject is None
    assert 0 < holder.seconds_left <= 630
    one = verifier(issuer, roles_claim="https://example.com/role").holder(
        issuer.token("erika", **{"https://example.com/role": "dpo"})
    )
    assert one is not None
    assert one.scopes == SCOPES_OF[Role.APPROVER]


@pytest.mark.parametrize("claims", [{}, {"realm": {"roles": ["other"]}}, {"realm": 5}])
def test_r9_without_a_role_it_is_an_end_user(issuer: Issuer, claims: dict[str, Any]) -> None:
    holder = verifier(issuer).holder(issuer.token("user-1", **claims))
    assert holder is not None
    assert (holder.scopes, holder.subject) == (OWN_SCOPES, SUBJECTS.subject("user-1"))
    named = verifier(issuer, user_claim="shop_id").holder(issuer.token("x", shop_id="user-1", **claims))
    assert named is not None
    assert named.subject == holder.subject
    assert verifier(issuer, user_claim="shop_id").holder(issuer.token("user-1", **claims)) is None


def test_r8_the_name_of_a_caller_is_no_id(issuer: Issuer) -> None:
    names = {verifier(issuer).holder(issuer.token(sub)).name for sub in ("erika", "erika", "max")}  # type: ignore[union-attr]
    assert len(names) == 2
    assert all(len(name) <= 64 and "erika" not in name for name in names)
    assert not any(SUBJECTS.subject(sub)[:12] in name for name in names for sub in ("erika", "max"))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example.com/"},
        {"aud": "another"},
        {"exp": 1},
        {"nbf": 2**33},
        {"iss": None},
        {"aud": None},
        {"exp": None},
        {"sub": None},
    ],
)
def test_r46_a_token_with_a_wrong_or_missing_claim_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    sub = claims.pop("sub", "user-1")
    assert verifier(issuer).holder(issuer.token(sub, **claims)) is None


def test_r46_a_signature_counts_only_from_the_issuers_key_and_algorithm(issuer: Issuer) -> None:
    claims, key = issuer.claims("user-1", realm={"roles": ["ops"]}), issuer.keys["first"]
    forged = [
        jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "first"}),
        jwt.encode(claims, "a secret of at least thirty-two bytes", "HS256", headers={"kid": "first"}),
        jwt.encode(claims, key, "ES256", headers={"kid": "unknown"}),
    ]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "first"}).encode()).decode().rstrip("=")
    good = issuer.token("user-1")
    forged.append(f"{head}.{good.split('.')[1]}.{good.split('.')[2]}")
    forged.append(good[:-6] + ("AAAAAA" if not good.endswith("AAAAAA") else "BBBBBB"))
    tested = verifier(issuer)
    assert tested.holder(good) is not None
    assert [tested.holder(token) for token in forged] == [None] * len(forged)


def test_r46_a_public_key_is_no_secret_to_sign_with(tmp_path: Path) -> None:
    """A key of the type `oct` in the set is not used, and an RSA key not with an algorithm of another type."""
    key = rsa.generate_private_key(65537, 2048)
    secret = base64.urlsafe_b64encode(b"a secret of at least thirty-two bytes").decode().rstrip("=")
    listed = [
        {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "rsa"},
        {"kty": "oct", "k": secret, "kid": "oct", "alg": "HS256"},
    ]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": listed}))
    issuer = Issuer.__new__(Issuer)
    issuer.file = tmp_path / "jwks.json"
    claims = issuer.claims("user-1")
    for algorithm in ("RS256", "PS512"):
        assert verifier(issuer).holder(jwt.encode(claims, key, algorithm, headers={"kid": "rsa"})) is not None
    for kid in ("oct", "rsa"):
        signed = jwt.encode(claims, "a secret of at least thirty-two bytes", "HS256", headers={"kid": kid})
        assert verifier(issuer).holder(signed) is None
    other = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "rsa"})
    assert verifier(issuer).holder(other) is None


def test_r46_keys_are_read_again_for_an_unknown_key_but_not_each_time(issuer: Issuer) -> None:
    now = [100.0]
    keys = ProviderKeys(str(issuer.file), clock=lambda: now[0])
    assert keys.find("first") is not None
    assert keys.find(None) == keys.find("first")
    issuer.add("second")
    assert keys.find("second") is None, "somebody could have them read all the time"
    now[0] += 11
    assert keys.find("second") is not None
    assert keys.find(None) is None, "with two keys a token must say which"


def test_r46_keys_that_cannot_be_read_again_are_used_for_an_hour(issuer: Issuer) -> None:
    now = [100.0]
    keys = ProviderKeys(str(issuer.file), clock=lambda: now[0])
    assert keys.find("first") is not None
    issuer.file.write_text("{}")
    now[0] += 3500
    assert keys.find("first") is not None
    now[0] += 101
    with pytest.raises(KeysUnavailable):
        keys.find("first")
    issuer.publish()
    now[0] += 11
    assert keys.find("first") is not None
    with pytest.raises(KeysUnavailable):
        ProviderKeys(str(issuer.file.with_name("absent"))).find("first")


def test_a_withdrawn_key_is_unknown_after_five_minutes(issuer: Issuer) -> None:
    now = [100.0]
    keys = ProviderKeys(str(issuer.file), clock=lambda: now[0])
    assert keys.find("first") is not None
    issuer.add("second")
    del issuer.keys["first"]
    issuer.publish()
    now[0] += 301
    assert keys.find("first") is None


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a.b.ü", "a..c", "x" * 20_000 + ".b.c"])
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert not is_token(text)
    assert is_token("a.b.c")


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": ISSUER},
        {"oidc_jwks": "http://id.example.com/jwks"},
        {"oidc_jwks": "ftp://id.example.com/jwks"},
        {"oidc_roles": {"ops": "root"}},
    ],
)
def test_r46_half_a_provider_is_refused(wrong: dict[str, Any]) -> None:
    whole = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": "https://id.example.com/jwks"}
    Settings(environment="development", _env_file=None, **whole)  # type: ignore[call-arg, arg-type]
    changed = wrong if "oidc_issuer" in wrong else whole | wrong
    with pytest.raises(ValidationError):
        Settings(environment="development", _env_file=None, **changed)  # type: ignore[call-arg, arg-type]


def test_the_roles_of_settings_are_all_roles() -> None:
    names = {str(role): str(role) for role in Role}
    settings = Settings(environment="development", oidc_roles=names, _env_file=None)  # type: ignore[call-arg]
    assert settings.oidc_roles == names
