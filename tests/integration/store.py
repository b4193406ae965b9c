"""A store in which orders live as they do in earnest, without any process around it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from adapters import messages
from adapters.currencies import of_iso_4217
from adapters.persistence import merchants
from adapters.persistence.columns import run
from adapters.persistence.keeper import SqlKeeper
from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from domain.model.answer import Answer
from domain.model.due_work import Claimed, LaneFamily, Work
from domain.model.money import Currency
from domain.rules.closing import settle_effect
from domain.rules.reconciliation import reconcile
from domain.rules.reversal import ask_of
from domain.rules.reversing import reverse
from domain.usecases.receive_commands import ReceiveCommands
from domain.usecases.register_orders import RegisterOrders
from tests.builders import HOURS, PROVIDER, a_policy

EFFECTS = (Work.CANCEL, Work.VOID)


class NoHints:
    def hint(self, work: Work) -> None:
        """Nobody listens."""


def _currencies(_provider: str) -> Mapping[str, Currency]:
    return of_iso_4217()


class Store:
    """One merchant, one provider, and what producers and the provider say of orders."""

    def __init__(self, engine: Engine, *, merchant: str = "shop", providers: tuple[str, ...] = (PROVIDER,)) -> None:
        self.engine = engine
        self.merchant = merchant
        self.unit_of_work = SqlUnitOfWorkFactory(engine)
        self.policy = a_policy()
        policies = dict.fromkeys(providers, self.policy)
        self.receive = ReceiveCommands(
            unit_of_work=self.unit_of_work,
            policies=policies,
            currencies=_currencies,
            register_orders=RegisterOrders(policies=policies, currencies=_currencies),
            keeper=SqlKeeper(engine),
            hints=NoHints(),
        )
        with self.unit_of_work() as uow:
            uow.lanes.ensure(LaneFamily.PROVIDER, providers)
            uow.commit()
        with engine.begin() as connection:
            merchants.add(connection, merchant, {"name": "Shop", "email": None}, url="https://shop.example/callbacks")

    def say(self, name: str, **fields: object) -> None:
        """Say it as a producer does; what is refused is kept."""
        given = {"merchant": self.merchant, **fields}
        parsed = messages.parse(f"intake.{name}", given, trace="trace", channel="message")
        if parsed.accepted:
            self.receive(parsed.accepted)
        with self.unit_of_work() as uow:
            uow.inbox.refuse(parsed.refused)
            uow.commit()

    def register(self, order: str, **fields: object) -> int:
        """Register an order of 100.00 EUR whose payment is `pay-ORDER`; return its id."""
        plain = {"provider": PROVIDER, "reference": f"pay-{order}", "amount": "100.00", "currency": "EUR"}
        self.say("register_order", order=order, **plain | fields)
        return self.id_of(order)

    def id_of(self, order: str) -> int:
        [(found,)] = self.ask(
            "SELECT id FROM orders WHERE merchant = %(m)s AND reference = %(o)s", m=self.merchant, o=order
        )
        return int(found)

    def answer(self, order: str, answer: Answer) -> None:
        """Let the provider answer what is due for the order: an inquiry, or an effect."""
        row = self._due(self.id_of(order))
        decide = settle_effect if row.work in EFFECTS else reconcile
        with self.unit_of_work() as uow:
            claim = uow.due_work.lease([row], until=uow.now + 1 * HOURS)
            known = uow.orders.get_many([row.subject])[row.subject]
            uow.apply([decide(known, answer, row=claim.rows[0], now=uow.now, policy=self.policy)], claim)
            uow.commit()

    def report(self, reference: str, **fields: object) -> int:
        """Report that a payment of 100.00 EUR timed out an hour ago; return its reversal's id."""
        occurred_at = (datetime.now(UTC) - 1 * HOURS).isoformat()
        plain = {"provider": PROVIDER, "amount": "100.00", "currency": "EUR", "response_code": "99"}
        self.say("report_timeout", reference=reference, **plain | {"occurred_at": occurred_at} | fields)
        return self.reversal_of(reference)

    def reversal_of(self, reference: str) -> int:
        [(found,)] = self.ask(
            "SELECT max(id) FROM reversals WHERE merchant = %(m)s AND reference = %(r)s", m=self.merchant, r=reference
        )
        return int(found)

    def answer_reversal(self, reference: str, answer: Answer | None) -> None:
        """Let the provider answer what is due for a timed-out transaction: an inquiry, or a void."""
        row = self._due(self.reversal_of(reference))
        with self.unit_of_work() as uow:
            claim = uow.due_work.lease([row], until=uow.now + 1 * HOURS)
            known = uow.reversals.get_many([row.subject])[row.subject]
            payment = (known.provider, known.reference)
            decision = reverse(
                known,
                answer,
                asked=ask_of(known, claim.rows[0], uow.now),
                row=claim.rows[0],
                order=uow.orders.lock_payments([payment]).get(payment),
                policy=self.policy,
                now=uow.now,
            )
            uow.reversals.apply([decision], claim)
            uow.apply([decision.order] if decision.order is not None else [])
            uow.commit()

    def _due(self, subject: int) -> Claimed:
        [(kind, lane, due_at, step, generation)] = self.ask(
            "SELECT kind, lane, due_at, step, generation FROM due_work WHERE subject = %(id)s", id=subject
        )
        return Claimed(
            subject=subject,
            work=Work(kind),
            lane=lane,
            due_at=due_at,
            step=step,
            generation=generation,
            claims=0,
        )

    def ask(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in run(connection, statement, parameters)]

    def damage(self, *statements: str) -> None:
        """Do by hand what no code of ours may."""
        with self.engine.begin() as connection:
            for statement in statements:
                run(connection, statement)
