"""One byte string per JSON value, so that a digest or a seal names content and nothing else.

`model_store` imports nothing of this project. It has its own form (`model_store.canonical_json`), which it also reads.
"""

import json
from typing import Any


def canonical_json(value: Any, *, ascii_only: bool = False) -> bytes:
    """Encode `value` as UTF-8 JSON with sorted keys and no white space. `ascii_only` escapes non-ASCII characters.

    Raises:
        ValueError: `value` holds a float that JSON cannot represent (nan, inf).
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False)
    return text.encode()
