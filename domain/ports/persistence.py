"""What we need of the store: one unit of work is one transaction, and its `now` is the store's."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.model.command import Received, RefusedMessage
from domain.model.decision import CommandOutcome, CommandState, Decision
from domain.model.delivery import DeliveryDecision, Head
from domain.model.due_work import Claim, Claimed, Due, Lane, LaneFamily, Work
from domain.model.mail import Mail, MailDecision
from domain.model.master_data import Entry, MasterKind, Place
from domain.model.merchant import Merchant
from domain.model.order import Order, Resolution
from domain.model.rejection import Finding, Reason, Rejection, RejectionStatus, Retrigger
from domain.model.reversal import Reversal, ReversalDecision
from domain.model.transaction import ReversalOutcome


class Lanes(Protocol):
    """The lanes' rows. They are locked until the unit of work ends, always in the order of their ids."""

    def ensure(self, family: LaneFamily, names: Iterable[str]) -> Mapping[str, int]:
        """Make the lanes that are missing; return {name: id} of all that were named."""

    def lock_due(self, works: Sequence[Work]) -> Sequence[Lane]:
        """Return, locked, every lane that may be asked now and has a due row of one of these works."""

    def lock(self, ids: Iterable[int]) -> Sequence[Lane]:
        """Return these lanes, locked."""

    def save(self, lanes: Iterable[Lane]) -> None:
        """Write tokens, failures and pauses back; the operator's switches are left alone."""


class DueWork(Protocol):
    """The rows of due work. A row that another worker has locked or leased is never waited for."""

    def candidates(self, lanes: Mapping[int, Mapping[Work, int]]) -> Mapping[int, Mapping[Work, Sequence[Claimed]]]:
        """Return, locked, up to {lane: {work: limit}} healthy due rows of each, those due first first."""

    def suspects(self, lanes: Iterable[int], works: Sequence[Work]) -> Sequence[Claimed]:
        """Return, locked, one due row that was claimed in vain before (`SUSPECT_AFTER` times or more), or none."""

    def lease(self, rows: Sequence[Claimed], *, until: datetime, token: int | None = None) -> Claim:
        """Lease these rows under a token, a new one where none is given; each counts the claim in itself."""

    def settle(
        self, claim: Claim, plans: Sequence[tuple[Claimed, Due | None]], versions: Mapping[int, int] | None = None
    ) -> frozenset[int]:
        """Give rows back with their next plan, None ending it; return those whose lease held and that are fresh.

        `versions` is {order: the version that was read}, for rows that stand for orders.
        """

    def release(self, claim: Claim, errors: Mapping[int, str], *, until: datetime) -> None:
        """Give up {subject: why} with their claims counted, to be tried again at `until`."""

    def park(self, claim: Claim, subjects: Sequence[int]) -> None:
        """Take rows out that were claimed in vain too often: each becomes a STUCK case that holds its last error."""

    def bump(self, subjects: Sequence[int]) -> None:
        """Make these subjects due now, whatever their plan was; one that is being worked on follows at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Who named a payment first: an order that it pays, one that was rejected, or the report that it timed out."""

    merchant: str
    by_order: bool
    by_report: bool = False
    by_rejection: bool = False  # and it is no order yet
    outcome: ReversalOutcome | None = None  # of the reversal that the report opened, None while it is open


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order to be registered, and when it is due for the first time."""

    order: Order
    due: Due
    bill: Mapping[str, object] | None
    actor: str
    trace: str | None = None  # the unit of work's, if it is none of its own


class Orders(Protocol):
    def get_many(self, ids: Sequence[int]) -> Mapping[int, Order]:
        """Return {id: order}; an unknown id is left out."""

    def lock_by_reference(self, merchant: str, reference: str) -> Order | None:
        """Return the merchant's order, locked together with its due row; None if it is not known."""

    def lock_payments(self, payments: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Order]:
        """Return {(provider, reference): the order that it pays}, locked with their due rows; unknown ones left out."""

    def resolution_of(self, id: int) -> Resolution | None:  # noqa: A002 - the field's own name
        """Return how this order was settled by hand; None if it was not."""

    def next_ids(self, count: int) -> Sequence[int]:
        """Return fresh ids for new orders, or for other subjects."""

    def taken(self, payments: Iterable[tuple[str, str]], *, alone: bool = False) -> Mapping[tuple[str, str], Named]:
        """Return {(provider, reference): who has named it before}; those that nobody has are left out.

        A reversal among them cannot end before this unit of work does. Who registers orders of payments, and who may
        name one of them elsewhere (its timeout is reported, its transaction rejected) and so is here `alone`, wait for
        one another, so that the second sees what the first has done.
        """

    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Return those of the (merchant, reference) pairs that name an order."""

    def register(self, orders: Sequence[NewOrder]) -> None:
        """Store new orders with their first due row, their history and event, and the bill that came with each.

        Raises:
            Conflict: a concurrent unit of work was first with one of them; run the unit of work again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the inbox says of a command that came in. `repeat` if the same was here before, `conflict` if another.

    `differs` names the fields in which that other one is another.
    """

    id: int
    repeat: bool = False
    conflict: bool = False
    differs: tuple[str, ...] = ()
    state: CommandState = CommandState.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingCommand:
    """A command of the inbox that waits to be carried out, or for its order."""

    id: int
    merchant: str
    order: str
    name: str
    body: Mapping[str, object]
    actor: str
    trace: str
    received_at: datetime


class Keeper(Protocol):
    def __call__(self, received: Received) -> bool:
        """Keep a command in the inbox as one that waits, and is due now in its merchant's lane; it is committed then.

        Return whether it is: not where its merchant or the lane is unknown, or its (merchant, name, key) is known.

        Raises:
            StoreUnavailable: it may be kept, and the same call may be made again.
        """


class Inbox(Protocol):
    def put(self, received: Sequence[Received]) -> Sequence[Stored]:
        """Keep commands, in their order; one whose (merchant, name, key) is known is not kept again."""

    def wait(self, stored: Mapping[int, Due], *, merchants: Mapping[int, str]) -> None:
        """Leave {inbox id: when to try} as due work of its merchant's lane."""

    def wake(self, orders: Sequence[tuple[str, str]]) -> None:
        """Make the commands due that wait for these (merchant, order)."""

    def get_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        """Return those of these commands that wait."""

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        """Return those of these commands that still wait, locked."""

    def conclude(self, outcomes: Sequence[CommandOutcome]) -> None:
        """Write what became of commands; one that is refused after it was accepted is announced."""

    def forget(self, ids: Sequence[int]) -> None:
        """Take back what could not be accepted after all, so that its key is free for a better message."""

    def refuse(self, messages: Sequence[RefusedMessage], *, announce: bool = True) -> None:
        """Keep refused input; the same input twice is kept once and counted. Its merchant, if known, is told."""


