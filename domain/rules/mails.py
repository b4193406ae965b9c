"""Who is told what by mail, and when a mail is tried again or given up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claimed, Due, Work
from domain.model.mail import (
    Audience,
    CaseNews,
    Correspondent,
    Letter,
    Mail,
    MailAnswer,
    MailDecision,
    MailEnd,
    MailState,
    StatusNews,
    Topic,
)
from domain.model.policy import Cadence, Stage
from domain.rules.cadence import delay_at

_WAITS: Final[Sequence[timedelta]] = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=16),
    timedelta(hours=24),
)
# Between tries that a server put off: thinning out, over the two to three days that mail servers themselves take.
SCHEDULE: Final = Cadence(stages=[Stage(wait, 1) for wait in _WAITS], jitter=0.1)
# A server that is away says nothing of the mail: no try is counted, and its lane rests. That ends too.
UNREACHED: Final = Cadence(stages=[Stage(timedelta(seconds=30), 1)], repeats=True, jitter=0.2)
PATIENCE: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One kind of case: what it is called, what can be done, and whether the operator is told as well."""

    title: str
    actions: str
    concerns_the_system: bool = False


# One row for each kind of case.
CASES: Final[Mapping[CaseKind, _Told]] = MappingProxyType(
    {
        CaseKind.LATE_PAYMENT: _Told(
            title="Money came late",
            actions="Deliver after all, or give the money back. Then resolve the order with a note.",
        ),
        CaseKind.AMOUNT_MISMATCH: _Told(
            title="The amount is not as agreed",
            actions="Settle the difference with the customer: give back what is too much, or see to what is missing."
            " Then resolve the order with a note if it is UNRESOLVED; else close the case with one.",
        ),
        CaseKind.CANCEL_IN_DOUBT: _Told(
            title="A cancellation is in doubt",
            actions="Do not deliver. Find out at the provider how the payment stands; then have it asked again, or"
            " canceled. The case closes by itself when the order comes to an end.",
            concerns_the_system=True,
        ),
        CaseKind.REVERSAL_EXHAUSTED: _Told(
            title="A timed-out transaction could not be undone",
            actions="Have the provider void it before the deadline, or give the money back afterwards, if it was taken."
            " Then close the case with a note.",
        ),
        CaseKind.SETTLED_UNREVERSED: _Told(
            title="A timed-out transaction was settled before it could be undone",
            actions="A void is impossible now. Find out whether the money was taken, and give it back if it was. Then"
            " close the case with a note.",
        ),
        CaseKind.CONTRADICTION: _Told(
            title="The provider contradicts itself",
            actions="Find out with the provider which of the two is true; then have it asked again, or close the case"
            " with what was found.",
            concerns_the_system=True,
        ),
        CaseKind.POLLING_EXHAUSTED: _Told(
            title="Nothing final was learnt of a payment",
            actions="Do not deliver. Find out at the provider how the payment stands, or why it does not answer; then"
            " have it asked again, or the order canceled.",
            concerns_the_system=True,
        ),
        CaseKind.UNDELIVERABLE: _Told(
            title="A callback could not be delivered",
            actions="Mend the endpoint; then have what was given up delivered once more, or the endpoint enabled."
            " What was missed can be read in the feed of events.",
            concerns_the_system=True,
        ),
        CaseKind.STUCK: _Told(
            title="Work is stuck",
            actions="The operator mends what the error says; then it is tried again.",
            concerns_the_system=True,
        ),
    }
)


