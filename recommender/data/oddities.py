"""Counts of odd but usable values in a file, by kind, with the line of the first one."""


class Tally:
    """The number of occurrences of something, and the line of the first one."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0

    def add(self, line: int, count: int = 1) -> None:
        """Count occurrences, the first of them in `line`; lines must be in order."""
        self.count += count
        self.first = self.first or line


class Tallies(dict[str, Tally]):
    """One tally per kind, in the order of first occurrence."""

    def add(self, kind: str, line: int, count: int = 1) -> None:
        """Count occurrences of a kind, the first of them in `line`."""
        self.setdefault(kind, Tally()).add(line, count)
