"""Master data: what is put stands, and is found again in one question."""

import pytest

from domain.model.master_data import Entry, FieldType, MasterKind
from tests.builders import a_merchant
from tests.fakes.bench import Bench

TIER = Entry(key="tier", type=FieldType.ENUM, options=("gold", "blue"))
NOTE = Entry(key="note")
K = MasterKind


def put(bench: Bench, *entries: Entry, kind: MasterKind = K.CUSTOMER_FIELDS, merchant: str = "shop") -> list[Entry]:
    with bench.units() as uow:
        changed = uow.master_data.put(merchant, kind, entries, actor="merchant:key")
        uow.commit()
    return sorted(changed, key=lambda entry: entry.key)


class TestWhatIsPut:
    def test_is_found_of_its_merchant_and_kind_alone(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="other"))
        put(bench, TIER, NOTE)

        with bench.units() as uow:
            found = uow.master_data.find(
                [
                    ("shop", K.CUSTOMER_FIELDS, "tier"),
                    ("shop", K.CUSTOMER_FIELDS, "unheard"),
                    ("shop", K.TRANSACTION_FIELDS, "tier"),
                    ("other", K.CUSTOMER_FIELDS, "tier"),
                ]
            )
            nothing = uow.master_data.find([])

        assert found == {("shop", K.CUSTOMER_FIELDS, "tier"): TIER}
        assert nothing == {}

    def test_is_told_back_only_where_it_is_new_or_differs(self, bench: Bench) -> None:
        narrow = Entry(key="tier", type=FieldType.ENUM, options=("gold",))

        changes = [put(bench, TIER, NOTE), put(bench, TIER, NOTE), put(bench, narrow, NOTE), put(bench, TIER)]

        assert changes == [[NOTE, TIER], [], [narrow], [TIER]]
        assert len(bench.tables().versions["shop", "customer_fields"]) == 3

    def test_stands_as_it_was_said_last_in_one_message_too(self, bench: Bench) -> None:
        put(bench, Entry(key="tier"), TIER)

        assert list(bench.tables().entries.values()) == [TIER]

    def test_is_of_a_merchant_who_is_known(self, bench: Bench) -> None:
        with pytest.raises(bench.violation):
            put(bench, NOTE, merchant="nobody")
