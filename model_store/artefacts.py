"""The rules for a version's artefacts: checked before they are published and before they are loaded."""

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
    """Refuse content that has the wrong size, or not the format that the suffix of ``name`` says.

    Raises DigestMismatch for the size and HostileArtefact for the format.
    """
    with opened(content) as file:
        size = size_of(file)
        if size != ref.bytes:
            raise DigestMismatch(f"{name}: the manifest states {ref.bytes} bytes, the blob has {size}")
        # JSON is read whole. Of a safetensors file, the header is enough.
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
    """Return the manifest and the artefacts' bytes of a version that is not destroyed, all verified.

    Everything that loads a version loads it by this function. ``names`` selects artefacts; the default is all. Raises
    VersionDestroyed, VersionBelowFloor for the weights of a version that may not serve, InvalidManifest for a name that
    the version lacks, and all that the reading methods of :class:`~model_store.Store` raise.
    """
    if store.is_destroyed(digest):
        raise VersionDestroyed(f"version {digest} was destroyed: only its manifest is left")
    manifest = store.read_manifest(digest)
    wanted = list(manifest.blobs if names is None else names)
    # Somebody may have put back the blobs of a destroyed version and removed its tombstone. The floor still refuses it.
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
