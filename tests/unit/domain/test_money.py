from decimal import Decimal

import pytest

from domain.model.money import (
    Currency,
    InvalidAmount,
    UnknownCurrency,
    currency_of,
    decimals_of,
    difference,
    total_of,
)
from tests.builders import ETH, EUR, JPY

LONG = Decimal("123456789012345.123456789012345678")


class TestACurrency:
    @pytest.mark.parametrize(("text", "amount"), [("0", "0"), ("12.3", "12.3"), ("12.30", "12.30")])
    def test_reads_plain_decimals(self, text: str, amount: str) -> None:
        assert EUR.amount(text) == Decimal(amount)

    @pytest.mark.parametrize(
        "text",
        ["", " 1", "1 ", "-1", "+1", "1e2", "NaN", "Infinity", ".5", "5.", "1,5", "1_0", "\u0661", "1" * 16, "1\n"],
    )
    def test_refuses_what_is_no_plain_decimal(self, text: str) -> None:
        with pytest.raises(InvalidAmount):
            EUR.amount(text)

    @pytest.mark.parametrize(
        ("currency", "text"), [(EUR, "1.001"), (EUR, "1.230"), (JPY, "1.5"), (ETH, "0." + "0" * 18 + "1")]
    )
    def test_refuses_more_decimals_than_it_has_and_never_rounds(self, currency: Currency, text: str) -> None:
        with pytest.raises(InvalidAmount):
            currency.amount(text)

    def test_keeps_every_digit_of_a_long_amount(self) -> None:
        assert ETH.render(ETH.amount(str(LONG))) == str(LONG)

    @pytest.mark.parametrize(("currency", "shown"), [(EUR, "5.00"), (JPY, "5"), (ETH, "5." + "0" * 18)])
    def test_renders_all_its_decimals(self, currency: Currency, shown: str) -> None:
        assert currency.render(Decimal(5)) == shown

    def test_is_found_by_its_code(self) -> None:
        assert currency_of("EUR", {"EUR": EUR}) is EUR

    def test_is_refused_by_name_if_nobody_knows_it(self) -> None:
        with pytest.raises(UnknownCurrency, match="XXQ"):
            currency_of("XXQ", {"EUR": EUR})


class TestArithmetic:
    """Python's own context rounds beyond 28 digits, and a sum of money must not."""

    def test_adds_long_amounts_exactly(self) -> None:
        assert total_of([LONG, Decimal("0.000000000000000001")]) == Decimal("123456789012345.123456789012345679")

    def test_subtracts_long_amounts_exactly(self) -> None:
        assert difference(LONG, Decimal("0.000000000000000008")) == Decimal("123456789012345.123456789012345670")

    def test_adds_nothing_to_zero(self) -> None:
        assert total_of([]) == 0

    @pytest.mark.parametrize(("amount", "decimals"), [("12.3000", 1), ("12", 0), ("1200", 0), (str(LONG), 18)])
    def test_counts_the_decimals_that_are_used(self, amount: str, decimals: int) -> None:
        assert decimals_of(Decimal(amount)) == decimals


class TestAnAmountThatIsShown:
    @pytest.mark.parametrize(
        ("code", "digits", "amount", "shown"),
        [
            ("EUR", 2, "10.5", "10.50"),
            ("EUR", 2, "10.500000000000000000", "10.50"),
            ("JPY", 0, "1000", "1000"),
            ("JPY", 0, "1E+3", "1000"),
            ("KWD", 3, "1.25", "1.250"),
            ("EUR", 2, "0", "0.00"),
            ("EUR", 2, "0.125", "0.125"),  # nothing that is known is cut off
        ],
    )
    def test_has_all_the_decimals_of_its_currency(self, code: str, digits: int, amount: str, shown: str) -> None:
        assert Currency(code, digits).render(Decimal(amount)) == shown
