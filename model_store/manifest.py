"""The manifest, which describes a version. The SHA-256 of its canonical bytes is the version's name.

The form is canonical JSON (:mod:`model_store.canonical_json`) with exactly the fields of
:class:`Manifest`: none missing, none extra. Every change of the fields gets a new ``schema`` number.
"""

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from model_store.canonical_json import NotCanonical, decode_canonical, encode, plain
from model_store.content import Content, opened, pieces, size_of
from model_store.digests import is_digest, sha256_hex, sha256_of_pieces
from model_store.errors import InvalidManifest

SCHEMA = 2
# Manifests of schema 1 stay readable, with the same digest. They lack the number of the catalogue's items.
_SCHEMAS = (1, SCHEMA)
MAX_MANIFEST_BYTES = 16 * 2**20
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # PEFT's own file name

# The store never uses a name as a path, but readers may write artefacts into a folder under their names.
_ARTEFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(safetensors|json)")
_METHOD_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class BlobRef:
    """A blob by digest, with its size in bytes."""

    digest: str
    bytes: int

    def __post_init__(self) -> None:
        if not is_digest(self.digest):
            raise InvalidManifest(
                f"blob digest {str(self.digest)[:80]!r}: expected 64 lower-case hex characters"
            )
        if type(self.bytes) is not int or self.bytes < 0:
            raise InvalidManifest(f"blob size {self.bytes!r}: expected a non-negative integer")

    @classmethod
    def of(cls, content: Content) -> Self:
        """The reference to these bytes or this file. Raises StoreUnavailable if the file cannot be read."""
        with opened(content) as file:
            size = size_of(file)
        return cls(sha256_of_pieces(pieces(content)), size)


