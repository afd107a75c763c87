"""Settings of who may do what, and how often. They are part of `app.settings.Settings`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,8}/(second|minute|hour|day))?$")]
RoleName = Literal["viewer", "operator", "approver", "auditor", "service", "admin"]


class AccessSettings(BaseSettings):
    """Keys, tokens and limits.

    Raises:
        pydantic.ValidationError: a value is malformed, or an identity provider is named in part.
    """

    key_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="validity of a new key, unless said otherwise; in development, until revoked",
    )
    rate_limit: Rate = Field(
        "30000/minute",
        description="requests of one caller, like 20/second or 600/minute; recommendations, imports and metrics do "
        "not count. Empty for no limit",
    )
    rate_limit_users: Rate = Field("30/minute", description="the same for one end user")
    rate_limit_storage: str = Field(
        "memory://",
        description="where requests are counted: memory:// in each gateway, redis://… for all together",
    )
    failed_logins: Rate = Field(
        "30/minute",
        description="keys and tokens that are not valid, of one address; beyond, they get 429 and wait",
    )
    oidc_issuer: str = Field(
        "",
        description="issuer of bearer tokens, exactly as their `iss` has it; without it, API keys alone are taken",
    )
    oidc_audience: str = Field("", description="what `aud` of a token must name")
    oidc_jwks: str = Field(
        "", description="the issuer's keys: an https:// address (http:// on this machine), or a file"
    )
    oidc_roles_claim: Text = Field(
        "roles",
        description="claim with the roles, a list or a text; points lead into members: realm_access.roles",
    )
    oidc_roles: dict[str, RoleName] = Field(
        {},
        description='JSON: the role for each role of the issuer, like {"lethe-ops": "operator"}. A token without one '
        "is an end user's",
    )
    oidc_user_claim: Text = Field(
        "sub", description="claim of an end user's token with the user's id, as the service is given it"
    )

    @field_validator("rate_limit_storage")
    @classmethod
    def _refuse_unknown_storage(cls, url: str) -> str:
        if url != "memory://" and not re.fullmatch(r"rediss?://[^/]+(/[0-9]*)?", url):
            raise ValueError("use memory:// or redis://HOST/NUMBER")
        return url

    @model_validator(mode="after")
    def _refuse_half_a_provider(self) -> Self:
        named = [self.oidc_issuer, self.oidc_audience, self.oidc_jwks]
        if any(named) and not all(named):
            raise ValueError("LETHE_OIDC_ISSUER, LETHE_OIDC_AUDIENCE and LETHE_OIDC_JWKS are set together")
        if "://" in self.oidc_jwks:
            parts = urlsplit(self.oidc_jwks)
            here = parts.hostname in ("localhost", "127.0.0.1", "::1")
            if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
                raise ValueError(
                    "LETHE_OIDC_JWKS must be https://…, or a file; whoever is between could change keys"
                )
        return self
