"""Numbers that are free of form: what intake accepts can be read again from the database."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from adapters.messages import command_of, parse
from adapters.persistence.columns import run
from domain.model.command import RegisterOrder

ORDER = {
    "merchant": "shop",
    "order": "A1",
    "provider": "acme",
    "reference": "pay-1",
    "amount": "1",
    "currency": "EUR",
}
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(1e17, 1e24),
    st.sampled_from([1e18, 1e22, 1e300, 10**18, 10**18 + 1, 5e-324, -0.0]),
)


class TestANumber:
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(numbers=st.lists(NUMBERS, min_size=1, max_size=5))
    def test_that_is_accepted_can_be_read_again(self, engine: Engine, numbers: list[int | float]) -> None:
        for number in numbers:
            fields = {**ORDER, "bill": {"extended_fields": {"n": number}}}
            parsed = parse("intake.register_order", fields, trace="t", channel="message")
            for accepted in parsed.accepted:
                with engine.connect() as connection:
                    said = {"body": json.dumps(accepted.body)}
                    [kept] = run(connection, "SELECT CAST(%(body)s AS jsonb)", said).scalars()
                read = command_of(accepted.command.name, kept)
                assert isinstance(read, RegisterOrder)
                assert read.bill is not None
                # The database knows no floats: what is whole comes back as an integer, and says the same.
                assert type(number)(read.bill["extended_fields"]["n"]) == number
            for refused in parsed.refused:
                [error] = refused.errors
                assert (error.field, error.reason) == ("bill.extended_fields.n", "holds a number that is too large")
