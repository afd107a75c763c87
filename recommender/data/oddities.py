"""What is odd but usable in a file: counted by kind, with the first line, so that somebody can look at it."""


class Tally:
    """How often something occurred and in which line first."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0

    def add(self, line: int) -> None:
        """Count one more; lines come in order."""
        self.count += 1
        self.first = self.first or line


class Tallies(dict[str, Tally]):
    """A tally per kind, in the order of first occurrence."""

    def add(self, kind: str, line: int) -> None:
        """Count one more of a kind."""
        self.setdefault(kind, Tally()).add(line)
