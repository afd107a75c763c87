"""Merkle tree hashing with proofs of inclusion and consistency, as RFC 6962 (section 2.1) and RFC 9162 define them.

Pure module: hashes are 32 bytes, and nothing is stored here. Proofs are made from complete subtrees: ``(level, place)``
names the subtree over the leaves ``place << level`` to ``(place + 1) << level``, the last one excluded. The hash of a
complete subtree never changes when the log grows, so it can be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

# The hash of the complete subtree at (level, place).
Subtree = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed_by(index: int, leaf: bytes, subtree: Subtree) -> Iterator[tuple[int, int, bytes]]:
    """The complete subtrees that the leaf number `index` completes, as (level, place, hash). The leaf itself is one.

    Args:
        leaf: the leaf's hash.
        subtree: gives the complete subtrees to the left of the leaf.
    """
    level, place, found = 0, index, leaf
    yield level, place, found
    while place % 2:
        found = node_hash(subtree(level, place - 1), found)
        level, place = level + 1, place // 2
        yield level, place, found


def subtrees_of(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest complete subtrees that the leaves from `start` to `end` (excluded) consist of, from left to right.

    `start` must be a multiple of the largest power of two below the number of leaves, as in every tree of the RFC.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def range_hash(start: int, end: int, subtree: Subtree) -> bytes:
    """MTH(D[start:end]) of the RFC, for a range that occurs in one of its trees."""
    found: bytes | None = None
    for level, place in reversed(list(subtrees_of(start, end))):
        left = subtree(level, place)
        found = left if found is None else node_hash(left, found)
    return EMPTY_ROOT if found is None else found


def root(size: int, subtree: Subtree) -> bytes:
    """The root over the first `size` leaves."""
    return range_hash(0, size, subtree)


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes prove that leaf `index` is in the tree over `size` leaves: PATH(m, D[n]).

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    start, end = 0, size
    found = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes prove that the tree over `second` leaves continues that over `first`:
    PROOF(m, D[n]). Empty if nothing is needed: both sizes are equal, or the first tree is empty.

    Raises:
        ValueError: the first tree is larger than the second, or a size is negative.
    """
    if not 0 <= first <= second:
        raise ValueError("the first tree is larger than the second")
    if first in (0, second):
        return []
    start, end, whole = 0, second, True
    found = []
    while end != first:
        middle = start + _split(end - start)
        if first <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    # The verifier knows the first tree's root. It does not know a part of it.
    return ([] if whole else [(start, end)]) + found[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_: bytes) -> bool:
    """Whether the proof shows that the leaf with this hash has number `index` in the tree with this size and root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(sibling, found)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = node_hash(found, sibling)
        place, last = place // 2, last // 2
    return last == 0 and found == root_


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the second tree begins with all leaves of the first, in their order.

    Source: RFC 9162, section 2.1.4.2. An empty first tree is the beginning of every tree.
    """
    if not 0 <= first <= second:
        return False
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if first == second:
        return not proof and first_root == second_root
    hashes = list(proof)
    if first & (first - 1) == 0:
        hashes.insert(0, first_root)
    if not hashes:
        return False
    place, last = first - 1, second - 1
    while place % 2:
        place, last = place // 2, last // 2
    of_first = of_second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            of_first, of_second = node_hash(sibling, of_first), node_hash(sibling, of_second)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            of_second = node_hash(of_second, sibling)
        place, last = place // 2, last // 2
    return last == 0 and of_first == first_root and of_second == second_root


def _split(leaves: int) -> int:
    """The largest power of two below `leaves`, which is at least 2."""
    return 1 << ((leaves - 1).bit_length() - 1)
