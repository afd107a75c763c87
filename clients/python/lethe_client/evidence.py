"""The audit log's entries and proofs, and the keys of receipts. Hashes are SHA-256 in hexadecimal digits."""

from __future__ import annotations

from lethe_client.models import Model


class Entry(Model):
    """One entry of the audit log; ``leaf`` is the text that the tree hashes."""

    sequence: int
    leaf: str
    leaf_hash: str


class Entries(Model):
    """Entries in order; ``size`` is the number of all entries."""

    size: int
    entries: list[Entry]


class InclusionProof(Model):
    """The proof that an entry is among the first ``size`` entries (RFC 9162, section 2.1.3)."""

    entry: int
    index: int
    size: int
    leaf_hash: str
    root: str
    proof: list[str]


class ConsistencyProof(Model):
    """The proof that the log of ``second`` entries begins with that of ``first`` (RFC 9162, section 2.1.4)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: list[str]


class Key(Model):
    """A public key of receipts as a JSON Web Key."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class KeySet(Model):
    """The public keys of receipts."""

    keys: list[Key]
