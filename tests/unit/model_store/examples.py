"""Small, valid things to store, and ways to build safetensors files by hand, well-formed or not."""

import json
from dataclasses import replace
from typing import Any

from model_store import ADAPTER_WEIGHTS, BlobRef, Checkpoint, Floor, JournalEntry, Manifest, Store, Timeline
from model_store.content import Content

SUBJECT = "5a" * 32
OTHER_SUBJECT = "5b" * 32


def file_of(header: Any, body: bytes = b"") -> bytes:
    """A file in the safetensors layout: length, header, body. ``header`` may be raw bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def safetensors(values: int = 4, fill: int = 1) -> bytes:
    """A well-formed file with one vector of ``values`` 32-bit numbers."""
    entry = {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}
    return file_of({"lora_A.weight": entry}, bytes([fill]) * (4 * values))


def manifest(blobs: dict[str, BlobRef], **changes: Any) -> Manifest:
    """A valid first version with these artefacts."""
    plain = Manifest(
        base_digest="b0" * 32,
        catalogue_digest="ca" * 32,
        catalogue_items=1682,
        parent=None,
        forget_epoch=3,
        method="refit",
        config={"epochs": 30, "lr": 3e-3},
        report={"recall@10": 0.1},
        policy_hash="90" * 32,
        canary_fingerprint=[[0.5, -1.25], [3.0, 1e-7]],
        adapter_config={"r": 32, "lora_alpha": 64},
        blobs=blobs,
        trained_on={"watermark": 881250949, "seeds": [1]},
        created_at="2026-03-01T12:00:00+00:00",
        library_versions={"torch": "2.13.0"},
    )
    return replace(plain, **changes)


def publish(store: Store, data: Content | None = None, **changes: Any) -> str:
    """Publish a version with one artefact; its digest."""
    return publish_all(store, {ADAPTER_WEIGHTS: safetensors() if data is None else data}, **changes)


def publish_all(store: Store, contents: dict[str, Content], **changes: Any) -> str:
    """Publish a version with these artefacts; its digest."""
    return store.publish(manifest(refs(contents), **changes), contents)


def refs(contents: dict[str, Content]) -> dict[str, BlobRef]:
    return {name: BlobRef.of(content) for name, content in contents.items()}


def weights_of(store: Store, version: str) -> str:
    """The digest of its adapter's blob."""
    return store.read_manifest(version).blobs[ADAPTER_WEIGHTS].digest


REQUEST = "fr_" + "5c" * 16


def entry(epoch: int = 1, subject: str = SUBJECT) -> JournalEntry:
    return JournalEntry(epoch, subject, f"2026-03-01T12:00:{epoch % 60:02d}+00:00", REQUEST)


def timeline(number: int = 1, token: str = "7e" * 16) -> Timeline:
    return Timeline(number, token, after_epoch=5, started_at="2026-03-01T12:00:00+00:00")


def checkpoint(timeline: int = 1, sequence: int = 1, head: str = "0e" * 32) -> Checkpoint:
    return Checkpoint(timeline, sequence, head, seal="5e" * 32)


def floor(epoch: int = 1) -> Floor:
    return Floor(epoch, "2026-03-01T12:00:00+00:00")
