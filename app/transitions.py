"""A table of states and events: what happens to what, and what becomes of it. Pure, and the only way to a status."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class IllegalTransition(Exception):
    """An event came to something that is in no state for it."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} cannot happen to what is {state}")
        self.state = state
        self.event = event


class Transitions(Generic[State, Event]):
    """`table` holds every event that may happen in a state, and the state after it.

    Args:
        states: all there are; a status comes out of the database as text.
    """

    def __init__(self, states: type[State], table: Mapping[tuple[State, Event], State]) -> None:
        self._states = states
        self.table = table

    def after(self, status: str, event: Event) -> State:
        """
        Raises:
            IllegalTransition: the event does not happen in this state.
        """
        try:
            return self.table[self._states(status), event]
        except (KeyError, ValueError):
            raise IllegalTransition(status, event) from None

    def before(self, event: Event) -> tuple[State, ...]:
        """The states in which the event may happen: what a query selects by."""
        return tuple(state for state in self._states if (state, event) in self.table)
