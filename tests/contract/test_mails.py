from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claim, Claimed, Due, LaneFamily, Work
from domain.model.mail import Correspondent, Mail, MailDecision, MailState
from domain.model.order import Order, OrderStatus
from tests.builders import MINUTES, NOON
from tests.contract.test_apply import apply, moved
from tests.fakes.bench import LEASE, Bench

SHOP = Correspondent(merchant="shop", name="The Shop", email="ops@shop.example")
LATE = CaseOpening(kind=CaseKind.LATE_PAYMENT, known="paid after the end", provider_says="paid")
ODD = CaseOpening(kind=CaseKind.CONTRADICTION, known="declined after paid")
LATER = Due(work=Work.MAIL, at=NOON + 5 * MINUTES, step=1)
UNDELIVERABLE = CaseOpening(kind=CaseKind.UNDELIVERABLE, known="550 no such mailbox")


@pytest.fixture
def corresponding(bench: Bench) -> Bench:
    bench.correspond(SHOP)
    return bench


def opened(bench: Bench, *openings: CaseOpening) -> Order:
    order = bench.register()
    apply(bench, moved(order, OrderStatus.PENDING, openings=openings))
    return bench.order(order.id)


def claim_of(bench: Bench) -> Claim:
    return bench.claim(Work.MAIL, lane=bench.lane("smtp", LaneFamily.MAIL))


def read(bench: Bench, claim: Claim) -> dict[int, Mail]:
    with bench.units() as uow:
        return dict(uow.mails.get_many([row.subject for row in claim.rows]))


def save(bench: Bench, claim: Claim, **given: Any) -> Sequence[int]:
    """End a try of every claimed mail in the same way."""
    mails = read(bench, claim)
    with bench.units() as uow:
        saved = uow.mails.apply([a_try(row, mails[row.subject], **given) for row in claim.rows], claim)
        uow.commit()
    return saved


def a_try(row: Claimed, mail: Mail, **given: Any) -> MailDecision:
    plain: dict[str, Any] = {
        "row": row,
        "mail": mail,
        "state": MailState.SENT,
        "tries": mail.tries + 1,
        "status": 250,
        "error": None,
        "due": None,
    }
    return MailDecision(**plain | given)


class TestACase:
    def test_is_mailed_to_its_merchant_at_once(self, corresponding: Bench) -> None:
        order = opened(corresponding, LATE)

        [mail] = corresponding.mails()
        [case] = corresponding.cases()
        row = corresponding.due(mail.id)
        assert (mail.audience, mail.recipient, mail.merchant) == ("merchant", "ops@shop.example", "shop")
        assert (mail.case_id, mail.order_id, mail.event) == (case.id, order.id, f"evt_case_{case.id}_opened")
        assert "Money came late" in mail.subject
        assert "paid after the end" in mail.text
        assert "paid after the end" in mail.html
        assert row is not None
        assert (row.kind, row.due_at, row.lane) == ("mail", NOON, corresponding.lane("smtp", LaneFamily.MAIL))

    def test_of_the_system_is_mailed_to_the_operator_too(self, corresponding: Bench) -> None:
        opened(corresponding, ODD)

        assert sorted((mail.audience, mail.recipient) for mail in corresponding.mails()) == [
            ("merchant", "ops@shop.example"),
            ("operator", None),
        ]

    def test_is_mailed_once_though_it_is_found_twice(self, corresponding: Bench) -> None:
        order = opened(corresponding, LATE)

        apply(corresponding, moved(order, openings=(LATE, replace(LATE, known="and again"))))

        assert len(corresponding.mails()) == 1

    def test_looks_as_its_merchant_wants(self, corresponding: Bench) -> None:
        link = "https://shop.example/orders/{order}"
        corresponding.correspond(replace(SHOP, mail_name="Der Laden", mail_sender="desk@shop.example", mail_link=link))

        order = opened(corresponding, LATE)

        [mail] = corresponding.mails()
        assert (mail.sender, mail.sender_name) == ("desk@shop.example", "Der Laden")
        assert mail.subject.startswith("[Der Laden]")
        assert f"https://shop.example/orders/{order.reference}" in mail.text

    def test_of_a_merchant_without_an_address_is_mailed_to_nobody_but_the_operator(self, bench: Bench) -> None:
        opened(bench, LATE, ODD)

        assert [mail.audience for mail in bench.mails()] == ["operator"]