def letters_of_case(news: CaseNews, correspondent: Correspondent | None) -> list[Letter]:
    """Return one letter to the merchant, if it has an address, and one to the operator of what concerns the system."""
    told = CASES[news.kind]
    letter = Letter(
        event=f"evt_case_{news.case}_opened",
        topic=Topic.CASE,
        merchant=news.merchant,
        case=news.case,
        order_id=news.order_id,
        facts={
            "case": str(news.case),
            "kind": news.kind.value,
            "title": told.title,
            "actions": told.actions,
            "where": f"`trueup cases show {news.case}` shows what can be done now; `trueup cases close` does it.",
            "merchant": news.merchant or "",
            "order": news.order or "",
            "known": news.known,
            "provider_says": news.provider_says or "",
            "amount_at_risk": "" if news.amount_at_risk is None else f"{news.amount_at_risk} {news.currency}",
            "deadline": "" if news.deadline is None else f"{news.deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        },
    )
    letters = []
    if correspondent is not None and correspondent.email is not None:
        letters.append(_to_merchant(letter, correspondent))
    if told.concerns_the_system:
        letters.append(letter)
    return letters


def letters_of_status(news: StatusNews, correspondent: Correspondent) -> list[Letter]:
    """Return a letter to the merchant if it chose to hear of this status; none by default."""
    facts = {name: "" if fact is None else str(fact) for name, fact in news.facts.items()}
    if correspondent.email is None or facts.get("status") not in correspondent.statuses:
        return []
    letter = Letter(event=news.event, topic=Topic.STATUS, merchant=news.merchant, order_id=news.order_id, facts=facts)
    return [_to_merchant(letter, correspondent)]


def after_try(
    row: Claimed, mail: Mail, answer: MailAnswer, *, now: datetime, schedule: Cadence = SCHEDULE
) -> MailDecision:
    """Return what follows from one try to send a mail."""
    counted = answer.end is not MailEnd.UNREACHED and answer.end is not MailEnd.KEPT
    tries = mail.tries + counted
    state, due, opening = _ENDS.get(answer.end, MailState.WAITING), None, None
    if state is MailState.WAITING:
        wait = _wait(mail, answer, now, schedule)
        if wait is None:
            state = MailState.FAILED
        else:
            due = Due(work=Work.MAIL, at=now + wait, step=tries)
    if state is MailState.FAILED:
        opening = _opening(mail, answer, tries)
    return MailDecision(
        row=row,
        mail=mail,
        state=state,
        tries=tries,
        status=answer.status,
        error=None if answer.end is MailEnd.ACCEPTED else answer.why,
        due=due,
        opening=opening,
    )


# What ends a mail at once; every other try is followed by one more, as long as patience lasts.
_ENDS: Final[Mapping[MailEnd, MailState]] = MappingProxyType(
    {MailEnd.ACCEPTED: MailState.SENT, MailEnd.REFUSED: MailState.FAILED, MailEnd.KEPT: MailState.KEPT}
)


def _wait(mail: Mail, answer: MailAnswer, now: datetime, schedule: Cadence) -> timedelta | None:
    if answer.end is MailEnd.LATER:
        return delay_at(schedule, mail.tries, seed=mail.id)
    minutes = int((now - mail.since).total_seconds() // 60)
    return None if now - mail.since >= PATIENCE else delay_at(UNREACHED, minutes, seed=mail.id)


def _opening(mail: Mail, answer: MailAnswer, tries: int) -> CaseOpening:
    whom = mail.recipient or "the operator"
    return CaseOpening(
        kind=CaseKind.UNDELIVERABLE,
        known=f"the mail {mail.subject!r} to {whom} was given up after {tries} {'try' if tries == 1 else 'tries'}:"
        f" {answer.why}; `trueup mails send-again {mail.id}` sends it once more",
        details={"mail": str(mail.id), "recipient": whom},
    )


def _to_merchant(letter: Letter, correspondent: Correspondent) -> Letter:
    return replace(
        letter,
        audience=Audience.MERCHANT,
        recipient=correspondent.email,
        sender=correspondent.mail_sender,
        sender_name=correspondent.mail_name,
        facts={
            **letter.facts,
            "where": _where(letter),
            "name": correspondent.name,
            "brand": correspondent.mail_name or "",
            "link": _link(correspondent.mail_link, letter.facts.get("order", "")),
        },
    )


def _where(letter: Letter) -> str:
    """Return where a merchant, who has no command line, sees what can be done and does it."""
    case = f"/v1/cases/{letter.case}"
    return "" if letter.case is None else f"GET {case} shows what can be done now; POST {case}/close does it."


_PLAIN_IN_A_URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _link(link: str | None, order: str) -> str:
    """Return the merchant's link with the order's name in it, so written that it cannot lead elsewhere."""
    quoted = "".join(c if c in _PLAIN_IN_A_URL else "".join(f"%{b:02X}" for b in c.encode()) for c in order)
    return "" if link is None else link.replace("{order}", quoted)
