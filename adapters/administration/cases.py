"""Closing a case by a person: with a note, and only when nothing goes dark by it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine

from adapters.persistence import queries
from adapters.persistence.cases import close_cases
from adapters.persistence.columns import run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.outbox import store
from domain.model.case import CaseKind
from domain.model.command import FieldError
from domain.model.due_work import Due, Work

# Gives the command that a case asks for, by the inbox as everybody does; returns what is wrong with it.
Command = Callable[[str, Mapping[str, str]], Sequence[FieldError]]

# Orders in these have to go on somehow: without a plan, their case is all that keeps them from going dark.
_OWING: Final = frozenset({"NEW", "PENDING", "REFUND_PENDING"})
_SETTLED_BY_HAND: Final = frozenset({"LATE_PAYMENT", "AMOUNT_MISMATCH"})


class UnknownCase(Exception):
    """Nobody who may see it has such a case."""

    def __init__(self, case: int) -> None:
        super().__init__(f"there is no case {case}")


class CaseStaysOpen(Exception):
    """The case cannot be closed like this; `field` says what of the request stands in the way."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def close_case(
    engine: Engine,
    case: int,
    *,
    note: str,
    resolve: bool,
    resume: bool,
    actor: str,
    command: Command,
    merchant: str | None = None,
) -> None:
    """Close a case with a note; what it stood for must have ended or go on. With `merchant`, one of theirs.

    `resolve` makes its UNRESOLVED order RESOLVED; `resume` takes up again at once what was given up.

    Raises:
        UnknownCase: there is none, or it is another merchant's.
        CaseStaysOpen: it is closed already, or something would go dark with it.
    """
    with engine.connect() as connection:
        found = _found(connection, case, merchant)
    _check(found, resolve=resolve, resume=resume)
    needed = _command_for(found, note=note, resolve=resolve, resume=resume)
    if needed is not None:
        for error in command(*needed):
            raise CaseStaysOpen(error.field, error.reason)
    with engine.begin() as connection:
        now = run(connection, "SELECT now()").scalar_one()
        if resume and (found["stream"] is not None or found["command"] is not None):
            work = Work.DELIVER if found["stream"] is not None else Work.COMMAND
            SqlDueWork(connection, now).plan([(found["subject"], found["lane"], Due(work=work, at=now))])
        _may_close(_found(connection, case, merchant))
        told = close_cases(connection, [(found["subject"], CaseKind(found["kind"]), note, actor)], now=now)
        store(connection, told, now=now)


def _found(connection: Connection, case: int, merchant: str | None) -> Any:
    found = queries.case(connection, case)
    if found is None or merchant not in (None, found["merchant"]):
        raise UnknownCase(case)
    return found


def _command_for(found: Any, *, note: str, resolve: bool, resume: bool) -> tuple[str, Mapping[str, str]] | None:
    """Return the command that makes an order or a reversal go on; streams and waiting commands need none."""
    if resolve:
        return "intake.resolve_order", {"merchant": found["merchant"], "order": found["order"], "note": note}
    if not resume or found["stream"] is not None or found["command"] is not None:
        return None
    if found["reversal"] is not None:
        fields = {"provider": found["provider"], "reference": found["payment"]}
        return "intake.reverse_now", {"merchant": found["merchant"], **fields}
    return "intake.poll_order", {"merchant": found["merchant"], "order": found["order"]}


def _check(found: Any, *, resolve: bool, resume: bool) -> None:
    if found["closed_at"] is not None:
        raise CaseStaysOpen("case", f"it was closed by {found['closed_by']} at {found['closed_at']:%Y-%m-%d %H:%M:%S}Z")
    if resolve and found["status"] != "UNRESOLVED":
        raise CaseStaysOpen("resolve", "it is for the case of an UNRESOLVED order")
    subject = found["stream"] or found["command"] or _open_reversal(found)
    is_about_work = subject or found["order_id"] == found["subject"]
    if resume and not is_about_work:
        raise CaseStaysOpen("resume", "the case stands for nothing that could go on")


def _may_close(found: Any) -> None:
    """Refuse to close what alone keeps its subject from going dark (I2)."""
    if found["status"] == "UNRESOLVED" and found["kind"] in _SETTLED_BY_HAND and found["closed_at"] is None:
        raise CaseStaysOpen("resolve", "is needed once it is settled, for the order is UNRESOLVED")
    is_own = found["order_id"] == found["subject"]
    owes = is_own and (found["status"] in _OWING or bool(found["watching"]))
    owes = owes or found["stream"] or found["command"] or _open_reversal(found)
    if owes and not found["planned"]:
        raise CaseStaysOpen("resume", "is needed, for nothing is planned for what the case stands for")


def _open_reversal(found: Any) -> bool:
    return found["reversal"] is not None and found["outcome"] is None
