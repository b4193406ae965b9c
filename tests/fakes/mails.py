"""Mails in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from adapters.letters import words_of
from domain.model.case import CaseKind
from domain.model.due_work import Claim, Claimed, LaneFamily, Work
from domain.model.event import Event, EventType
from domain.model.mail import CaseNews, Letter, Mail, MailDecision, MailState, StatusNews
from domain.model.money import Currency
from domain.rules.mails import letters_of_case, letters_of_status
from tests.fakes.rows import CaseRow, DueRow, MailRow, Tables


def mail_case(tables: Tables, ids: "count[int]", case: CaseRow, currency: Currency | None, *, now: datetime) -> None:
    """Tell by mail of a case that was opened."""
    order = None if case.order_id is None else tables.orders.get(case.order_id)
    amount = case.amount_at_risk
    news = CaseNews(
        case=case.id,
        kind=CaseKind(case.kind),
        merchant=case.merchant,
        order_id=case.order_id,
        order=None if order is None else order.reference,
        known=case.known,
        provider_says=case.provider_says,
        amount_at_risk=None if amount is None or currency is None else currency.render(amount),
        currency=case.currency,
        deadline=case.deadline,
    )
    correspondent = None if case.merchant is None else tables.correspondents.get(case.merchant)
    _post(tables, ids, letters_of_case(news, correspondent), now=now)


def mail_status(tables: Tables, ids: "count[int]", name: str, event: Event, *, now: datetime) -> None:
    """Tell by mail of a change of status, who chose to hear of it."""
    correspondent = tables.correspondents.get(event.merchant)
    if event.type is EventType.ORDER_STATUS_CHANGED and event.order_id is not None and correspondent is not None:
        news = StatusNews(event=name, merchant=event.merchant, order_id=event.order_id, facts=event.data)
        _post(tables, ids, letters_of_status(news, correspondent), now=now)


ACTOR = "system:mail"


class FakeMails:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]", due_work: Any) -> None:
        self._tables = tables
        self._now = now
        self._ids = ids
        self._due_work = due_work

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Mail]:
        rows = [self._tables.mails[key] for key in ids if key in self._tables.mails]
        return {row.id: self._mail(row) for row in rows if row.state == MailState.WAITING}

    def apply(self, decisions: Sequence[MailDecision], claim: Claim) -> Sequence[int]:
        # The cases come after the mails as in the other store, and these two know each other.
        from tests.fakes.outbox import About, close_case, open_case  # noqa: PLC0415

        held = self._due_work.settle(claim, [(d.row, d.due) for d in decisions])
        saved = [d for d in decisions if d.row.subject in held]
        for d in saved:
            row = self._tables.mails[d.mail.id]
            self._tables.mails[row.id] = replace(row, state=d.state, tries=d.tries, status=d.status, error=d.error)
            if d.state is MailState.SENT:
                close_case(
                    self._tables,
                    self._ids,
                    subject=row.id,
                    kind=CaseKind.UNDELIVERABLE,
                    note="it was sent",
                    by=ACTOR,
                    now=self._now,
                )
            if d.opening is not None:
                about = About(
                    subject=row.id,
                    merchant=row.merchant,
                    order_id=row.order_id,
                    currency=None,
                    actor=ACTOR,
                    mailed=False,
                )
                open_case(self._tables, self._ids, about, d.opening, now=self._now)
        return [d.mail.id for d in saved]

    def end(self, claim: Claim, mails: Sequence[Claimed]) -> None:
        self._due_work.settle(claim, [(row, None) for row in mails])

    def _mail(self, row: MailRow) -> Mail:
        return Mail(
            id=row.id,
            message_id=row.message_id,
            audience=row.audience,
            recipient=row.recipient,
            sender=row.sender,
            sender_name=row.sender_name,
            subject=row.subject,
            text=row.text,
            html=row.html,
            created_at=row.created_at,
            since=row.created_at,
            tries=row.tries,
            merchant=row.merchant,
            order_id=row.order_id,
        )


def _post(tables: Tables, ids: "count[int]", letters: Iterable[Letter], *, now: datetime) -> None:
    lane = next(key for key, lane in tables.lanes.items() if lane.family is LaneFamily.MAIL)
    for letter in letters:
        assert all((row.event, row.audience) != (letter.event, letter.audience) for row in tables.mails.values())
        key = next(ids)
        words = words_of(letter)
        tables.mails[key] = MailRow(
            id=key,
            message_id=f"<mail-{key}.0123456789abcdef@trueup>",
            event=letter.event,
            audience=letter.audience,
            merchant=letter.merchant,
            case_id=letter.case,
            order_id=letter.order_id,
            recipient=letter.recipient,
            sender=letter.sender,
            sender_name=words.sender_name,
            subject=words.subject,
            text=words.text,
            html=words.html,
            created_at=now,
        )
        tables.due[key] = DueRow(subject=key, lane=lane, kind=Work.MAIL, due_at=now)
