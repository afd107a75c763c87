"""Every way in which a safetensors file can lie, and an independent reader as the judge."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import safetensors as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from model_store import HostileArtefact, TensorInfo, inspect_safetensors
from tests.unit.model_store.examples import file_of, safetensors


def tensor(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    return buffer.getvalue()


EIGHT = b"\0" * 8
# Both would call os.system when loaded: protocol 4, and protocol 2 as torch.save wrote before its zip form.
PICKLE = b"\x80\x04\x95\x1c\0\0\0\0\0\0\0cposix\nsystem\n(S'true'\ntR."
OLD_PICKLE = b"\x80\x02cposix\nsystem\n(S'true'\ntR."
HOSTILE = {
    "empty": (b"", "not a safetensors file"),
    "seven bytes": (b"\0" * 7, "not a safetensors file"),
    "length only": (EIGHT, "not a safetensors file"),
    "pickle": (PICKLE, "a pickle"),
    "old pickle": (OLD_PICKLE, "a pickle"),
    "zip": (zip_archive(), "a zip archive"),
    "gzip": (b"\x1f\x8b" + b"\0" * 60, "gzip"),
    "numpy": (b"\x93NUMPY" + b"\0" * 60, "NumPy"),
    "gguf": (b"GGUF" + b"\0" * 60, "GGUF"),
    "header longer than the file": ((1000).to_bytes(8, "little") + b"{}", "ends before"),
    "header one byte too long": ((3).to_bytes(8, "little") + b"{}", "ends before"),
    "header beyond the format's limit": ((100_000_001).to_bytes(8, "little") + b"{}", "limit"),
    "header of 2^64 - 1": (b"\xff" * 8 + b"{}", "limit"),
    "header is a list": (file_of(b"[]"), "not a safetensors file"),
    "header with space in front": (file_of(b" {}"), "not a safetensors file"),
    "header is not JSON": (file_of(b"{nonsense}"), "well-formed"),
    "header is not UTF-8": (file_of(b'{"\xff":1}'), "well-formed"),
    "header with a comment": (file_of(b"{} // x"), "well-formed"),
    "header with NaN": (file_of(b'{"a":NaN}'), "NaN"),
    "header with infinity": (file_of(b'{"a":Infinity}'), "Infinity"),
    "header with an overflow": (file_of(b'{"a":1e999}'), "overflows"),
    "header nested deeply": (file_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested"),
    "a tensor twice": (
        file_of(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            EIGHT,
        ),
        "twice",
    ),
    "a field twice": (
        file_of(b'{"a":{"dtype":"F32","shape":[2],"shape":[4],"data_offsets":[0,8]}}', EIGHT),
        "twice",
    ),
    "tensor is a number": (file_of({"a": 1}), "exactly dtype"),
    "dtype missing": (file_of({"a": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT), "exactly dtype"),
    "field too many": (file_of({"a": tensor() | {"file": "/etc/passwd"}}, EIGHT), "exactly dtype"),
    "unknown dtype": (file_of({"a": tensor("OBJECT")}, EIGHT), "unknown dtype"),
    "dtype is a list": (file_of({"a": tensor(["F32"])}, EIGHT), "unknown dtype"),
    "shape is a number": (file_of({"a": tensor(shape=2)}, EIGHT), "shape"),
    "negative size": (file_of({"a": tensor(shape=[-2])}, EIGHT), "shape"),
    "two negative sizes": (file_of({"a": tensor(shape=[-1, -2])}, EIGHT), "shape"),
    "size is a float": (file_of({"a": tensor(shape=[2.0])}, EIGHT), "shape"),
    "size is a boolean": (file_of({"a": tensor("U8", [True], [0, 1])}, b"\0"), "shape"),
    "size beyond 2^63": (file_of({"a": tensor(shape=[2**63])}, EIGHT), "shape"),
    "shape overflows": (file_of({"a": tensor(shape=[2**32, 2**32])}, EIGHT), "overflows"),
    "shape overflows and returns": (file_of({"a": tensor(shape=[2**62, 2**62, 0])}, EIGHT), "overflows"),
    "shape wraps round to the offsets": (file_of({"a": tensor(shape=[2**61, 8, 2])}, EIGHT), "overflows"),
    "offsets are one number": (file_of({"a": tensor(offsets=[8])}, EIGHT), "data_offsets"),
    "offsets are three numbers": (file_of({"a": tensor(offsets=[0, 8, 8])}, EIGHT), "data_offsets"),
    "offsets run backwards": (file_of({"a": tensor(offsets=[8, 0])}, EIGHT), "data_offsets"),
    "offsets are negative": (file_of({"a": tensor(offsets=[-8, 0])}, EIGHT), "data_offsets"),
    "offsets are floats": (file_of({"a": tensor(offsets=[0.0, 8.0])}, EIGHT), "data_offsets"),
    "offsets disagree with the shape": (file_of({"a": tensor(shape=[3])}, EIGHT), "needs 12 bytes"),
    "tensors overlap": (
        file_of({"a": tensor(), "b": tensor(offsets=[4, 12])}, b"\0" * 12),
        "overlaps",
    ),
    "tensors share their bytes": (file_of({"a": tensor(), "b": tensor()}, EIGHT), "overlaps"),
    "gap between tensors": (
        file_of({"a": tensor(), "b": tensor(offsets=[12, 20])}, b"\0" * 20),
        "gap",
    ),
    "gap in front": (file_of({"a": tensor(offsets=[4, 12])}, b"\0" * 12), "gap"),
    "truncated": (safetensors()[:-1], "truncated"),
    "offsets far beyond the file": (
        file_of({"a": tensor("U8", [2**40], [0, 2**40])}, EIGHT),
        "truncated",
    ),
    "bytes nobody describes": (safetensors() + b"\0", "not described"),
    "body without tensors": (file_of({}, EIGHT), "not described"),
    "metadata is a list": (file_of({"__metadata__": ["x"]}), "__metadata__"),
    "metadata holds a number": (file_of({"__metadata__": {"x": 1}}), "__metadata__"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(HostileArtefact, match=reason):
        inspect_safetensors(data)


def test_what_a_writer_writes_is_read_tensor_by_tensor() -> None:
    arrays = {
        "scalar": np.array(3.0),
        "empty": np.zeros((3, 0, 2), np.int32),
        "matrix": np.arange(6, dtype=np.float16).reshape(2, 3),
        "bytes": np.arange(5, dtype=np.uint8),
    }
    data = save(arrays, metadata={"format": "pt"})
    found = inspect_safetensors(data)
    body = data[8 + int.from_bytes(data[:8], "little") :]
    assert {name: info.shape for name, info in found.items()} == {
        name: array.shape for name, array in arrays.items()
    }
    for name, info in found.items():
        assert body[info.begin : info.end] == arrays[name].tobytes()
    assert found["matrix"].dtype == "F16"


def test_a_file_without_tensors_and_a_padded_header_are_well_formed() -> None:
    assert inspect_safetensors(file_of({})) == {}
    assert inspect_safetensors(file_of(json.dumps({"a": tensor()}).encode() + b"   ", EIGHT)) == {
        "a": TensorInfo("F32", (2,), 0, 8)
    }


def test_a_header_whose_length_looks_like_a_pickle_is_well_formed() -> None:
    """640 is 0x0280: such a file begins with the two bytes of a protocol-2 pickle."""
    header = json.dumps({"a": tensor()}).encode().ljust(640)
    data = file_of(header, EIGHT)
    assert data.startswith(b"\x80\x02")
    assert list(inspect_safetensors(data)) == ["a"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_accepted_the_reference_reader_accepts_too(data: st.DataObject) -> None:
    """Mutated files: ours may be the stricter of the two, never the laxer."""
    original = bytearray(save({"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2), np.int8)}))
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(original) - 1))
        original[position] = data.draw(st.sampled_from(b'0123456789,[]{}":AF \x00\xff'))
    mutated = bytes(original[: data.draw(st.integers(len(original) - 2, len(original)))])
    try:
        ours = inspect_safetensors(mutated)
    except HostileArtefact:
        return
    theirs = {name: tuple(entry["shape"]) for name, entry in reference.deserialize(mutated)}
    assert {name: info.shape for name, info in ours.items()} == theirs
