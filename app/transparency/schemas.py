"""Entries and proofs of the audit log, as the API shows them. Hashes are SHA-256 in hexadecimal digits."""

from __future__ import annotations

from pydantic import BaseModel


class EntryView(BaseModel):
    """One entry. `leaf` is its content as canonical JSON, and the text that the tree hashes.

    `leaf_hash` is the SHA-256 of a zero byte and the leaf. The entry's index in the tree is `sequence - 1`.
    """

    sequence: int
    leaf: str
    leaf_hash: str


class EntriesView(BaseModel):
    """Entries in order. `size` is the number of all entries; ask again with `after` until you have them."""

    size: int
    entries: list[EntryView]


class InclusionProofView(BaseModel):
    """The proof that entry `entry` is among the first `size` entries (RFC 9162, section 2.1.3)."""

    entry: int
    index: int
    size: int
    leaf_hash: str
    root: str
    proof: list[str]


class ConsistencyProofView(BaseModel):
    """The proof that the log of `second` entries begins with the log of `first` entries (RFC 9162, section 2.1.4)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: list[str]
