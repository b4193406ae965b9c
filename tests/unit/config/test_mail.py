import pytest

from config.mail import MailServer, checked_address


class TestAMailServer:
    @pytest.mark.parametrize(
        ("url", "server"),
        [
            ("smtp://mail.example", MailServer(host="mail.example", port=587)),
            ("smtp://mail.example:25", MailServer(host="mail.example", port=25)),
            ("smtps://mail.example", MailServer(host="mail.example", port=465, tls=True)),
            (
                "smtp://me%40shop.example:p%2Fw%3A@mail.example",
                MailServer(host="mail.example", port=587, user="me@shop.example", password="p/w:"),
            ),
            ("smtp://[::1]:2525?starttls=never", MailServer(host="::1", port=2525, starttls="never")),
        ],
    )
    def test_is_read_from_its_url(self, url: str, server: MailServer) -> None:
        assert MailServer.parse(url) == server

    @pytest.mark.parametrize(
        ("url", "needed"),
        [
            ("smtp://mail.example", False),
            ("smtp://mail.example?starttls=always", True),
            ("smtp://me:secret@mail.example", True),
            ("smtp://me:secret@mail.example?starttls=never", False),
            ("smtp://me:secret@127.0.0.1:2525", False),
            ("smtp://me:secret@127.0.0.1:2525?starttls=always", True),
            ("smtps://me:secret@mail.example", False),
        ],
    )
    def test_is_told_a_password_only_where_nobody_listens(self, url: str, needed: bool) -> None:  # noqa: FBT001
        assert MailServer.parse(url).needs_starttls is needed

    def test_does_not_show_its_password(self) -> None:
        assert "secret" not in repr(MailServer.parse("smtp://me:secret@mail.example"))


class TestAnAddress:
    @pytest.mark.parametrize(
        "address", ["ops@shop.example", "a.b+c@shop.example", "x@localhost", "ops@läden.example", "o'x@a-b.example"]
    )
    def test_is_one(self, address: str) -> None:
        assert checked_address(address) == address

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "nobody",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a@b\n",
            "a\r\nBcc: x@y@z",
            "<a@b>",
            "A <a@b>",
            '"a"@b',
            "a@[127.0.0.1]",
            "a..b@c",
            ".a@c",
            "a@-c",
            "a@c..d",
            "ö@c",
            "a,b@c",
            "a" * 250 + "@b.example",
        ],
    )
    def test_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no address"):
            checked_address(text)