class Streams(Protocol):
    def heads(self, ids: Sequence[int]) -> Mapping[int, Head]:
        """Return {stream: its next event}; a stream with nothing to deliver is left out."""

    def apply(self, decisions: Sequence[DeliveryDecision], claim: Claim) -> Sequence[int]:
        """Write what became of tries; return the streams whose lease still held."""

    def end(self, claim: Claim, streams: Sequence[Claimed]) -> None:
        """Take the due rows of streams away that have nothing to deliver, unless an event came meanwhile."""


class Mails(Protocol):
    """Mails that wait to be sent. They are written by the changes that they tell of."""

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Mail]:
        """Return those of these mails that wait."""

    def apply(self, decisions: Sequence[MailDecision], claim: Claim) -> Sequence[int]:
        """Write what became of tries; return the mails whose lease still held. Their cases are told to nobody."""

    def end(self, claim: Claim, mails: Sequence[Claimed]) -> None:
        """Take the due rows of mails away that do not wait."""


class Reversals(Protocol):
    def get_many(self, ids: Sequence[int]) -> Mapping[int, Reversal]:
        """Return {id: reversal}; an unknown id is left out."""

    def lock(self, provider: str, reference: str) -> Reversal | None:
        """Return the reversal of this payment, locked with its due row; None if no timeout was reported for it."""

    def lock_many(self, ids: Sequence[int]) -> None:
        """Lock these reversals. Who registers an order of such a payment waits, and then knows how it has ended."""

    def open(self, reversal: Reversal, due: Due, *, actor: str) -> None:
        """Store a new reversal with its first due row.

        Raises:
            Conflict: a concurrent unit of work was first with its payment; run the unit of work again.
        """

    def plan(self, reversal: Reversal, due: Due) -> None:
        """Plan its next attempt from outside; one that is being made is followed by this."""

    def apply(self, decisions: Sequence[ReversalDecision], claim: Claim) -> Sequence[int]:
        """Write a wave of decisions, all but what they say of orders; return the reversals whose lease still held."""


