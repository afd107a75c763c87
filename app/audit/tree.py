"""The Merkle tree over the audit log, as it is stored: complete subtrees, and an index of what entries name.

Entries are appended under the ledger's lock. The tree is not: it follows, in transactions of its own. So it costs an
acceptance nothing, and the entries of an earlier release get into it in the same way. Whoever needs a proof lets the
tree grow first; workers do it with each checkpoint, so little is left to do then. The tree holds only what the entries
determine: `disagreements` computes all of it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import structlog
from sqlalchemy import and_, func, insert, or_, select
from sqlalchemy.orm import Session

from app.audit import merkle
from app.audit.leaves import leaf_of, references_of
from app.audit.log import entries
from app.db.models import AuditEntry, AuditNode, AuditReference, AuditTree, Ledger
from app.db.session import Database

log = structlog.get_logger()

_ENTRIES_AT_A_TIME = 500
_DIGEST = re.compile("[0-9a-f]{64}")
Nodes = dict[tuple[int, int], bytes]


class TreeDamaged(Exception):
    """The stored tree cannot be of this log, or a node is missing or no digest. `lethe audit verify` says more."""


def grow(database: Database) -> int:
    """Take all entries into the tree that it does not hold yet. Returns its size.

    It stops before a gap in the log: `lethe audit verify` reports that.

    Raises:
        DatabaseUnavailable: the database does not answer.
        TreeDamaged: the stored tree is not what was stored.
    """
    with database.read() as session:
        size, logged = size_of(session), session.scalar(select(Ledger.audit_sequence)) or 0
    if size > logged:
        raise TreeDamaged("the Merkle tree holds more entries than the log")
    if size == logged:
        return size
    while True:
        with database.unit_of_work() as session:
            tree = session.execute(select(AuditTree).with_for_update()).scalar_one()
            some = session.scalars(
                select(AuditEntry)
                .where(AuditEntry.sequence > tree.size)
                .order_by(AuditEntry.sequence)
                .limit(_ENTRIES_AT_A_TIME)
            ).all()
            _append(session, tree, some)
            if len(some) < _ENTRIES_AT_A_TIME or tree.size < some[-1].sequence:
                return tree.size


def _append(session: Session, tree: AuditTree, some: Sequence[AuditEntry]) -> None:
    nodes = _nodes(session, merkle.subtrees_of(0, tree.size))
    known, references = set(nodes), []
    for entry in some:
        if entry.sequence != tree.size + 1:
            log.error("audit.gap", sequence=tree.size + 1)
            break
        _take_in(nodes, entry)
        references += [
            {"reference": reference, "sequence": entry.sequence}
            for reference in sorted(references_of(entry.data))
        ]
        tree.size = entry.sequence
    added = [
        {"level": level, "place": place, "digest": digest.hex()}
        for (level, place), digest in nodes.items()
        if (level, place) not in known
    ]
    if added:
        session.execute(insert(AuditNode), added)
    if references:
        session.execute(insert(AuditReference), references)


def _take_in(nodes: Nodes, entry: AuditEntry) -> None:
    leaf = merkle.leaf_hash(text_of(entry).encode())
    found = merkle.completed_by(entry.sequence - 1, leaf, lambda level, place: nodes[level, place])
    for level, place, digest in found:
        nodes[level, place] = digest


def text_of(entry: AuditEntry) -> str:
    """The entry's leaf in the tree."""
    return leaf_of(entry.sequence, entry.recorded_at, entry.actor, entry.action, entry.data)


def size_of(session: Session) -> int:
    return session.scalar(select(AuditTree.size)) or 0


def leaf_hash(session: Session, sequence: int) -> bytes:
    """The stored hash of entry `sequence`, which the tree must hold."""
    return _nodes(session, [(0, sequence - 1)])[0, sequence - 1]


def root(session: Session, size: int) -> bytes:
    """The root over the first `size` entries, which the tree must hold."""
    return _hashes(session, [(0, size)])[0]


def inclusion(session: Session, sequence: int, size: int) -> list[bytes]:
    """The proof that entry `sequence`, counted from 1, is among the first `size` entries.

    Raises:
        ValueError: it is not.
    """
    return _hashes(session, merkle.inclusion_ranges(sequence - 1, size))


