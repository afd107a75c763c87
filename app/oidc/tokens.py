"""Verifies a token and says who sends it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from app.api_keys.roles import SCOPES_OF, Role
from app.api_keys.service import Scope
from app.oidc.provider_keys import ProviderKeys
from app.settings import Settings
from app.subjects import SubjectKey
from inputs import InvalidInput

# No HMAC: whoever can verify such a token can also make one. And not "none".
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
# What a user may do to their own requests. Routes must admit users explicitly.
OWN_SCOPES = frozenset({Scope.FORGET_CREATE, Scope.FORGET_READ, Scope.FORGET_CANCEL, Scope.RECEIPTS_READ})

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MOST_CHARACTERS = 16 * 1024
_REQUIRED = ("exp", "iss", "aud", "sub")
_LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class TokenHolder:
    """Who has sent a valid token.

    ``name`` is a keyed HMAC of issuer and `sub`. ``subject`` is set for an end user, who has no role. ``seconds_left``:
    how long the token is valid.
    """

    name: str
    scopes: frozenset[str]
    subject: str | None
    seconds_left: float


class TokenVerifier:
    """Verifies tokens of one issuer for one audience.

    Args:
        keys: the issuer's keys.
        roles_claim: where the roles are in a token; points separate the names of nested members.
        roles: the service's role for each role of the issuer.
        user_claim: the claim of an end user's token that has the user's id, as the service is given it.
    """

    def __init__(
        self,
        subject_key: SubjectKey,
        keys: ProviderKeys,
        *,
        issuer: str,
        audience: str,
        roles_claim: str,
        roles: Mapping[str, Role],
        user_claim: str,
    ) -> None:
        self._subject_key = subject_key
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._roles_claim = roles_claim
        self._roles = roles
        self._user_claim = user_claim

    @classmethod
    def of(cls, settings: Settings, subject_key: SubjectKey) -> TokenVerifier | None:
        """The verifier of these settings; None if they name no issuer."""
        if not settings.oidc_issuer:
            return None
        return cls(
            subject_key,
            ProviderKeys(settings.oidc_jwks),
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            roles_claim=settings.oidc_roles_claim,
            roles={theirs: Role(ours) for theirs, ours in settings.oidc_roles.items()},
            user_claim=settings.oidc_user_claim,
        )

    def holder(self, token: str) -> TokenHolder | None:
        """Who has sent this token; None if it is not valid. Blocks the calling thread.

        Raises:
            KeysUnavailable: the issuer's keys cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS or not isinstance(kid, str | None):
                return None
            found = self._keys.find(kid)
            if found is None:
                return None
            # A key that names no algorithm is used with that of the token, which must be one of its type.
            key = jwt.PyJWK.from_dict(found, algorithm=None if "alg" in found else algorithm)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError):
            # Without the message: it can quote a claim.
            return None
        return self._holder(claims)

    def _holder(self, claims: Mapping[str, Any]) -> TokenHolder | None:
        name = f"oidc:{self._subject_key.seal('caller', self._issuer, claims['sub'])[:48]}"
        left = claims["exp"] + _LEEWAY_SECONDS - time.time()
        roles = {
            self._roles[role] for role in _texts(_nested(claims, self._roles_claim)) if role in self._roles
        }
        if roles:
            scopes = frozenset(str(scope) for role in roles for scope in SCOPES_OF[role])
            return TokenHolder(name, scopes, None, left)
        user_id = claims.get(self._user_claim)
        if not isinstance(user_id, str):
            return None
        try:
            subject = self._subject_key.subject(user_id)
        except InvalidInput:
            return None
        return TokenHolder(name, frozenset(map(str, OWN_SCOPES)), subject, left)


def is_token(text: str) -> bool:
    """Whether it has the form of a signed token."""
    return len(text) <= _MOST_CHARACTERS and _FORM.fullmatch(text) is not None


def _nested(claims: Mapping[str, Any], path: str) -> object:
    # Some issuers have a claim whose name is a URL, with points in it.
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, Sequence):
        return [one for one in value if isinstance(one, str)]
    return []
