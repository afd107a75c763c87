"""Group commit: what several threads of one process have to write goes into one transaction.

The ledger's lock puts all transactions in a row, so each costs a wait for the lock and a commit. Requests that arrive
meanwhile share the next transaction, and its statements: many rows are inserted by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.audit.transaction import Transaction
from app.db.errors import DatabaseUnavailable

Result = TypeVar("Result")
BeforeLock = Callable[[Session], None]


class NothingWritten(Exception):
    """Raised by work that has written nothing. The rest of its group is committed all the same."""


@dataclass(eq=False)
class _Member:
    subject: str
    before_lock: BeforeLock
    work: Callable[[Transaction], Any]
    result: Any = None
    # Until it is known that the result is committed.
    error: Exception | None = field(default_factory=DatabaseUnavailable)
    done: bool = False


class GroupCommit:
    """Writes for many threads, a group at a time. The first thread of a group does the work of all.

    Args:
        begin: begins a transaction that is committed at its end. It calls its argument before it locks the ledger.
    """

    def __init__(self, begin: Callable[[BeforeLock], AbstractContextManager[Transaction]]) -> None:
        self._begin = begin
        self._changed = threading.Condition()
        self._waiting: list[_Member] = []
        self._led = False

    @property
    def waiting(self) -> int:
        """How many members wait for the next transaction."""
        return len(self._waiting)

    def write(
        self, subject: str, work: Callable[[Transaction], Result], *, before_lock: BeforeLock = lambda _: None
    ) -> Result:
        """Do the work in a transaction, maybe together with others' work. Returns once it is committed.

        Args:
            subject: whom it is about. A group holds one member of each, because the work does not see what the others
                have not flushed.
            work: takes a moment, because the others wait for it. It may be called twice: if a member of a group fails,
                all of it is rolled back, and each goes alone.
            before_lock: as for `Gateway.transaction`.

        Raises:
            DatabaseUnavailable: as `Gateway.transaction` does.
            NothingWritten, and whatever else the two functions raise.
        """
        member = _Member(subject, before_lock, work)
        with self._changed:
            self._waiting.append(member)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: member.done or not self._led)
                if member.done:
                    break
                group, self._led = self._next_group(), True
            self._lead(group)
        if member.error is not None:
            raise member.error
        result: Result = member.result
        return result

    def _lead(self, group: list[_Member]) -> None:
        try:
            self._write(group)
        finally:
            # In one step: whoever saw the first without the second would lead a group of nobody.
            with self._changed:
                self._led = False
                self._tell(group)

    def _next_group(self) -> list[_Member]:
        group: dict[str, _Member] = {}
        for member in self._waiting:
            group.setdefault(member.subject, member)
        self._waiting = [member for member in self._waiting if group[member.subject] is not member]
        return list(group.values())

    def _tell(self, members: list[_Member]) -> None:
        with self._changed:
            for member in members:
                member.done = True
            self._changed.notify_all()

    def _write(self, group: list[_Member]) -> None:
        try:
            written = self._commit(group)
        except DatabaseUnavailable as error:
            # It is the same for each. Whether the commit was taken is as uncertain as for one alone.
            for member in group:
                member.error = type(error)(*error.args)
                member.error.__cause__ = error
        except Exception as error:  # noqa: BLE001  (its own thread raises it)
            if len(group) == 1:
                group[0].error = error
                return
            for number, member in enumerate(group):
                self._write([member])
                self._tell([member])
                if isinstance(member.error, DatabaseUnavailable):
                    # Those who are left need not find that out one by one. Nothing of theirs was written.
                    for left in group[number + 1 :]:
                        left.error = DatabaseUnavailable(*member.error.args)
                    return
        else:
            for member in written:
                member.error = None

    def _commit(self, group: list[_Member]) -> list[_Member]:
        """Write what they have to write. Returns those who had something to write."""
        declined: set[_Member] = set()

        def unless_declined(member: _Member, do: Callable[[], Any]) -> Any:
            try:
                return do()
            except NothingWritten as error:
                member.error = error
                declined.add(member)

        def before_lock(session: Session) -> None:
            for member in group:
                unless_declined(member, partial(member.before_lock, session))

        # No flush before each query: at the end, one statement for each table writes what all members have added.
        with self._begin(before_lock) as transaction, transaction.session.no_autoflush:
            for member in group:
                if member not in declined:
                    member.result = unless_declined(member, partial(member.work, transaction))
        return [member for member in group if member not in declined]
