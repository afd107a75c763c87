"""One byte string per JSON value, so that a digest or a seal names content and nothing else.

`model_store` imports nothing of ours and has a form of its own (`model_store.canonical_json`), which it also reads.
"""

import json
from typing import Any


def canonical_json(value: Any, *, ascii_only: bool = False) -> bytes:
    """Keys sorted, no white space, UTF-8; `ascii_only` escapes what is not ASCII. Equal values hash equally.

    Raises:
        ValueError: a float that JSON cannot hold (nan, inf).
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False)
    return text.encode()
