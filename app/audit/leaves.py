"""What of an audit entry goes into the Merkle tree: everything but the keyed MACs.

A leaf is a text: canonical JSON of the entry's number, time, actor, action and data. The API shows this very text, and
receipts carry it, so an outsider hashes what they were given and needs no rules for writing JSON.

Pure module: no I/O, no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from inputs import canonical_json

# Keys of an entry's data that name requests and runs.
_ONE, _SEVERAL = ("request", "run"), ("requests",)


def leaf_of(sequence: int, recorded_at: datetime, actor: str, action: str, data: Mapping[str, Any]) -> str:
    """The leaf's text, which has ASCII characters only. The Merkle tree hashes its bytes."""
    content = {
        "sequence": sequence,
        "recorded_at": recorded_at.isoformat(),
        "actor": actor,
        "action": action,
        "data": data,
    }
    return canonical_json(content, ascii_only=True).decode()


def references_of(data: object) -> frozenset[str]:
    """The requests and runs that an entry names."""
    if not isinstance(data, Mapping):
        return frozenset()
    found = [data.get(key) for key in _ONE]
    for key in _SEVERAL:
        several = data.get(key)
        found += several if isinstance(several, list | tuple) else []
    return frozenset(name for name in found if isinstance(name, str))
