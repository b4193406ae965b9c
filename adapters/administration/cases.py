"""Closing a case by a person: with a note, an action where one is needed, and only when nothing goes dark by it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine

from adapters.administration.acting import Person, acting
from adapters.persistence import endpoints, inbox, queries, redeliveries
from adapters.persistence.cases import close_cases, note_action
from adapters.persistence.columns import run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.outbox import store
from domain.model.case import CaseKind
from domain.model.command import FieldError
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Due, Work
from domain.model.order import OrderStatus
from domain.rules.case_actions import NEEDED, TERMS, Action, Circumstances, actions_for, again, needed_for, refusal_of

# Gives the command that a case asks for, by the inbox as everybody does; returns what is wrong with it.
Command = Callable[[str, Mapping[str, str]], Sequence[FieldError]]

# Orders in these have to go on somehow: without a plan, their case is all that keeps them from going dark.
_OWING: Final = frozenset({"NEW", "PENDING", "REFUND_PENDING"})
# Whoever tells of an order holds it, so that its events become visible in the order of their ids.
_LOCK: Final = "SELECT FROM orders WHERE id = %(id)s FOR UPDATE"


class UnknownCase(Exception):
    """Nobody who may see it has such a case."""

    def __init__(self, case: int) -> None:
        super().__init__(f"there is no case {case}")


class CaseStaysOpen(Exception):
    """The case cannot be closed like this; `field` names what of the request stands in the way: note or action.

    Who gave an action by an older name (`resolve`, `resume`) is told by that name.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def show_case(connection: Connection, case: int, merchant: str | None = None) -> Mapping[str, Any]:
    """Return a case with what it means, every step of it, and what can be done now.

    Raises:
        UnknownCase: there is none, or it is another merchant's.
    """
    found = _found(connection, case, merchant)
    terms = TERMS[CaseKind(found["kind"])]
    is_open = found["closed_at"] is None
    return {
        **found,
        "meaning": terms.meaning,
        "actions": dict(actions_for(_circumstances(found))) if is_open else {},
        "closed_by_facts_when": terms.closed_by_facts if is_open else None,
        "entries": queries.case_entries(connection, case),
    }


def close_case(
    engine: Engine,
    case: int,
    *,
    note: str,
    actor: str,
    command: Command,
    action: Action | None = None,
    resolve: bool = False,
    resume: bool = False,
    merchant: str | None = None,
    trace: str | None = None,
) -> None:
    """Close a case with a note; what it stood for must have ended or go on. With `merchant`, one of theirs.

    Who says again what has closed it is not refused, and changes nothing. `resolve` and `resume` are older names of
    actions: the latter takes up again at once what was given up.

    Raises:
        UnknownCase: there is none, or it is another merchant's.
        CaseStaysOpen: it was closed otherwise, or something would go dark with it.
    """
    with engine.connect() as connection:
        before = _found(connection, case, merchant)
        steps = () if before["closed_at"] is None else queries.case_entries(connection, case)
    field, chosen = _named(before, action, resolve=resolve, resume=resume)
    if before["closed_at"] is not None:
        _check_same(before, steps, note, chosen)
        return
    if chosen is not None:
        _check_possible(before, field, chosen)
        needed = _command_for(before, chosen, note)
        for error in command(*needed) if needed is not None else ():
            with engine.connect() as connection:  # somebody was faster: what is possible is what is possible now
                found = _found(connection, case, merchant)
            raise _not_like_this(found, error.reason, field=field, refused=chosen)
    with acting(engine, Person(actor=actor, trace=trace)) as connection:
        _act_and_close(connection, before, chosen, actor=actor, note=note)


def _act_and_close(connection: Connection, before: Any, chosen: Action | None, *, actor: str, note: str) -> None:
    now = run(connection, "SELECT now()").scalar_one()
    if chosen in _DONE_HERE:
        _DONE_HERE[chosen](connection, before, actor, note, now)
    run(connection, _LOCK, {"id": before["order_id"]})
    after = _found(connection, before["id"], None)
    _may_close(after, chosen)
    # A resolved order has told its case of that itself, whoever resolved it.
    if chosen is not None and not (chosen is Action.RESOLVE and after["closed_at"] is not None):
        done = {"action": chosen, "before": _state_of(before), "after": _state_of(after)}
        note_action(connection, before["id"], actor=actor, note=note, details=done, now=now)
    _close(connection, before, actor, note, now)


def _close(connection: Connection, found: Any, actor: str, note: str, now: datetime) -> None:
    told = close_cases(connection, [(found["subject"], CaseKind(found["kind"]), note, actor)], now=now)
    store(connection, told, now=now)


def _found(connection: Connection, case: int, merchant: str | None) -> Any:
    found = queries.case(connection, case)
    if found is None or merchant not in (None, found["merchant"]):
        raise UnknownCase(case)
    is_endpoint = found["endpoint_enabled"] is not None
    return {**found, "given_up": is_endpoint and redeliveries.has_failed(connection, found["subject"])}


def _named(found: Any, action: Action | None, *, resolve: bool, resume: bool) -> tuple[str, Action | None]:
    """Return what is to be done, and the name of the field that says so.

    Raises:
        CaseStaysOpen: more than one thing is to be done.
    """
    named = (
        ("action", action),
        ("resolve", Action.RESOLVE if resolve else None),
        ("resume", again(CaseKind(found["kind"])) if resume else None),
    )
    given = [(field, one) for field, one in named if one is not None]
    if len(given) > 1:
        raise CaseStaysOpen(given[1][0], f"only one thing can be done at a time, and `{given[0][0]}` names one")
    return given[0] if given else ("action", None)


def _check_possible(found: Any, field: str, action: Action) -> None:
    why = refusal_of(_circumstances(found), action)
    if why is not None:
        raise _not_like_this(found, why, field=field, refused=action)


