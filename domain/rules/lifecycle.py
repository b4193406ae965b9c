"""What the state machines share: a table of state x signal -> state, and the refusal to leave it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from domain.model.errors import DomainError

S = TypeVar("S", bound=StrEnum)
Sig = TypeVar("Sig", bound=StrEnum)


class IllegalTransition(DomainError):
    """The state's row of the table does not list the signal."""

    def __init__(self, state: StrEnum, signal: StrEnum) -> None:
        super().__init__(f"{signal.value} leads nowhere from {state.value}")
        self.state = state
        self.signal = signal


def advance(table: Mapping[S, Mapping[Sig, S]], state: S, signal: Sig) -> S:
    """Return the state that `signal` leads to; a signal that leads home again is a repeat.

    Raises:
        IllegalTransition: the state's row does not list the signal.
    """
    try:
        return table[state][signal]
    except KeyError:
        raise IllegalTransition(state, signal) from None


def edges(table: Mapping[S, Mapping[Sig, S]]) -> frozenset[tuple[S, S]]:
    """Every pair (from, to) that the table allows, repeats left out. The database holds the same list."""
    return frozenset((state, target) for state, row in table.items() for target in row.values() if target is not state)


def is_final(table: Mapping[S, Mapping[Sig, S]], state: S) -> bool:
    """Whether nothing that can be learnt will move it on."""
    return all(target is state for target in table[state].values())