class MasterData(Protocol):
    def find(self, places: Iterable[Place]) -> Mapping[Place, Entry]:
        """Return {place: entry} of those that are known, in one statement however many they are."""

    def put(self, merchant: str, kind: MasterKind, entries: Sequence[Entry], *, actor: str) -> Sequence[Entry]:
        """Store entries over those that stand, under a new version; return those that are new or differ.

        Raises:
            Conflict: a concurrent unit of work was first with this version; run the unit of work again.
        """


class Rejections(Protocol):
    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Return those of the (merchant, order) pairs that name a rejected transaction."""

    def store(self, rejections: Sequence[Rejection], *, actor: str) -> None:
        """Keep rejected transactions, with an event for each.

        Raises:
            Conflict: a concurrent unit of work was first with one of them; run the unit of work again.
        """

    def status_of(self, merchant: str, order: str) -> RejectionStatus | None:
        """Return what became of the order's transaction if it was rejected, None if it never was."""

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        """Return {id: rejection}; an unknown id is left out."""

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        """Return these rejections locked, always in the order of their ids."""

    def reprocess(self, rejections: Sequence[Rejection], retrigger: Retrigger) -> None:
        """Note that these became orders, with an event for each; they must be locked."""

    def restate(self, reasons: Mapping[int, Sequence[Reason]]) -> None:
        """Note {rejection: what is still missing} where that has changed; they must be locked."""

    def fail(self, rejections: Sequence[Rejection], *, note: str | None, actor: str) -> None:
        """Note that these are given up, with an event for each; they must be locked."""

    def waiting_for(self, merchant: str, kind: MasterKind, entries: Sequence[Entry]) -> Sequence[int]:
        """Return the pending rejections that lack one of these very entries or options."""


class Retriggers(Protocol):
    def open(self, retrigger: Retrigger, transactions: Sequence[int] | None, due: Due) -> None:
        """Store a new retrigger of these rejections, of all the merchant's pending ones if None, with its due row.

        Raises:
            Conflict: the merchant has one of this name; run the unit of work again.
        """

    def called(self, merchant: str, name: str) -> Retrigger | None:
        """Return the merchant's retrigger of this name; None if there is none."""

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Retrigger]:
        """Return {id: retrigger}; an unknown id is left out."""

    def batch(self, retrigger: Retrigger, limit: int) -> Sequence[int]:
        """Return the next rejections that it has to look at, in the order of their ids."""

    def save(self, retrigger: Retrigger, findings: Sequence[Finding]) -> None:
        """Write what a batch has found, and how far the retrigger is."""

    def begin_sweep(self, since: datetime) -> Sequence[str]:
        """Begin the sweep that was due at `since`; return the merchants to sweep, none where somebody was first."""


class Merchants(Protocol):
    def get_many(self, ids: Iterable[str]) -> Mapping[str, Merchant]: ...


class Conflict(Exception):
    """Another unit of work was first; nothing of this one is kept, and it may be run again."""


class StoreUnavailable(Exception):
    """The store cannot be reached; whether a commit under way has happened is not known."""


class UnitOfWork(Protocol):
    """One transaction. What is not committed is undone when the block ends."""

    @property
    def now(self) -> datetime:
        """The store's clock, read once; it decides everything."""

    @property
    def lanes(self) -> Lanes: ...
    @property
    def due_work(self) -> DueWork: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def streams(self) -> Streams: ...
    @property
    def mails(self) -> Mails: ...
    @property
    def reversals(self) -> Reversals: ...
    @property
    def merchants(self) -> Merchants: ...
    @property
    def master_data(self) -> MasterData: ...
    @property
    def rejections(self) -> Rejections: ...
    @property
    def retriggers(self) -> Retriggers: ...

    def apply(self, decisions: Sequence[Decision], claim: Claim | None = None) -> Sequence[int]:
        """Write a wave of decisions; return the orders whose decision was saved.

        With a claim, a row is saved only while its lease holds and its order is as it was read; its plan is
        overwritten only where nobody re-planned it meanwhile. Without one, the orders must be locked by this
        unit of work, and their rows are re-planned from outside.

        Raises:
            Conflict: an order was changed by somebody who did not hold its lock.
        """

    def commit(self) -> None: ...


class UnitOfWorkFactory(Protocol):
    def __call__(self) -> AbstractContextManager[UnitOfWork]: ...
