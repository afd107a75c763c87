"""Errors between the service and its database.

DatabaseError
├── UnsupportedDatabaseUrl  the address cannot be parsed, or names an unsupported database
├── DatabaseUnavailable   the database does not answer, or not as this release needs it; nothing was written
│   ├── DatabaseRewound   the database was restored or replaced while this process worked with it
│   └── DatabaseUnconfirmed  the database was silent for a while, and may have been replaced meanwhile
├── FenceLost             another worker owns the run now, or the run is over
├── SubjectKeyChanged     this process has another subject key than the database was made with
├── MakingLost            another process makes the levels now
├── PointerMoved          the parent is no longer live; the compare-and-swap found another version
├── BelowErasureFloor     the version does not cover everyone already forgotten
└── NothingToConsolidate  no version is live
"""

from __future__ import annotations


class DatabaseError(Exception):
    """Root; the default message of a leaf is its docstring."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class UnsupportedDatabaseUrl(DatabaseError):
    """The address of the database cannot be used."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"LETHE_DATABASE_URL: {problem}")


class DatabaseUnavailable(DatabaseError):
    """The database does not answer; nothing was written. Check LETHE_DATABASE_URL and that the server runs."""

    @classmethod
    def because(cls, address: str, reason: str) -> DatabaseUnavailable:
        """The error for an address without secrets, with the driver's own reason."""
        return cls(
            f"LETHE_DATABASE_URL: the database at {address} cannot be used, nothing was written: {reason}"
        )


class DatabaseRewound(DatabaseUnavailable):
    """The database is older than what this process has seen of it; nothing is written until the journal is replayed."""


class DatabaseUnconfirmed(DatabaseUnavailable):
    """The database was silent for a while; nothing is written until the store has shown that it is still the same."""


class FenceLost(DatabaseError):
    """The run has a newer fence: another worker has taken it over, or it is over."""


class MakingLost(DatabaseError):
    """Somebody else makes the users' levels now."""


class SubjectKeyChanged(DatabaseError):
    """LETHE_SUBJECT_KEY is not the key this database was made with: forgotten users would not be recognised."""


class PointerMoved(DatabaseError):
    """The serving pointer no longer shows the version this run started from."""


class BelowErasureFloor(DatabaseError):
    """The version does not cover every forgotten subject and may never serve."""


class NothingToConsolidate(DatabaseError):
    """No version is live, so there is nothing to fit again. Run: lethe init"""
