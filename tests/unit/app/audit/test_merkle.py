"""The tree of RFC 6962: against the vectors of Certificate Transparency's own tests, and against the definitions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.merkle import (
    EMPTY_ROOT,
    completed_by,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    range_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

# github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc: inputs, roots, paths and proofs.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (leaf from 0, size) -> path
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
PROOFS = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

sizes = st.integers(0, 70)


def definition(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 words it: by recursion over the leaves."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(definition(leaves[:split]), definition(leaves[split:]))


def grown(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """The complete subtrees, made leaf by leaf as a log grows."""
    found: dict[tuple[int, int], bytes] = {}
    for index, leaf in enumerate(leaves):
        for level, place, digest in completed_by(index, leaf_hash(leaf), lambda *key: found[key]):
            assert (level, place) not in found
            found[level, place] = digest
    return lambda *key: found[key]


def inclusion(leaves: Sequence[bytes], index: int, size: int) -> list[bytes]:
    subtree = grown(leaves[:size])
    return [range_hash(*each, subtree) for each in inclusion_ranges(index, size)]


def consistency(leaves: Sequence[bytes], first: int, second: int) -> list[bytes]:
    subtree = grown(leaves[:second])
    return [range_hash(*each, subtree) for each in consistency_ranges(first, second)]


def many(size: int) -> list[bytes]:
    return [number.to_bytes(2, "big") for number in range(size)]


def test_published_roots() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root(size, grown(LEAVES)).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_published_paths(index: int, size: int) -> None:
    proof = inclusion(LEAVES, index, size)
    assert [each.hex() for each in proof] == PATHS[index, size]
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("first", "second"), PROOFS)
def test_published_consistency_proofs(first: int, second: int) -> None:
    proof = consistency(LEAVES, first, second)
    assert [each.hex() for each in proof] == PROOFS[first, second]
    roots = (bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[second - 1]))
    assert verify_consistency(first, second, *roots, proof)


@given(sizes)
def test_a_tree_that_grew_has_the_root_of_the_definition(size: int) -> None:
    assert root(size, grown(many(size))) == definition(many(size))


@given(st.data(), st.integers(1, 70))
def test_every_leaf_is_proved_and_no_other(data: st.DataObject, size: int) -> None:
    index, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    leaves = many(size)
    proof, top = inclusion(leaves, index, size), definition(leaves)
    assert verify_inclusion(leaf_hash(leaves[index]), index, size, proof, top)
    assert verify_inclusion(leaf_hash(leaves[other]), index, size, proof, top) == (other == index)
    assert verify_inclusion(leaf_hash(leaves[index]), other, size, proof, top) == (other == index)
    assert not verify_inclusion(leaf_hash(leaves[index]), index, size, [*proof, top], top)
    if proof:
        assert not verify_inclusion(leaf_hash(leaves[index]), index, size, proof[:-1], top)


@given(st.data(), sizes)
def test_every_continuation_is_proved(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(0, second))
    leaves = many(second)
    proof = consistency(leaves, first, second)
    roots = definition(leaves[:first]), definition(leaves)
    assert verify_consistency(first, second, *roots, proof)
    assert not verify_consistency(first, second, *roots, [*proof, leaf_hash(b"more")])
    if proof:
        assert not verify_consistency(first, second, *roots, proof[:-1])


@given(st.data(), st.integers(1, 70))
def test_a_changed_beginning_has_no_proof(data: st.DataObject, second: int) -> None:
    """A log whose entry was rewritten is not the continuation of what it was, whatever proof it gives."""
    first = data.draw(st.integers(1, second))
    changed = data.draw(st.integers(0, first - 1))
    leaves = many(second)
    rewritten = [*leaves[:changed], b"rewritten", *leaves[changed + 1 :]]
    for proof in (consistency(leaves, first, second), consistency(rewritten, first, second)):
        assert not verify_consistency(first, second, definition(leaves[:first]), definition(rewritten), proof)


def test_a_tree_that_shrank_is_no_continuation() -> None:
    assert not verify_consistency(5, 3, definition(many(5)), definition(many(3)), [])
    with pytest.raises(ValueError, match="larger"):
        consistency_ranges(5, 3)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_ranges(index, size)
    assert not verify_inclusion(leaf_hash(b""), index, size, [], EMPTY_ROOT)
