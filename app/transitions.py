"""State machines as tables of states and events. Pure functions, and the only way to compute a new status."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class IllegalTransition(Exception):
    """An event happened in a state that does not allow it."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} cannot happen to what is {state}")
        self.state = state
        self.event = event


class Transitions(Generic[State, Event]):
    """The transitions of a state machine.

    Args:
        states: the enumeration of all states, to convert a status from the database, which is text.
        table: for each state, the events that may happen in it, and the state after each.
    """

    def __init__(self, states: type[State], table: Mapping[tuple[State, Event], State]) -> None:
        self._states = states
        self.table = table

    def after(self, status: str, event: Event) -> State:
        """The state after an event.

        Raises:
            IllegalTransition: the event may not happen in this state.
        """
        try:
            return self.table[self._states(status), event]
        except (KeyError, ValueError):
            raise IllegalTransition(status, event) from None

    def before(self, event: Event) -> tuple[State, ...]:
        """The states in which the event may happen, for the conditions of queries."""
        return tuple(state for state in self._states if (state, event) in self.table)