@dataclass(frozen=True)
class Manifest:
    """An immutable version: an adapter, where it came from and what was measured about it.

    ``base_digest``, ``catalogue_digest``  the base and the catalogue that it belongs to (SHA-256, hex);
    ``catalogue_items``   number of items of that catalogue, > 0; None in schema 1;
    ``parent``            digest of the version it was made from, or None for a first fit;
    ``forget_epoch``      every suppression up to and including this epoch is covered, >= 0;
    ``method``, ``config``  how the adapter was made, e.g. ``ucan`` with its settings;
    ``report``            the gate's measurements, ``{}`` where none were taken;
    ``policy_hash``       SHA-256 of the policy whose gate judged it, or None for a first fit;
    ``canary_fingerprint``  scores on fixed synthetic prompts, one row per prompt;
    ``adapter_config``    content of PEFT's ``adapter_config.json``;
    ``blobs``             artefact name -> :class:`BlobRef`; ``adapter_model.safetensors`` is required,
                          other names end in ``.safetensors`` or ``.json``;
    ``trained_on``        watermark of the training data, and seeds;
    ``created_at``        ISO 8601 with an offset;
    ``library_versions``  library name -> version, of the libraries that computed it.

    The containers are copied on construction; do not change them afterwards. Raises
    :class:`InvalidManifest`.
    """

    base_digest: str
    catalogue_digest: str
    parent: str | None
    forget_epoch: int
    method: str
    config: dict[str, Any]
    report: dict[str, Any]
    policy_hash: str | None
    canary_fingerprint: list[list[float]]
    adapter_config: dict[str, Any]
    blobs: dict[str, BlobRef]
    trained_on: dict[str, Any]
    created_at: str
    library_versions: dict[str, str]
    catalogue_items: int | None = field(default=None, kw_only=True)
    schema: int = field(default=SCHEMA, kw_only=True)

    def __post_init__(self) -> None:
        self._check_schema()
        for name in ("base_digest", "catalogue_digest"):
            if not is_digest(getattr(self, name)):
                raise InvalidManifest(f"{name}: expected 64 lower-case hexadecimal characters")
        for name in ("parent", "policy_hash"):
            if getattr(self, name) is not None and not is_digest(getattr(self, name)):
                raise InvalidManifest(f"{name}: expected 64 lower-case hexadecimal characters or None")
        if type(self.forget_epoch) is not int or self.forget_epoch < 0:
            raise InvalidManifest(f"forget_epoch {self.forget_epoch!r}: expected an integer >= 0")
        if not isinstance(self.method, str) or not _METHOD_NAME.fullmatch(self.method):
            raise InvalidManifest("method: expected lower-case letters, digits and underscores, at most 64")
        self._check_created_at()
        for name in ("config", "report", "adapter_config", "trained_on", "library_versions"):
            self._own(name, dict)
        self._own("canary_fingerprint", list)
        if not all(isinstance(value, str) for value in self.library_versions.values()):
            raise InvalidManifest("library_versions must map names to version strings")
        self._check_fingerprint()
        self._check_blobs()

    @property
    def digest(self) -> str:
        """The version's name: SHA-256 of :meth:`to_bytes`."""
        return sha256_hex(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The canonical bytes. Raises :class:`InvalidManifest` beyond :data:`MAX_MANIFEST_BYTES`."""
        content: dict[str, Any] = {name: getattr(self, name) for name in _field_names(self.schema)}
        content["blobs"] = {
            name: {"bytes": ref.bytes, "digest": ref.digest} for name, ref in self.blobs.items()
        }
        data = encode(content)
        if len(data) > MAX_MANIFEST_BYTES:
            raise InvalidManifest(
                f"the manifest has {len(data)} bytes, the limit is {MAX_MANIFEST_BYTES}: store what is large as a blob"
            )
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read the bytes that :meth:`to_bytes` writes; anything else raises :class:`InvalidManifest`."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise InvalidManifest(f"the manifest has {len(data)} bytes, the limit is {MAX_MANIFEST_BYTES}")
        try:
            content = decode_canonical(data)
        except NotCanonical as error:
            raise InvalidManifest(f"not canonical JSON: {error}") from error
        if not isinstance(content, dict):
            raise InvalidManifest("not a JSON object")
        expected = _field_names(content.get("schema"))
        if content.keys() != expected:
            missing, extra = sorted(expected - content.keys()), sorted(content.keys() - expected)
            raise InvalidManifest(f"missing fields {missing}, unknown fields {[name[:80] for name in extra]}")
        blobs = content["blobs"]
        if not isinstance(blobs, dict):
            raise InvalidManifest("blobs must be an object")
        return cls(**{**content, "blobs": {name: _blob_ref(name, ref) for name, ref in blobs.items()}})

    def _own(self, name: str, kind: type) -> None:
        value = getattr(self, name)
        if not isinstance(value, kind | tuple if kind is list else kind):
            raise InvalidManifest(f"{name}: expected a {kind.__name__}, got {type(value).__name__}")
        try:
            object.__setattr__(self, name, plain(value))
        except NotCanonical as error:
            raise InvalidManifest(f"{name}: {error}") from error

    def _check_schema(self) -> None:
        if type(self.schema) is not int or self.schema not in _SCHEMAS:
            raise InvalidManifest(
                f"schema {self.schema!r} is unknown: this release reads up to {SCHEMA} and writes {SCHEMA}"
            )
        if self.schema == 1:
            if self.catalogue_items is not None:
                raise InvalidManifest("catalogue_items: schema 1 has no such field")
        elif type(self.catalogue_items) is not int or self.catalogue_items < 1:
            raise InvalidManifest(f"catalogue_items {self.catalogue_items!r}: expected an integer > 0")

    def _check_created_at(self) -> None:
        try:
            moment = datetime.fromisoformat(self.created_at)
        except (TypeError, ValueError) as error:
            raise InvalidManifest(f"created_at {str(self.created_at)[:40]!r} is not ISO 8601") from error
        if moment.tzinfo is None:
            raise InvalidManifest(f"created_at {self.created_at!r} has no offset from UTC")

    def _check_fingerprint(self) -> None:
        for row in self.canary_fingerprint:
            if not isinstance(row, list) or not all(type(value) in (int, float) for value in row):
                raise InvalidManifest("canary_fingerprint must be a list of lists of numbers")

    def _check_blobs(self) -> None:
        if not isinstance(self.blobs, dict) or ADAPTER_WEIGHTS not in self.blobs:
            raise InvalidManifest(f"blobs must map names to blobs and contain {ADAPTER_WEIGHTS}")
        for name, ref in self.blobs.items():
            if not isinstance(name, str) or not _ARTEFACT_NAME.fullmatch(name):
                raise InvalidManifest(
                    f"artefact name {str(name)[:80]!r}: letters, digits, '-' and '_', then .safetensors or .json"
                )
            if not isinstance(ref, BlobRef):
                raise InvalidManifest(f"blobs[{name!r}]: expected a BlobRef")
        object.__setattr__(self, "blobs", dict(self.blobs))


def _field_names(schema: Any) -> set[str]:
    first = type(schema) is int and schema == 1
    return {item.name for item in fields(Manifest)} - ({"catalogue_items"} if first else set())


def _blob_ref(name: str, value: Any) -> BlobRef:
    if not isinstance(value, dict) or value.keys() != {"digest", "bytes"}:
        raise InvalidManifest(f"blobs[{name[:80]!r}]: expected exactly digest and bytes")
    return BlobRef(digest=value["digest"], bytes=value["bytes"])
