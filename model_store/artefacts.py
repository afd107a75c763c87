"""The rules by which a version's artefacts are accepted, for those who publish and those who load."""

from collections.abc import Iterable

from model_store.canonical_json import NotCanonical, decode
from model_store.content import Content, opened, size_of
from model_store.errors import (
    DigestMismatch,
    HostileArtefact,
    InvalidManifest,
    VersionBelowFloor,
    VersionDestroyed,
)
from model_store.interface import Store
from model_store.manifest import ADAPTER_WEIGHTS, BlobRef, Manifest
from model_store.safetensors_header import inspect_safetensors


def check_artefact(name: str, ref: BlobRef, content: Content) -> None:
    """Refuse bytes of the wrong size, or that are not what the end of ``name`` says.

    Raises DigestMismatch for the size and HostileArtefact for the form.
    """
    with opened(content) as file:
        size = size_of(file)
        if size != ref.bytes:
            raise DigestMismatch(f"{name}: the manifest states {ref.bytes} bytes, the blob has {size}")
        # Only of JSON all is looked at.
        text = None if name.endswith(".safetensors") else file.read()
    try:
        if text is None:
            inspect_safetensors(content)
        else:
            decode(text)
    except HostileArtefact as error:
        raise HostileArtefact(f"{name}: {error}") from error
    except NotCanonical as error:
        raise HostileArtefact(f"{name}: not well-formed JSON: {error}") from error


def read_version(
    store: Store, digest: str, names: Iterable[str] | None = None
) -> tuple[Manifest, dict[str, bytes]]:
    """A living version's manifest and its artefacts' bytes, everything verified; the way to load one.

    ``names`` picks artefacts; by default all are read. Raises VersionDestroyed, VersionBelowFloor for the
    weights of a version that may not serve, InvalidManifest for a name the version lacks, and whatever
    :class:`~model_store.Store`'s readers raise.
    """
    if store.is_destroyed(digest):
        raise VersionDestroyed(f"version {digest} was destroyed: only its manifest is left")
    manifest = store.read_manifest(digest)
    wanted = list(manifest.blobs if names is None else names)
    # Whoever put back the bytes of a destroyed version can have taken its tombstone away.
    if ADAPTER_WEIGHTS in wanted and manifest.forget_epoch < (floor := store.erasure_floor()):
        raise VersionBelowFloor(
            f"version {digest} covers epoch {manifest.forget_epoch}, below the erasure floor {floor}"
        )
    artefacts = {}
    for name in wanted:
        if name not in manifest.blobs:
            raise InvalidManifest(f"version {digest} has no artefact {name!r}, only {sorted(manifest.blobs)}")
        ref = manifest.blobs[name]
        artefacts[name] = store.read_blob(digest, ref.digest)
        check_artefact(name, ref, artefacts[name])
    return manifest, artefacts
