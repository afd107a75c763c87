"""What is derived from the audit log so that outsiders can check it, and the receipts that were issued."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class AuditTree(Base):
    """One row: how many entries the stored Merkle tree holds. Its lock puts the processes that grow the tree in order.

    The tree follows the log (`app.audit.tree`), so ``size`` may be smaller than the ledger's ``audit_sequence``.
    """

    __tablename__ = "audit_tree"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class AuditNode(Base):
    """The hash of one complete subtree of the log's Merkle tree, see `app.audit.merkle`. Written once."""

    __tablename__ = "audit_nodes"
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(Digest)


class AuditReference(Base):
    """Entry ``sequence`` of the log names this request or run. An index of the log, written with the tree."""

    __tablename__ = "audit_references"
    reference: Mapped[str] = mapped_column(String(40), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class Receipt(Base):
    """A receipt as it was issued. ``sequence`` is the entry of the log that it is about: a request that was reopened
    gets another completion receipt.
    """

    __tablename__ = "receipts"
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    issued_at: Mapped[datetime]
    token: Mapped[str] = mapped_column(Text)
