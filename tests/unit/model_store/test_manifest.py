import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from model_store import ADAPTER_WEIGHTS, BlobRef, InvalidManifest, Manifest
from model_store.canonical_json import encode
from model_store.manifest import MAX_MANIFEST_BYTES
from tests.unit.model_store.examples import manifest

DIGEST = "d1" * 32
BLOBS = {ADAPTER_WEIGHTS: BlobRef(DIGEST, 84)}


def content(**changes: Any) -> dict[str, Any]:
    """The JSON object of a valid manifest, with changes; a change to None removes nothing."""
    return {**json.loads(manifest(BLOBS).to_bytes()), **changes}


def test_the_bytes_are_canonical_json_of_exactly_the_fields() -> None:
    data = manifest(BLOBS).to_bytes()
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert json.loads(data)["blobs"] == {ADAPTER_WEIGHTS: {"bytes": 84, "digest": DIGEST}}
    assert json.loads(data)["schema"] == 2
    assert Manifest.from_bytes(data) == manifest(BLOBS)


def test_the_order_of_keys_does_not_change_the_name() -> None:
    one = manifest(BLOBS, config={"a": 1, "b": 2})
    other = manifest(BLOBS, config={"b": 2, "a": 1})
    assert one.digest == other.digest


def test_every_field_changes_the_name() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"base_digest": DIGEST},
        {"catalogue_digest": DIGEST},
        {"catalogue_items": 1683},
        {"parent": DIGEST},
        {"forget_epoch": 4},
        {"method": "ucan"},
        {"config": {}},
        {"report": {}},
        {"policy_hash": None},
        {"canary_fingerprint": []},
        {"adapter_config": {"r": 32, "lora_alpha": 65}},
        {"blobs": {ADAPTER_WEIGHTS: BlobRef(DIGEST, 85)}},
        {"trained_on": {}},
        {"created_at": "2026-03-01T12:00:01+00:00"},
        {"library_versions": {}},
    ]
    assert len({replace(manifest(BLOBS), **change).digest for change in variants}) == len(variants)


def test_a_manifest_of_the_first_schema_keeps_its_name() -> None:
    data = encode({name: value for name, value in content(schema=1).items() if name != "catalogue_items"})
    read = Manifest.from_bytes(data)
    assert (read.schema, read.catalogue_items) == (1, None)
    assert read.to_bytes() == data
    with pytest.raises(InvalidManifest, match="schema 1 has no such field"):
        replace(read, catalogue_items=3)


