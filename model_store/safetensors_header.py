"""Reads and checks the header of a safetensors file without any tensor library.

The layout (format description of the safetensors project): eight bytes, little endian, the header's
length N; N bytes of JSON that start with ``{`` and may end in spaces; then the tensors' bytes, which
the header's offsets must cover exactly, in order, without gap or overlap. A file that breaks any of
this is refused here, before a loader allocates memory because the header says so.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

from model_store.canonical_json import NotCanonical, decode
from model_store.content import Content, opened, size_of
from model_store.errors import HostileArtefact

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_LENGTH_BYTES = 8
_MAX_BITS = 2**63

# Whole-byte types only: the format's 4- and 6-bit types do not occur in adapters.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

# These signatures only name a foreign format in the error message. They do not decide what is accepted.
_FAMILIAR = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x89HDF", "HDF5"),
    (b"GGUF", "GGUF"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as the header declares it. ``begin`` and ``end`` are byte offsets, counted from the header's end."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def inspect_safetensors(content: Content) -> dict[str, TensorInfo]:
    """The tensors that a safetensors file declares, by name, in file order, checked against the file's size.

    Only the header of a file given by its path is read.

    Raises :class:`HostileArtefact` for anything that is not exactly one well-formed safetensors file:
    other formats, a truncated file, a header that is too large, malformed, or has a key twice, an unknown
    dtype, a shape that overflows or disagrees with its offsets, and offsets that overlap, leave gaps
    or do not cover the file.
    """
    with opened(content) as file:
        size = size_of(file)
        header, after = _header(file, size)
    tensors = _declared(header)
    _check_coverage(tensors, size - after)
    return dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end, item[0])))


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header's content, and the byte offset at which the tensors begin."""
    start = file.read(_LENGTH_BYTES + 1)
    if start[_LENGTH_BYTES:] != b"{":
        looks_like = next((name for magic, name in _FAMILIAR if start.startswith(magic)), None)
        detail = f" (it looks like {looks_like})" if looks_like else ""
        raise HostileArtefact(f"not a safetensors file{detail}: only safetensors is read")
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise HostileArtefact(f"the header claims {length} bytes; the limit is {MAX_HEADER_BYTES}")
    if length > size - _LENGTH_BYTES:
        raise HostileArtefact(f"the header claims {length} bytes and the file ends before that")
    try:
        file.seek(_LENGTH_BYTES)
        header = decode(file.read(length))
    except NotCanonical as error:
        raise HostileArtefact(f"the header is not well-formed JSON: {error}") from error
    if not isinstance(header, dict):
        raise HostileArtefact("the header is not a JSON object")
    return header, _LENGTH_BYTES + length


def _declared(header: dict[str, Any]) -> dict[str, TensorInfo]:
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise HostileArtefact("__metadata__ must map strings to strings")
    return {name: _tensor(name, entry) for name, entry in header.items()}


def _tensor(name: str, entry: Any) -> TensorInfo:
    label = f"tensor {name[:80]!r}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise HostileArtefact(f"{label}: expected exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise HostileArtefact(f"{label}: unknown dtype {str(dtype)[:40]!r}")
    if not _is_sizes(shape):
        raise HostileArtefact(f"{label}: the shape must be a list of non-negative integers")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HostileArtefact(f"{label}: data_offsets must be [begin, end] with begin <= end")
    bits = _BITS[dtype]
    for size in shape:
        bits *= size
        if bits > _MAX_BITS:
            raise HostileArtefact(f"{label}: the shape overflows")
    if bits != 8 * (offsets[1] - offsets[0]):
        raise HostileArtefact(
            f"{label}: the shape needs {bits // 8} bytes, the offsets give {offsets[1] - offsets[0]}"
        )
    return TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < _MAX_BITS for item in value)


def _check_coverage(tensors: dict[str, TensorInfo], available: int) -> None:
    position = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != position:
            fault = "overlaps the one before it" if info.begin < position else "leaves a gap before it"
            raise HostileArtefact(f"tensor {name[:80]!r} {fault}")
        position = info.end
    if position > available:
        raise HostileArtefact(f"the tensors need {position} bytes and the file holds {available}: truncated")
    if position < available:
        raise HostileArtefact(
            f"{available - position} bytes after the last tensor are not described by the header"
        )
