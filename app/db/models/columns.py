"""Column types that several tables share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String

# SQLite only auto-increments a column typed exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Digest = String(64)
# The longest id that `inputs` allows. SQLite ignores the length, and its tables still declare the old one.
ItemId = String(256).with_variant(String(128), "sqlite")
