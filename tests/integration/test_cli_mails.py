"""Mails from the command line: chosen, kept, shown, and sent once more."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.integration.command_line import Trueup
from tests.integration.store import Store

ADD = ("--name", "The Shop", "--email", "ops@shop.example", "--callback-url", "https://shop.example/hooks")


@pytest.fixture
def shop(trueup: Trueup) -> Trueup:
    trueup("merchant", "add", "shop", *ADD)
    return trueup


def terms(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT mail_name, mail_sender, mail_link, mail_statuses FROM merchants")
        return dict(found.mappings().one())


class TestAMerchant:
    def test_hears_by_mail_of_cases_alone_unless_it_chooses(self, shop: Trueup, engine: Engine) -> None:
        before = terms(engine)

        shop("merchant", "set", "shop", "--mail-status", "PAID", "--mail-status", "CANCELED")

        assert before["mail_statuses"] == []
        assert terms(engine)["mail_statuses"] == ["CANCELED", "PAID"]

    def test_may_brand_its_mails_and_take_that_back(self, shop: Trueup, engine: Engine) -> None:
        link = "https://shop.example/orders/{order}"
        brand = ("--mail-name", "Der Läden", "--mail-sender", "desk@shop.example", "--mail-link", link)

        shop("merchant", "set", "shop", *brand, "--mail-status", "PAID")
        branded = terms(engine)
        shop("merchant", "set", "shop", "--no-mail-brand", "--no-mail-statuses")

        assert branded == {
            "mail_name": "Der Läden",
            "mail_sender": "desk@shop.example",
            "mail_link": link,
            "mail_statuses": ["PAID"],
        }
        assert terms(engine) == {"mail_name": None, "mail_sender": None, "mail_link": None, "mail_statuses": []}

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--mail-name", "Shop\r\nBcc: thief@evil.example"),
            ("--mail-sender", "nobody"),
            ("--mail-sender", "a@b.example\nBcc: c@d.example"),
            ("--mail-link", "javascript:alert(1)"),
            ("--mail-link", "http://shop.example"),
            ("--mail-link", "https://shop.example/{orders}"),
            ("--mail-link", "https://shop.example/{order}/{0}"),
            ("--mail-link", "https://shop.example/{order"),
            ("--mail-status", "LOST"),
            ("--email", "ops@shop.example\r\nRCPT"),
            ("--email", '"ops"@shop.example'),
        ],
    )
    def test_is_told_what_cannot_be_used(self, shop: Trueup, option: str, value: str) -> None:
        shop("merchant", "set", "shop", option, value, status=2)

        assert option in shop.complaint

    def test_cannot_be_told_two_things_at_once(self, shop: Trueup) -> None:
        shop("merchant", "set", "shop", "--no-mail-brand", "--mail-name", "x", status=2)
        shop("merchant", "set", "shop", "--no-mail-statuses", "--mail-status", "PAID", status=2)


class TestAMail:
    @pytest.fixture
    def late(self, trueup: Trueup, engine: Engine) -> Trueup:
        """A merchant that is to be mailed of one order."""
        store = Store(engine)
        trueup("merchant", "set", "shop", "--email", "ops@shop.example", "--mail-status", "NEW")
        store.register("A-1")
        return trueup

    def test_is_kept_and_shown_where_no_server_is_set(self, late: Trueup, providers: None) -> None:  # noqa: ARG002
        late("drain", "--queue", "notifications")

        [listed] = late.json("mails", "list", "--state", "kept")
        shown = late.json("mails", "show", str(listed["id"]))
        assert (listed["order"], listed["recipient"], listed["next_try"]) == ("A-1", "ops@shop.example", None)
        assert "TRUEUP_SMTP_URL" in listed["error"]
        assert "order A-1 is NEW" in shown["text"]
        assert "A-1" in shown["html"]
        assert "order A-1 is NEW" in late("mails", "show", str(listed["id"]))
        late("verify")

    def test_is_sent_again_when_somebody_asks_for_it(self, late: Trueup, providers: None) -> None:  # noqa: ARG002
        late("drain", "--queue", "notifications")
        [kept] = late.json("mails", "list")

        late("mails", "send-again", str(kept["id"]))

        [again] = late.json("mails", "list")
        assert (again["state"], again["tries"]) == ("waiting", 0)
        assert again["next_try"] is not None
        late("verify")

    def test_is_asked_for_by_a_number_that_is_known(self, late: Trueup) -> None:
        late("mails", "show", "999999", status=2)
        late("mails", "send-again", "999999", status=2)
        assert late.json("mails", "list", "--merchant", "nobody") == []