def test_a_manifest_keeps_its_own_copy_of_what_it_was_given() -> None:
    config, blobs = {"steps": [1, (2, 3)]}, dict(BLOBS)
    made = manifest(blobs, config=config)
    before = made.digest
    config["steps"].append(4)
    blobs.clear()
    assert made.config == {"steps": [1, [2, 3]]}
    assert made.digest == before
    with pytest.raises(FrozenInstanceError):
        made.method = "other"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 3}, "schema 3 is unknown"),
        ({"schema": 0}, "schema 0 is unknown"),
        ({"schema": 1}, "unknown fields.*catalogue_items"),
        ({"catalogue_items": 0}, "catalogue_items"),
        ({"catalogue_items": True}, "catalogue_items"),
        ({"catalogue_items": None}, "catalogue_items"),
        ({"schema": True}, "schema"),
        ({"base_digest": DIGEST.upper()}, "base_digest"),
        ({"base_digest": None}, "base_digest"),
        ({"catalogue_digest": "../../etc/passwd"}, "catalogue_digest"),
        ({"parent": ""}, "parent"),
        ({"parent": "../" + "a" * 61}, "parent"),
        ({"policy_hash": "none"}, "policy_hash"),
        ({"forget_epoch": -1}, "forget_epoch"),
        ({"forget_epoch": 1.0}, "forget_epoch"),
        ({"forget_epoch": True}, "forget_epoch"),
        ({"forget_epoch": "3"}, "forget_epoch"),
        ({"method": ""}, "method"),
        ({"method": "../refit"}, "method"),
        ({"method": None}, "method"),
        ({"created_at": "yesterday"}, "ISO 8601"),
        ({"created_at": "2026-03-01T12:00:00"}, "offset"),
        ({"created_at": 1772366400}, "ISO 8601"),
        ({"config": []}, "config"),
        ({"report": None}, "report"),
        ({"library_versions": {"torch": 2}}, "library_versions"),
        ({"canary_fingerprint": {}}, "canary_fingerprint"),
        ({"canary_fingerprint": [0.5]}, "canary_fingerprint"),
        ({"canary_fingerprint": [["0.5"]]}, "canary_fingerprint"),
        ({"canary_fingerprint": [[True]]}, "canary_fingerprint"),
        ({"blobs": {}}, ADAPTER_WEIGHTS),
        ({"blobs": []}, "blobs"),
        ({"blobs": {"adapter_model.bin": {"bytes": 84, "digest": DIGEST}}}, ADAPTER_WEIGHTS),
    ],
)
def test_a_field_out_of_its_range_is_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        Manifest.from_bytes(encode(content(**changes)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x", {1: 2}])
def test_what_json_cannot_say_is_refused_on_construction(value: object) -> None:
    with pytest.raises(InvalidManifest, match="report"):
        manifest(BLOBS, report={"value": value})


@pytest.mark.parametrize(
    "ref",
    [
        {"bytes": 84},
        {"bytes": 84, "digest": DIGEST, "path": "/etc/passwd"},
        {"bytes": -1, "digest": DIGEST},
        {"bytes": 84.0, "digest": DIGEST},
        {"bytes": True, "digest": DIGEST},
        {"bytes": 84, "digest": DIGEST.upper()},
        {"bytes": 84, "digest": "../" + DIGEST[3:]},
        {"bytes": 84, "digest": None},
        [DIGEST, 84],
        DIGEST,
    ],
)
def test_a_malformed_blob_reference_is_refused(ref: object) -> None:
    with pytest.raises(InvalidManifest):
        Manifest.from_bytes(encode(content(blobs={ADAPTER_WEIGHTS: ref})))


@pytest.mark.parametrize(
    "name",
    [
        "../weights.safetensors",
        "/etc/weights.safetensors",
        "a/b.safetensors",
        "a\\b.safetensors",
        "..safetensors",
        ".hidden.json",
        "weights.safetensors\n",
        "weights.safetensors\0.json",
        "weights.bin",
        "weights.pkl",
        "weights.pt",
        "weights.tar.json",
        "weights.SAFETENSORS",
        "weights",
        "",
        "-rf.json",
        "ünïcode.json",
        "a" * 101 + ".json",
    ],
)
def test_an_artefact_name_is_a_plain_file_name_of_a_known_format(name: str) -> None:
    with pytest.raises(InvalidManifest, match="artefact name"):
        manifest({**BLOBS, name: BlobRef(DIGEST, 84)})


@pytest.mark.parametrize("field", sorted(content()))
def test_every_field_is_required(field: str) -> None:
    short = {name: value for name, value in content().items() if name != field}
    with pytest.raises(InvalidManifest, match=f"missing fields .*{field}"):
        Manifest.from_bytes(encode(short))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidManifest, match=r"unknown fields .*'run_me'"):
        Manifest.from_bytes(encode(content(run_me="os.system")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"manifest"',
        b"\x80\x04\x95",
        json.dumps(content(), indent=2).encode(),
        manifest(BLOBS).to_bytes() + b"\n",
        manifest(BLOBS).to_bytes().replace(b'"parent":null', b'"parent":null,"parent":null'),
        manifest(BLOBS).to_bytes().replace(b"0.1", b"NaN"),
        manifest(BLOBS).to_bytes().replace(b"0.1", b"1e999"),
        manifest(BLOBS).to_bytes()[:-1],
    ],
)
def test_anything_but_the_canonical_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        Manifest.from_bytes(data)


def test_size_is_bounded_in_both_directions() -> None:
    with pytest.raises(InvalidManifest, match="store what is large as a blob"):
        manifest(BLOBS, report={"text": "x" * MAX_MANIFEST_BYTES}).to_bytes()
    with pytest.raises(InvalidManifest, match="limit"):
        Manifest.from_bytes(b" " * (MAX_MANIFEST_BYTES + 1))
