"""Reading what a provider says of a transaction that timed out."""

from collections.abc import Mapping

from domain.model.answer import Answer, NoRecord, ProviderStatus, Record, Refused, Unintelligible, Unreachable
from domain.model.reversal import Reversal
from domain.rules.reversal import READING, Said


def read(reversal: Reversal, answer: Answer) -> Said:
    """Return what a query's answer says of the original; what does not fit it says nothing of it (I4)."""
    match answer:
        case Record():
            return _read_record(answer) if misfit_of(reversal, answer) is None else Said.NOT_BELIEVED
        case NoRecord():
            return Said.NO_RECORD
        case _:
            return Said.COULD_NOT_ASK


def misfit_of(reversal: Reversal, record: Record) -> str | None:
    """Return why a record cannot be of the transaction that was reported, or None.

    A mistyped reference must not undo what somebody else has paid.
    """
    if record.reference != reversal.reference:
        return "the record is of another reference"
    if record.currency != reversal.currency.code:
        return f"the record is in {record.currency}, the report in {reversal.currency.code}"
    if record.amount != reversal.amount:
        return f"the record is of {record.amount:f}, the report of {reversal.currency.render(reversal.amount)}"
    return None


def _read_record(record: Record) -> Said:
    try:
        said = READING[ProviderStatus(record.status)]
    except ValueError:
        return Said.OPEN  # a word that we do not know
    if said is Said.APPROVED and record.settled:
        return Said.SETTLED
    if record.status == ProviderStatus.REFUNDED and not _all_is_back(record):
        return Said.OPEN  # what is left of it may still be refunded, and is no hold that could be voided
    return said


def _all_is_back(record: Record) -> bool:
    return record.amount_refunded is None or record.amount_refunded == (record.amount_received or record.amount)


def redacted(reversal: Reversal, answer: Answer | None) -> Mapping[str, str | None]:
    """Return what is kept of an answer: what rules have read, and nothing of the customer."""
    match answer:
        case Record():
            misfit = misfit_of(reversal, answer)
            return {
                "answer": "record",
                "status": answer.status,
                "settled": "yes" if answer.settled else "no",
                **({} if misfit is None else {"not_believed": misfit}),
            }
        case NoRecord():
            return {"answer": "no_record"}
        case Refused():
            return {"answer": "refused", "status": answer.payment_status}
        case Unreachable() | Unintelligible():
            return {"answer": "could_not_ask", "why": answer.why}
        case None:
            return {}
