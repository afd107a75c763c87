"""The set of public keys, as the API shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class KeyView(BaseModel):
    """An Ed25519 public key (RFC 8037). `kid` is its thumbprint after RFC 7638."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class KeySetView(BaseModel):
    """A JWK Set."""

    keys: list[KeyView]
