"""Calls about many: what one of them spoils, and what an old answer must not do."""

from dataclasses import replace

from domain.model.answer import Record, Unreachable
from domain.model.due_work import Work
from domain.model.order import Order
from domain.ports.provider import Asked, Inquiry, Question
from domain.usecases.ask_providers import ALONE
from tests.builders import MINUTES, a_record, an_order
from tests.fakes.bench import Bench
from tests.fakes.calls import ScriptedProvider
from tests.unit.usecases.yard import WIDE, Yard


class Spoiled(ScriptedProvider):
    """Fails every call about many that the payment `spoiler` is among, and every call about it."""

    def _answer(self, provider: str, question: Question) -> Asked:
        if isinstance(question, Inquiry) and "spoiler" in question.references:
            nothing = Unreachable(why="500")
            return Asked(provider=provider, question=question, answers=dict.fromkeys(question.references, nothing))
        return super()._answer(provider, question)


def a_yard(bench: Bench) -> Yard:
    yard = Yard(bench, lane=replace(WIDE, bulk=100, breaker_failures=1000))
    yard.provider = Spoiled(bench.units)
    return yard


def orders_of(yard: Yard, *payments: str) -> list[Order]:
    orders = [an_order(reference=f"o-{name}", payment=name) for name in payments]
    for name in payments:
        yard.provider.says(name, paid(name))
    return yard.bench.register_many(orders)


def paid(name: str) -> Record:
    return a_record("paid", reference=name)


def open_orders(yard: Yard) -> set[str]:
    orders = yard.bench.tables().orders.values()
    return {order.transaction.reference for order in orders if order.status == "NEW"}


class TestAPaymentThatSpoilsEveryCallAboutMany:
    def test_keeps_nobody_else_from_being_asked_about(self, bench: Bench) -> None:
        yard = a_yard(bench)
        orders_of(yard, "spoiler", *(f"p-{n}" for n in range(3 * ALONE)))
        step = yard.polling()

        for _ in range(6):
            yard.poll(step=step)
            bench.clock.wait(5 * MINUTES)

        assert open_orders(yard) == {"spoiler"}

    def test_does_not_spoil_the_calls_about_those_that_come_later(self, bench: Bench) -> None:
        yard = a_yard(bench)
        orders_of(yard, "spoiler", "p-1")
        step = yard.polling()
        yard.poll(step=step)
        bench.clock.wait(5 * MINUTES)
        orders_of(yard, "later-1", "later-2")

        yard.poll(step=step)

        assert open_orders(yard) == {"spoiler"}
        assert yard.provider.calls == 1 + 2 + 1


class TestAnAnswerThatADrainDidNotWaitFor:
    def test_is_none_to_the_next_question_about_the_same_payment(self, bench: Bench) -> None:
        yard = Yard(bench)
        orders_of(yard, "p-1")
        step = yard.polling()
        claim = bench.claim(Work.POLL, until=bench.clock.now + 1 * MINUTES)
        with bench.units() as uow:
            briefs = step.read(uow, claim)
        step.begin(yard.lane(), [(claim.rows[0], briefs[claim.rows[0].subject])])
        bench.clock.wait(2 * MINUTES)
        yard.provider.says("p-1", a_record("pending", reference="p-1"), paid("p-1"))

        yard.poll(step=step)

        assert yard.the_order().status == "PAID"
