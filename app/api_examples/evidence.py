"""Examples of receipts and of the audit log."""

from __future__ import annotations

from typing import Any

from app.api_examples.values import DIGEST, PARENT

_HASH = "5b0f3cf4a1b1b0d4f8d9c6a7e5f4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2"
# Its parts are not those of a real receipt.
_RECEIPT = "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJleGFtcGxlIn0.c2lnbmF0dXJl"

ANSWERS: dict[str, Any] = {
    "read_acceptance": _RECEIPT,
    "read_completion": _RECEIPT,
    "read_checkpoint": "lethe\n8813\nWw889KGxsNT42can5fTTwrGgn459bFtKOSgXBvXk08I=\n\n— lethe c2lnbmF0dXJl\n",
    "read_entries": {
        "size": 8813,
        "entries": [{"sequence": 1, "leaf": '{"event":"version.installed"}', "leaf_hash": _HASH}],
    },
    "prove_inclusion": {
        "entry": 1,
        "index": 0,
        "size": 2,
        "leaf_hash": _HASH,
        "root": DIGEST,
        "proof": [PARENT],
    },
    "prove_consistency": {
        "first": 1,
        "second": 2,
        "first_root": _HASH,
        "second_root": DIGEST,
        "proof": [PARENT],
    },
    "key_set": {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "2026-1",
                "alg": "EdDSA",
                "use": "sig",
            }
        ]
    },
}