class TestAChangeOfStatus:
    def test_is_mailed_to_nobody_by_itself(self, corresponding: Bench) -> None:
        opened(corresponding)

        assert corresponding.mails() == []

    def test_is_mailed_to_who_chose_to_hear_of_it(self, corresponding: Bench) -> None:
        corresponding.correspond(replace(SHOP, statuses=frozenset({"PAID"})))
        order = corresponding.register()

        apply(corresponding, moved(order, OrderStatus.PENDING, OrderStatus.PAID))

        [mail] = corresponding.mails()
        assert mail.event == f"evt_{order.id}_3"
        assert "PAID" in mail.subject
        assert order.reference in mail.text

    def test_is_mailed_of_a_registration_as_well(self, corresponding: Bench) -> None:
        corresponding.correspond(replace(SHOP, statuses=frozenset({"NEW"})))

        order = corresponding.register()

        assert [mail.event for mail in corresponding.mails()] == [f"evt_{order.id}_1"]

    def test_is_mailed_to_no_other_merchant(self, corresponding: Bench) -> None:
        corresponding.correspond(replace(SHOP, email=None, statuses=frozenset({"NEW"})))

        corresponding.register()

        assert corresponding.mails() == []


class TestATry:
    def test_that_was_taken_ends_the_mail(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        claim = claim_of(corresponding)

        saved = save(corresponding, claim)

        [mail] = corresponding.mails()
        assert saved == [mail.id]
        assert (mail.state, mail.tries, mail.status) == ("sent", 1, 250)
        assert corresponding.due(mail.id) is None
        assert read(corresponding, claim) == {}

    def test_that_was_put_off_leaves_the_mail_as_it_was(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        claim = claim_of(corresponding)
        [before] = read(corresponding, claim).values()

        save(corresponding, claim, state=MailState.WAITING, status=451, error="451 later", due=LATER)
        corresponding.clock.now = LATER.at
        [after] = read(corresponding, claim_of(corresponding)).values()

        assert after == replace(before, tries=1)
        assert corresponding.mails()[0].error == "451 later"

    def test_that_was_the_last_opens_a_case_and_breeds_no_more(self, corresponding: Bench) -> None:
        corresponding.add_endpoint()
        opened(corresponding, LATE)
        events, claim = corresponding.events(), claim_of(corresponding)

        save(corresponding, claim, state=MailState.FAILED, status=550, error="550", opening=UNDELIVERABLE)

        [mail] = corresponding.mails()
        [_, case] = corresponding.cases()
        assert (mail.state, corresponding.due(mail.id)) == ("failed", None)
        assert (case.kind, case.subject, case.merchant) == ("UNDELIVERABLE", mail.id, "shop")
        assert corresponding.events() == events

    def test_that_was_taken_after_all_closes_the_case_that_it_was_given_up_with(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        claim = claim_of(corresponding)
        mails = read(corresponding, claim)
        again = {"state": MailState.WAITING, "due": Due(work=Work.MAIL, at=NOON), "opening": UNDELIVERABLE}
        save(corresponding, claim, **again)

        claim = claim_of(corresponding)
        with corresponding.units() as uow:
            uow.mails.apply([a_try(row, mails[row.subject]) for row in claim.rows], claim)
            uow.commit()

        assert [(case.kind, case.closed_by) for case in corresponding.cases()] == [
            ("LATE_PAYMENT", None),
            ("UNDELIVERABLE", "system:mail"),
        ]

    def test_under_a_lost_lease_writes_nothing(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        late = claim_of(corresponding)
        corresponding.clock.wait(LEASE)
        claim_of(corresponding)

        assert save(corresponding, late) == []
        assert corresponding.mails()[0].state == "waiting"

    def test_in_vain_too_often_is_parked_and_told_to_nobody_by_mail(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        claim = claim_of(corresponding)

        with corresponding.units() as uow:
            uow.due_work.park(claim, [row.subject for row in claim.rows])
            uow.commit()

        [mail] = corresponding.mails()
        assert [(case.kind, case.subject) for case in corresponding.cases()][1:] == [("STUCK", mail.id)]
        assert corresponding.cases()[1].merchant == "shop"


class TestAMailThatDoesNotWait:
    def test_has_no_due_work_any_more(self, corresponding: Bench) -> None:
        opened(corresponding, LATE)
        claim = claim_of(corresponding)

        with corresponding.units() as uow:
            uow.mails.end(claim, claim.rows)
            uow.commit()

        assert corresponding.due(corresponding.mails()[0].id) is None
