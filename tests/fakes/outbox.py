"""Outbox, streams and cases in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from domain.model.case import CaseKind, CaseOpening
from domain.model.delivery import DeliveryDecision, Head
from domain.model.due_work import Claim, Claimed, Work
from domain.model.event import Event, EventType
from domain.model.money import ZERO, Currency
from domain.ports.persistence import Conflict
from domain.rules.callbacks import findings
from tests.fakes.mails import mail_case, mail_status
from tests.fakes.rows import CaseRow, DeliveryRow, DueRow, EntryRow, EventRow, StreamRow, Tables

ACTOR = "system:deliver"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    subject: int
    merchant: str | None
    order_id: int | None
    currency: Currency | None
    actor: str = "system"
    mailed: bool = True


def tell(
    tables: Tables, ids: "count[int]", name: str, event: Event, *, now: datetime, sequence: int | None = None
) -> None:
    """Store one event under its name, and make the streams due that carry it."""
    if any(row.event == name for row in tables.events.values()):
        raise Conflict(name)
    body = {"type": event.type, "timestamp": now.isoformat(), "data": {"event": name, **event.data}}
    row = EventRow(
        id=next(ids),
        event=name,
        type=event.type,
        merchant=event.merchant,
        order_id=event.order_id,
        sequence=sequence,
        body=json.dumps(body).encode(),
    )
    tables.events[row.id] = row
    mail_status(tables, ids, name, event, now=now)
    for endpoint in tables.endpoints.values():
        if endpoint.merchant == event.merchant and (endpoint.types is None or event.type in endpoint.types):
            stream = _stream_of(tables, ids, endpoint.id, row)
            old = tables.due.get(stream)
            tables.due[stream] = (
                DueRow(subject=stream, lane=tables.lane_of_endpoint[endpoint.id], kind=Work.DELIVER, due_at=now)
                if old is None
                else replace(old, generation=old.generation + 1)
            )


def _stream_of(tables: Tables, ids: "count[int]", endpoint: int, event: EventRow) -> int:
    single = event.id if event.order_id is None else None
    for stream in tables.streams.values():
        if stream.endpoint == endpoint and (stream.order_id, stream.single_event) == (event.order_id, single):
            return stream.id
    start = event.id - 1  # a new endpoint is not told what came before
    fresh = StreamRow(
        id=next(ids), endpoint=endpoint, order_id=event.order_id, single_event=single, cursor=start, start=start
    )
    tables.streams[fresh.id] = fresh
    return fresh.id


def open_case(tables: Tables, ids: "count[int]", about: About, opening: CaseOpening, *, now: datetime) -> None:
    """Open a case where none of the kind is open for the subject, and tell of it; else the finding joins."""
    open_one = _open_case_of(tables, about.subject, opening.kind)
    if open_one is not None:
        _join(tables, open_one, about, opening)
        return
    case = CaseRow(
        id=next(ids),
        kind=opening.kind,
        subject=about.subject,
        merchant=about.merchant,
        order_id=about.order_id,
        known=opening.known,
        provider_says=opening.provider_says,
        amount_at_risk=opening.amount_at_risk,
        currency=None if about.currency is None else about.currency.code,
        deadline=opening.deadline,
        opened_by=about.actor,
    )
    tables.cases[case.id] = case
    if about.mailed:
        mail_case(tables, ids, case, about.currency, now=now)
    tables.case_entries.append(EntryRow(case_id=case.id, kind="opened", actor=about.actor, note=case.known))
    _tell_of(tables, ids, case, EventType.CASE_OPENED, "opened", now=now)


def _open_case_of(tables: Tables, subject: int, kind: CaseKind) -> CaseRow | None:
    found = [case for case in tables.cases.values() if (case.subject, case.kind) == (subject, kind)]
    return next((case for case in found if case.closed_at is None), None)


def _join(tables: Tables, case: CaseRow, about: About, opening: CaseOpening) -> None:
    """Keep a finding that says more than the case knows."""
    said = [entry.note for entry in tables.case_entries if entry.case_id == case.id and entry.kind != "closed"]
    if opening.known in said:
        return
    tables.case_entries.append(EntryRow(case_id=case.id, kind="finding", actor=about.actor, note=opening.known))
    tables.cases[case.id] = replace(
        case,
        provider_says=opening.provider_says or case.provider_says,
        deadline=opening.deadline or case.deadline,
        amount_at_risk=ZERO if opening.amount_at_risk == ZERO else case.amount_at_risk,
    )


def close_case(
    tables: Tables,
    ids: "count[int]",
    *,
    subject: int,
    kind: CaseKind,
    note: str | None,
    by: str,
    now: datetime,
    by_hand: bool = False,
) -> None:
    """Close the open case of this kind, if there is one, and tell of it; `by_hand` by an action of a person."""
    for case in list(tables.cases.values()):
        if (case.subject, case.kind) == (subject, kind) and case.closed_at is None:
            closed = replace(case, closed_at=now, closed_by=by, note=note)
            tables.cases[case.id] = closed
            steps = ("action", "closed") if by_hand else ("closed",)
            tables.case_entries += [EntryRow(case_id=case.id, kind=step, actor=by, note=note) for step in steps]
            _tell_of(tables, ids, closed, EventType.CASE_CLOSED, "closed", now=now)


def _tell_of(tables: Tables, ids: "count[int]", case: CaseRow, kind: EventType, verb: str, *, now: datetime) -> None:
    if case.merchant is None or case.kind == CaseKind.UNDELIVERABLE:
        return
    data: dict[str, Any] = {"merchant": case.merchant, "case": case.id, "kind": case.kind, "known": case.known}
    if verb == "closed":
        data |= {"note": case.note, "closed_by": case.closed_by}
    event = Event(type=kind, merchant=case.merchant, order_id=case.order_id, data=data)
    tell(tables, ids, f"evt_case_{case.id}_{verb}", event, now=now)


class FakeStreams:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]", due_work: Any) -> None:
        self._tables = tables
        self._now = now
        self._ids = ids
        self._due_work = due_work

    def heads(self, ids: Sequence[int]) -> Mapping[int, Head]:
        found = {key: self._head(self._tables.streams[key]) for key in ids if key in self._tables.streams}
        return {key: head for key, head in found.items() if head is not None}

    def apply(self, decisions: Sequence[DeliveryDecision], claim: Claim) -> Sequence[int]:
        held = self._due_work.settle(claim, [(d.row, d.due) for d in decisions])
        saved = [d for d in decisions if d.row.subject in held]
        self._remember_failures(saved)
        for decision in saved:
            self._write(decision)
        for decision in saved:
            self._settle(decision)
        self._open(saved)
        return [d.row.subject for d in saved]

    def end(self, claim: Claim, streams: Sequence[Claimed]) -> None:
        self._due_work.settle(claim, [(row, None) for row in streams])

    def _head(self, stream: StreamRow) -> Head | None:
        endpoint = self._tables.endpoints[stream.endpoint]
        ahead = [event for event in self._tables.events.values() if self._waits(event, stream)]
        if not ahead:
            return None
        event = min(ahead, key=lambda row: row.id)
        tried = self._tables.deliveries.get((stream.id, event.id))
        return Head(
            stream=stream.id,
            event_row=event.id,
            event=event.event,
            body=event.body,
            url=endpoint.url,
            secrets=endpoint.secrets,
            endpoint=endpoint.id,
            merchant=endpoint.merchant,
            order_id=stream.order_id,
            first_tried_at=None if tried is None else tried.first_tried_at,
            tries=0 if tried is None else tried.tries,
            more=len(ahead) > 1,
            waits=endpoint.waits,
            failing_since=self._tables.failing_since.get(endpoint.id),
            troubled=any(
                case.subject in {stream.id, endpoint.id} and case.closed_at is None
                for case in self._tables.cases.values()
            ),
        )

    def _waits(self, event: EventRow, stream: StreamRow) -> bool:
        if event.id <= stream.cursor:
            return False
        if stream.order_id is None:
            return event.id == stream.single_event
        types = self._tables.endpoints[stream.endpoint].types
        return event.order_id == stream.order_id and (types is None or event.type in types)

    def _write(self, decision: DeliveryDecision) -> None:
        tables, head = self._tables, decision.head
        state = "delivered" if decision.delivered else "failed" if decision.given_up else "pending"
        old = tables.deliveries.get((head.stream, head.event_row))
        tables.deliveries[head.stream, head.event_row] = DeliveryRow(
            stream=head.stream,
            event_row=head.event_row,
            state=state,
            tries=head.tries + 1,
            status=decision.status,
            error=decision.error,
            first_tried_at=self._now if old is None else old.first_tried_at,
        )
        if decision.delivered or decision.given_up:
            tables.streams[head.stream] = replace(tables.streams[head.stream], cursor=head.event_row)
        if decision.disable:
            tables.endpoints[head.endpoint] = replace(tables.endpoints[head.endpoint], enabled=False)
            lane = tables.lane_of_endpoint[head.endpoint]
            tables.lanes[lane] = replace(tables.lanes[lane], paused=True)

    def _remember_failures(self, saved: Sequence[DeliveryDecision]) -> None:
        since = self._tables.failing_since
        delivered = {d.head.endpoint for d in saved if d.delivered}
        for endpoint in {d.head.endpoint for d in saved}:
            if endpoint in delivered:
                since.pop(endpoint, None)
            else:
                since.setdefault(endpoint, self._now)

    def _settle(self, decision: DeliveryDecision) -> None:
        head = decision.head
        closed = [(head.stream, CaseKind.STUCK)] if decision.settles else []
        if decision.settles and self._has_all(head.endpoint):
            closed.append((head.endpoint, CaseKind.UNDELIVERABLE))
        for subject, kind in closed:
            close_case(
                self._tables, self._ids, subject=subject, kind=kind, note="it was delivered", by=ACTOR, now=self._now
            )

    def _has_all(self, endpoint: int) -> bool:
        """Whether it is enabled, and whatever was given up there has been delivered since."""
        tables = self._tables
        mine = {stream.id for stream in tables.streams.values() if stream.endpoint == endpoint}
        tried = [d for d in tables.deliveries.values() if d.stream in mine]
        delivered = {d.event_row for d in tried if d.state == "delivered"}
        missing = {d.event_row for d in tried if d.state == "failed"} - delivered
        return tables.endpoints[endpoint].enabled and not missing

    def _open(self, saved: Sequence[DeliveryDecision]) -> None:
        merchants = {decision.head.endpoint: decision.head.merchant for decision in saved}
        for endpoint, opening in findings(saved).items():
            about = About(subject=endpoint, merchant=merchants[endpoint], order_id=None, currency=None, actor=ACTOR)
            open_case(self._tables, self._ids, about, opening, now=self._now)
