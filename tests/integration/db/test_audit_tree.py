"""The stored Merkle tree follows the log, and says so where it does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.audit import merkle, tree
from app.audit.events import ForgetRetried
from app.audit.transaction import Transaction
from app.db.models import AuditEntry
from app.db.session import Database
from tests.integration.db.conftest import Service


def write(service: Service, many: int) -> None:
    with service.database.unit_of_work() as session:
        transaction = Transaction(session, service.audit)
        for number in range(many):
            transaction.record(ForgetRetried(f"fr_{number % 7}"))


def leaves(database: Database) -> list[bytes]:
    with database.read() as session:
        found = session.query(AuditEntry).order_by(AuditEntry.sequence).all()
        return [merkle.leaf_hash(tree.text_of(entry).encode()) for entry in found]


def test_proofs_from_the_stored_tree_verify(service: Service) -> None:
    """Also in blocks, and where the tree grew in between (R-39)."""
    write(service, 5)
    assert tree.grow(service.database) == 5
    write(service, 600)
    assert tree.grow(service.database) == tree.grow(service.database) == 605
    hashes = leaves(service.database)
    with service.database.read() as session:
        tops = {size: tree.root(session, size) for size in (0, 1, 5, 377, 605)}
        assert tops[0] == merkle.EMPTY_ROOT
        for size in (1, 5, 377, 605):
            for sequence in (1, size // 2 + 1, size):
                proof = tree.inclusion(session, sequence, size)
                leaf = hashes[sequence - 1]
                assert merkle.verify_inclusion(leaf, sequence - 1, size, proof, tops[size])
            for first in (first for first in tops if first <= size):
                proof = tree.consistency(session, first, size)
                assert merkle.verify_consistency(first, size, tops[first], tops[size], proof)
        assert list(tree.disagreements(session)) == []


def test_the_index_finds_what_names_a_request(service: Service) -> None:
    write(service, 20)
    tree.grow(service.database)
    with service.database.read() as session:
        found = tree.naming(session, ["fr_3"], [ForgetRetried.action], up_to=17)
        assert [entry.sequence for entry in found] == [4, 11]
        assert tree.naming(session, ["fr_3"], ["run.claimed"], up_to=17) == []


def test_processes_that_grow_the_tree_at_once_do_not_disturb_each_other(service: Service) -> None:
    write(service, 520)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: tree.grow(service.database), range(4))) == {520}
    with service.database.read() as session:
        assert list(tree.disagreements(session)) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE audit_nodes SET digest = '{zeros}' WHERE level = 1 AND place = 1",
            "over entries 3..4 is not",
        ),
        ("DELETE FROM audit_nodes WHERE level = 0 AND place = 4", "over entries 5..5 is not"),
        ("INSERT INTO audit_nodes VALUES (0, 6, '{zeros}')", "has 11 nodes instead of 10"),
        ("UPDATE audit_tree SET size = 9", "holds 9 entries, and the log has the first 6 of them"),
        ("DELETE FROM audit_references WHERE sequence = 2", "does not have what entry 2 names"),
        ("INSERT INTO audit_references VALUES ('fr_9', 2)", "does not have what entry 2 names"),
        ("INSERT INTO audit_references VALUES ('fr_9', 7)", "names 1 times an entry"),
    ],
)
def test_a_tree_that_says_otherwise_than_the_log_is_found(
    service: Service, statement: str, said: str
) -> None:
    write(service, 6)
    tree.grow(service.database)
    with service.database.engine.begin() as connection:
        connection.execute(text(statement.format(zeros="0" * 64)))
    with service.database.read() as session:
        found = list(tree.disagreements(session))
    assert any(said in each for each in found), found