def _not_like_this(found: Any, why: str, *, field: str = "action", refused: Action | None = None) -> CaseStaysOpen:
    """Say why, and what could be done about the case instead."""
    return CaseStaysOpen(field, "; ".join(part for part in (why, _instead(found, refused)) if part))


def _instead(found: Any, refused: Action | None) -> str | None:
    """Say what closes the case now, other than what was refused just now."""
    if found["closed_at"] is not None:
        return f"the case is closed, by {found['closed_by']}"
    possible = [action for action in actions_for(_circumstances(found)) if action is not refused]
    if possible:
        return f"possible now: {', '.join(possible)}"
    return "only a note closes this case" if _missing(found) is None else None


def _check_same(found: Any, steps: Sequence[Any], note: str, action: Action | None) -> None:
    """Let pass who closes a case a second time as it was closed; what is said otherwise must not be lost unseen."""
    done = [step["details"]["action"] for step in steps if step["kind"] == "action"]
    stands = f"the case is closed, by {found['closed_by']} at {found['closed_at']:%Y-%m-%d %H:%M:%S}Z"
    if note != found["note"]:
        raise CaseStaysOpen("note", f"{stands}: {found['note']!r}; that stands")
    if action not in (None, *done):
        raise CaseStaysOpen("action", f"{stands}, {f'by {done[-1]!r}' if done else 'without an action'}; that stands")


def _circumstances(found: Any) -> Circumstances:
    return Circumstances(
        kind=CaseKind(found["kind"]),
        status=None if found["status"] is None else OrderStatus(found["status"]),
        is_order=found["order_id"] == found["subject"],
        cancel_requested=bool(found["cancel_requested"]),
        open_reversal=_open_reversal(found),
        stream=found["stream"] is not None,
        given_up=found["given_up"],
        command=found["command"] is not None,
        parked=_is_parked(found),
        disabled_endpoint=found["endpoint_enabled"] is False,
    )


def _command_for(found: Any, action: Action, note: str) -> tuple[str, Mapping[str, str]] | None:
    """Return the command that does it; what is no order's and no reversal's needs none."""
    order = {"merchant": found["merchant"], "order": found["order"]}
    if action is Action.RESOLVE:
        return "intake.resolve_order", {**order, "note": note}
    if action is Action.CANCEL:
        return "intake.cancel_order", {**order, "by": "merchant", "reason": note}
    if action not in {Action.ASK, Action.RETRY} or _is_parked(found):
        return None
    if found["reversal"] is not None:
        payment = {"provider": found["provider"], "reference": found["payment"]}
        return "intake.reverse_now", {"merchant": found["merchant"], **payment}
    return "intake.poll_order", order


def _retry(connection: Connection, found: Any, _actor: str, _note: str, now: datetime) -> None:
    if _is_parked(found):
        work = Work.DELIVER if found["stream"] is not None else Work.COMMAND
        due = Due(work=Work(found["details"].get("work", work)), at=now)
        SqlDueWork(connection, now).plan([(found["subject"], int(found["details"].get("lane", found["lane"])), due)])


def _redeliver(connection: Connection, found: Any, _actor: str, _note: str, _now: datetime) -> None:
    redeliveries.redeliver_failed_at(connection, found["subject"])


def _refuse(connection: Connection, found: Any, actor: str, note: str, now: datetime) -> None:
    SqlDueWork(connection, now).remove([found["subject"]])  # due work first, as waves lock it
    _close(connection, found, actor, note, now)  # by who refuses it, not by the facts
    why = f"{actor}: {note}"
    refused = CommandOutcome(command=found["subject"], state=CommandState.REFUSED, reason=why)
    inbox.conclude(connection, [refused], now=now)


def _enable(connection: Connection, found: Any, actor: str, note: str, now: datetime) -> None:
    endpoints.enable(connection, found["subject"], actor=actor, note=note, now=now)


# What is no command to an order or a reversal, and is done in the transaction that closes the case.
_DONE_HERE: Final[Mapping[Action | None, Callable[[Connection, Any, str, str, datetime], None]]] = {
    Action.RETRY: _retry,
    Action.REFUSE: _refuse,
    Action.REDELIVER: _redeliver,
    Action.ENABLE: _enable,
}


def _may_close(found: Any, chosen: Action | None) -> None:
    """Refuse to close what alone keeps its subject from going dark (I2)."""
    missing = None if found["closed_at"] is not None else _missing(found)
    if missing is not None:
        raise _not_like_this(found, missing, refused=chosen)


def _missing(found: Any) -> str | None:
    """Say what has to be done before a note alone closes the case."""
    needed = needed_for(_circumstances(found))
    if needed is not None:
        return f"is needed: {NEEDED[needed]}"
    is_own = found["order_id"] == found["subject"]
    owes = is_own and (found["status"] in _OWING or bool(found["watching"]))
    owes = owes or _is_parked(found) or _open_reversal(found)
    return "is needed, for nothing is planned for what the case stands for" if owes and not found["planned"] else None


def _state_of(found: Any) -> Mapping[str, Any]:
    """Return what an action may change, for the case's own record."""
    return {"order": found["status"], "due": found["planned_kind"], "endpoint_enabled": found["endpoint_enabled"]}


def _is_parked(found: Any) -> bool:
    """Whether the case is about a row that is planned by hand: no command of an order or a reversal does it."""
    if found["kind"] != CaseKind.STUCK or found["order_id"] == found["subject"] or found["reversal"] is not None:
        return False
    if found["stream"] is not None or found["command"] is not None:
        return True
    return found["details"].get("work") not in (None, Work.COMMAND)


def _open_reversal(found: Any) -> bool:
    return found["reversal"] is not None and found["outcome"] is None