def consistency(session: Session, first: int, second: int) -> list[bytes]:
    """The proof that the tree over `second` entries continues that over `first`.

    Raises:
        ValueError: the first is larger.
    """
    return _hashes(session, merkle.consistency_ranges(first, second))


def naming(
    session: Session, references: Iterable[str], actions: Iterable[str], *, up_to: int
) -> Sequence[AuditEntry]:
    """The entries with one of these actions that name one of these requests or runs, in order."""
    named = select(AuditReference.sequence).where(
        AuditReference.reference.in_(list(references)), AuditReference.sequence <= up_to
    )
    return session.scalars(
        select(AuditEntry)
        .where(AuditEntry.sequence.in_(named), AuditEntry.action.in_(list(actions)))
        .order_by(AuditEntry.sequence)
    ).all()


def disagreements(session: Session) -> Iterator[str]:
    """What the stored tree says otherwise than the entries. Reads the whole log."""
    size = size_of(session)
    nodes: Nodes = {}
    last = 0
    block: list[AuditEntry] = []
    for entry in entries(session):
        if entry.sequence != last + 1 or entry.sequence > size:
            break
        last = entry.sequence
        block.append(entry)
        if len(block) == _ENTRIES_AT_A_TIME:
            yield from _compare(session, nodes, block)
            block.clear()
    yield from _compare(session, nodes, block)
    if last < size:
        yield f"the Merkle tree holds {size} entries, and the log has the first {last} of them"
    # 2n - 1 nodes in a complete tree, and one tree for each 1 among the binary digits of the size.
    held = session.scalar(select(func.count()).select_from(AuditNode)) or 0
    if held != 2 * size - size.bit_count():
        yield f"the Merkle tree over {size} entries has {held} nodes instead of {2 * size - size.bit_count()}"
    beyond = session.scalar(
        select(func.count()).select_from(AuditReference).where(AuditReference.sequence > size)
    )
    if beyond:
        yield f"the index of the log names {beyond} times an entry that the Merkle tree does not hold"


def _compare(session: Session, nodes: Nodes, block: Sequence[AuditEntry]) -> Iterator[str]:
    if not block:
        return
    known = set(nodes)
    for entry in block:
        _take_in(nodes, entry)
    added = [key for key in nodes if key not in known]
    stored = _stored(session, added)
    for level, place in added:
        if stored.get((level, place)) != nodes[level, place].hex():
            first, last = (place << level) + 1, (place + 1) << level
            yield f"the Merkle tree's node over entries {first}..{last} is not what the entries give"
    named = select(AuditReference).where(
        AuditReference.sequence.between(block[0].sequence, block[-1].sequence)
    )
    found = {(row.reference, row.sequence) for row in session.scalars(named)}
    expected = {(reference, entry.sequence) for entry in block for reference in references_of(entry.data)}
    for sequence in sorted({sequence for _, sequence in found ^ expected}):
        yield f"the index of the log does not have what entry {sequence} names"
    # Only the complete subtrees that the next entries are joined to are needed further on.
    needed = set(merkle.subtrees_of(0, block[-1].sequence))
    for key in [key for key in nodes if key not in needed]:
        del nodes[key]


def _hashes(session: Session, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    nodes = _nodes(session, (key for each in ranges for key in merkle.subtrees_of(*each)))
    return [merkle.range_hash(*each, lambda level, place: nodes[level, place]) for each in ranges]


def _nodes(session: Session, keys: Iterable[tuple[int, int]]) -> Nodes:
    """
    Raises:
        TreeDamaged: one of them is missing, or no digest.
    """
    wanted = list(keys)
    stored = _stored(session, wanted)
    if any(not _DIGEST.fullmatch(stored.get(key, "")) for key in wanted):
        raise TreeDamaged("a node of the Merkle tree is missing or no digest")
    return {key: bytes.fromhex(stored[key]) for key in wanted}


def _stored(session: Session, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    if not keys:
        return {}
    places: dict[int, list[int]] = {}
    for level, place in keys:
        places.setdefault(level, []).append(place)
    # By level: SQLite finds pairs in a list of pairs by reading the whole table.
    stored = session.execute(
        select(AuditNode.level, AuditNode.place, AuditNode.digest).where(
            or_(
                *(and_(AuditNode.level == level, AuditNode.place.in_(some)) for level, some in places.items())
            )
        )
    )
    return {(row.level, row.place): row.digest for row in stored}
