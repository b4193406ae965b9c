import re

import pytest

from domain.model.answer import ProviderStatus
from domain.model.order import OrderStatus
from domain.model.transaction import AttemptState, ParentState, ReversalOutcome
from domain.rules import order_lifecycle, transaction_lifecycle
from domain.rules.diagrams import (
    attempt_diagram,
    attempt_table,
    order_diagram,
    order_table,
    outcome_table,
    parent_diagram,
    parent_table,
    reversal_table,
)
from domain.rules.lifecycle import edges
from tests.check_docs import pages


def arrows(diagram: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^    (\w+) --> (\w+)", diagram, flags=re.MULTILINE))


class TestADiagram:
    def test_of_the_order_has_the_edges_of_its_table(self) -> None:
        assert arrows(order_diagram()) == edges(order_lifecycle.TRANSITIONS)

    def test_of_the_parent_has_the_edges_of_its_table(self) -> None:
        assert arrows(parent_diagram()) == edges(transaction_lifecycle.TRANSITIONS)

    def test_of_an_attempt_has_the_edges_of_its_table(self) -> None:
        table = transaction_lifecycle.ATTEMPTS

        assert arrows(attempt_diagram()) == {(state, target) for state, row in table.items() for target in row}

    @pytest.mark.parametrize("diagram", [order_diagram(), parent_diagram(), attempt_diagram()])
    def test_says_where_a_life_begins_and_ends(self, diagram: str) -> None:
        assert diagram.startswith("stateDiagram-v2\n    [*] --> ")
        assert diagram.endswith("--> [*]")

    def test_names_the_signals_of_an_edge(self) -> None:
        assert "    EXPIRED --> UNRESOLVED: paid_oddly\n" in order_diagram()
        assert "    AUTHORIZED --> CANCELED: voided, canceled\n" in parent_diagram()


class TestATable:
    @pytest.mark.parametrize(
        ("table", "states"),
        [
            (order_table(), OrderStatus),
            (parent_table(), ParentState),
            (attempt_table(), AttemptState),
            (outcome_table(), ReversalOutcome),
        ],
    )
    def test_has_a_row_for_each_state(self, table: str, states: type[OrderStatus]) -> None:
        assert re.findall(r"^\| (\w+) \|", table, flags=re.MULTILINE)[1:] == [state.value for state in states]

    def test_of_reversals_says_what_follows_from_each_word(self) -> None:
        table = reversal_table()

        assert all(re.search(rf"\b{status.value}\b", table) for status in ProviderStatus)
        assert "| voided, canceled, refunded | stop: ALREADY_REVERSED |" in table
        assert "| no record | ask again later; this uses up no attempt |" in table


class TestAGeneratedPage:
    @pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
    def test_is_what_the_code_says(self, page: object) -> None:
        path = next(known for known in pages() if known == page)

        assert path.read_text() == pages()[path], "run python -m tests.check_docs --write"
