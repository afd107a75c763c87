"""Reads what a file says about users, which nothing of the service reads."""

from collections.abc import Container
from typing import NamedTuple

from inputs import InvalidInput, title
from recommender.data.cells import BadRow, Row
from recommender.data.columns import IdColumn
from recommender.data.tables import lacking

lacking_for_users = lacking("user_id")


class UserAttributes(NamedTuple):
    """One user of a file's line."""

    user_id: str
    attributes: dict[str, str]


class AttributeRows:
    """Reads the rows of one file: `user_id`, and every other column as text."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._users = IdColumn("user_id")
        self._first: dict[str, int] = {}
        self._repeated: list[int] = []

    def __call__(self, row: Row, line: int) -> UserAttributes:
        """The attributes of a row's user; empty cells are left out.

        Raises:
            BadRow: the id is not valid, or an attribute is no text.
        """
        user, odd = self._users.read(row.get("user_id", ""))
        attributes = {}
        for name, cell in row.items():
            try:
                text = title(str(cell))
            except InvalidInput as error:
                raise BadRow(f"an attribute {error}") from error
            if text and name and name != "user_id":
                attributes[name] = text
        self._users.count(odd, line)
        if self._first.setdefault(user, line) != line:
            self._repeated.append(line)
        return UserAttributes(user, attributes)

    def warnings(self, known: Container[str]) -> list[str]:
        """The oddities so far, one line per kind; `known` are the users who have interactions."""
        found = self._users.warnings(self._file)
        if self._repeated:
            found.append(
                f"{self._file}: {len(self._repeated)} rows list a user once more, first in line {self._repeated[0]}; "
                "the last counts"
            )
        others = sum(user not in known for user in self._first)
        if others:
            found.append(f"{self._file}: {others} users have no interaction and are left out")
        return found
