"""The sanity check of many transactions at once: what it has to know is read in one statement."""

from collections.abc import Mapping, Sequence
from functools import partial

from domain.model.master_data import Entry, MasterKind, Place
from domain.model.merchant import Merchant
from domain.model.rejection import Reason
from domain.ports.persistence import UnitOfWork
from domain.rules.sanity import Bill, named_in, reasons_against


def reasons_of(uow: UnitOfWork, bills: Sequence[tuple[Merchant, Bill | None]]) -> Sequence[tuple[Reason, ...]]:
    """Return why each bill is not allowed, nothing where it is; merchants without checks cost nothing."""
    places = {
        (merchant.id, kind, key)
        for merchant, bill in bills
        if merchant.checks
        for kind, key in named_in(bill, merchant.checks)
    }
    known = uow.master_data.find(places) if places else {}
    return [
        reasons_against(bill, merchant.checks, partial(_entry, known, merchant.id)) if merchant.checks else ()
        for merchant, bill in bills
    ]


def _entry(known: Mapping[Place, Entry], merchant: str, kind: MasterKind, key: str) -> Entry | None:
    return known.get((merchant, kind, key))
