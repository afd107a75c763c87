"""An issuer of tokens, with its keys in a file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ISSUER, AUDIENCE = "https://id.example.com/", "lethe"


class Issuer:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.add("first")

    def add(self, kid: str) -> None:
        """Sign with a new key from now on."""
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        self.publish()

    def publish(self, **more: Any) -> None:
        public = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}
            for kid, key in self.keys.items()
        ]
        self.file.write_text(json.dumps({"keys": public}))

    def claims(self, sub: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 600, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, sub: str, **more: Any) -> str:
        kid, key = list(self.keys.items())[-1]
        return jwt.encode(self.claims(sub, **more), key, "ES256", headers={"kid": kid})
