"""The base class of records: small objects that are created once under a number.

A record is canonical JSON with exactly the known fields. Every change of the fields gets a new schema number.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import ClassVar, Self

from model_store.canonical_json import NotCanonical, decode_canonical, encode
from model_store.errors import InvalidRecord

MAX_RECORD_BYTES = 4096


@dataclass(frozen=True)
class Record:
    """One record.

    ``WHAT`` is the kind's name in messages. ``REFUSED`` is the error for a record that breaks the schema. ``LOST`` says
    which knowledge is lost with a damaged record. ``FOLDER`` and ``DIGITS`` make the object's name. ``SCHEMA`` is the
    schema that this release writes, ``LACKS`` names the fields that earlier, still readable schemas lack.
    """

    WHAT: ClassVar[str]
    REFUSED: ClassVar[type[InvalidRecord]]
    LOST: ClassVar[str]
    FOLDER: ClassVar[str]
    DIGITS: ClassVar[int]
    SCHEMA: ClassVar[int] = 1
    LACKS: ClassVar[Mapping[int, frozenset[str]]] = {}

    schema: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if type(self.schema) is not int or self.schema not in (self.SCHEMA, *self.LACKS):
            raise self.REFUSED(f"schema {self.schema!r} is unknown: this release writes {self.SCHEMA}")

    @property
    @abstractmethod
    def place(self) -> int:
        """The number that the record is stored under."""

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        lacking = self.LACKS.get(self.schema, frozenset())
        return encode({name: value for name, value in asdict(self).items() if name not in lacking})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the bytes that :meth:`to_bytes` writes; anything else raises ``REFUSED``."""
        try:
            content = decode_canonical(data)
        except NotCanonical as error:
            raise cls.REFUSED(f"not canonical JSON: {error}") from error
        if not isinstance(content, dict):
            raise cls.REFUSED("it is not an object")
        schema = content.get("schema")
        lacking = cls.LACKS.get(schema, frozenset()) if type(schema) is int else frozenset()
        if content.keys() != {item.name for item in fields(cls)} - lacking:
            raise cls.REFUSED(f"the fields are not those of a {cls.WHAT}")
        return cls(**content)

    def _require_integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if type(value) is not int or not low <= value <= high:
            raise self.REFUSED(f"{name} {value!r}: expected an integer from {low} to {high}")

    def _require_moment(self, name: str) -> None:
        try:
            moment = datetime.fromisoformat(getattr(self, name))
        except (TypeError, ValueError) as error:
            raise self.REFUSED(f"{name} is not ISO 8601") from error
        if moment.tzinfo is None:
            raise self.REFUSED(f"{name} has no offset from UTC")
