"""Types of columns that several tables have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String

# SQLite only auto-increments a column typed exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Digest = String(64)
# As long as `inputs` allows. SQLite does not look at the length, and declares the old one.
ItemId = String(256).with_variant(String(128), "sqlite")
