"""Mails: what a person is told, frozen when it is decided, and what became of sending it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claimed, Due


class Audience(StrEnum):
    MERCHANT = "merchant"
    OPERATOR = "operator"


class MailState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    KEPT = "kept"  # nothing is set up to send it; it is shown, and sent only when somebody asks for it
    FAILED = "failed"  # given up, with a case


class Topic(StrEnum):
    """What mails are about; each has its templates."""

    CASE = "case"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondent:
    """A merchant as mails know it: where they go, what they look like, and of which statuses it wants to hear."""

    merchant: str
    name: str
    email: str | None = None
    mail_name: str | None = None  # stands for Trueup's own name, as the sender and in the text
    mail_sender: str | None = None  # the address they come from; None for the operator's
    mail_link: str | None = None  # where the merchant looks at orders; `{order}` in it becomes the order
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseNews:
    """An opened case, as it is told of."""

    case: int
    kind: CaseKind
    merchant: str | None
    order_id: int | None
    order: str | None
    known: str
    provider_says: str | None
    amount_at_risk: str | None  # with all the decimals of its currency
    currency: str | None
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNews:
    """A change of an order's status, as it is told of under the name of its event."""

    event: str
    merchant: str
    order_id: int
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail that is decided: to whom, and the facts that its templates put into words.

    `event` and `audience` name it: nobody is told the same twice. The operator's address is known where mails are
    sent, so that it stands in no row.
    """

    event: str
    topic: Topic
    audience: Audience = Audience.OPERATOR
    recipient: str | None = None
    sender: str | None = None
    sender_name: str | None = None
    merchant: str | None = None
    case: int | None = None
    order_id: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as it is sent, the same on every try."""

    id: int
    message_id: str
    audience: Audience
    recipient: str | None
    sender: str | None
    sender_name: str | None
    subject: str
    text: str
    html: str
    created_at: datetime
    since: datetime  # when it was planned: at its creation, or when somebody asked for it once more
    tries: int  # that its server answered, since then
    merchant: str | None
    order_id: int | None


class MailEnd(StrEnum):
    """What one try came to."""

    ACCEPTED = "accepted"
    LATER = "later"  # a passing refusal of this mail (4xx)
    REFUSED = "refused"  # a lasting one (5xx), or an address that no server takes
    UNREACHED = "unreached"  # no server that would look at it; nothing is said of this mail
    KEPT = "kept"  # nothing is set up to send it


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAnswer:
    end: MailEnd
    status: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDecision:
    """What follows from one try."""

    row: Claimed
    mail: Mail
    state: MailState
    tries: int
    status: int | None
    error: str | None
    due: Due | None
    opening: CaseOpening | None = None
