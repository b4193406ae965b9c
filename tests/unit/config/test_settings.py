from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import Address, Settings, UnusableSettings, describe, load

SECRET = "correct-horse"


class TestSettings:
    def test_have_the_documented_defaults_where_nothing_is_set(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        settings = load({})

        assert (settings.database_url, settings.broker_url, settings.smtp_url) == (None, None, None)
        assert (settings.providers, settings.admin_key) == (None, None)
        assert settings.home == tmp_path / ".trueup"
        assert (str(settings.http_address), str(settings.flower_address)) == ("127.0.0.1:8080", "127.0.0.1:5555")
        assert (settings.sweep_seconds, settings.lease_seconds, settings.drain_seconds) == (1, 30, 15)
        assert (settings.callback_allow_hosts, settings.callback_seconds) == ((), 15)

    def test_come_from_the_process_environment_unless_another_is_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRUEUP_SWEEP_SECONDS", "0.2")

        assert load().sweep_seconds == 0.2

    def test_leave_what_is_not_ours_alone(self) -> None:
        assert load({"PATH": "/bin", "CELERY_BROKER_URL": "nonsense"}).broker_url is None

    def test_cannot_be_changed(self) -> None:
        settings = load({})

        with pytest.raises(ValidationError):
            settings.sweep_seconds = 5

    @pytest.mark.parametrize(
        "url",
        [
            "redis://:pw@cache:6379/1",
            "rediss://cache",
            "amqp://guest:guest@rabbit//",
            "amqps://rabbit:5671/vhost",
            "redis+socket:///run/valkey.sock?virtual_host=1",
        ],
    )
    def test_take_every_documented_broker(self, url: str) -> None:
        broker = load({"TRUEUP_BROKER_URL": url}).broker_url

        assert broker is not None
        assert broker.get_secret_value() == url

    @pytest.mark.parametrize(
        ("url", "understood"),
        [
            ("postgresql://u:pw@db:5432/trueup", "postgresql://u:pw@db:5432/trueup"),
            ("postgres://u@db/trueup", "postgresql://u@db/trueup"),
            ("postgresql:///trueup?host=/run/pg", "postgresql:///trueup?host=/run/pg"),
        ],
    )
    def test_take_a_database_by_network_or_socket(self, url: str, understood: str) -> None:
        database = load({"TRUEUP_DATABASE_URL": url}).database_url

        assert database is not None
        assert database.get_secret_value() == understood

    @pytest.mark.parametrize(("text", "address"), [("[::1]:80", ("::1", 80)), ("0.0.0.0:8443", ("0.0.0.0", 8443))])
    def test_take_addresses_to_listen_on(self, text: str, address: tuple[str, int]) -> None:
        found = load({"TRUEUP_HTTP_ADDRESS": text}).http_address

        assert found == Address(*address)
        assert str(found) == text

    @pytest.mark.parametrize("text", ["127.0.0.1,shop.test", '["127.0.0.1", "shop.test"]', " 127.0.0.1 , shop.test "])
    def test_take_hosts_as_a_list_or_between_commas(self, text: str) -> None:
        assert load({"TRUEUP_CALLBACK_ALLOW_HOSTS": text}).callback_allow_hosts == ("127.0.0.1", "shop.test")

    def test_shorten_the_drain_with_its_lease(self) -> None:
        assert load({"TRUEUP_LEASE_SECONDS": "2"}).drain_seconds == 1


WRONG = [
    ("TRUEUP_DATABASE_URL", "mysql://u:correct-horse@db/x", "postgresql://"),
    ("TRUEUP_DATABASE_URL", "postgresql://u:correct-horse@db:port/x", "port"),
    ("TRUEUP_DATABASE_URL", "postgresql://", "neither"),
    ("TRUEUP_DATABASE_URL", "correct-horse", "postgresql://"),
    ("TRUEUP_BROKER_URL", "kafka://u:correct-horse@k", "redis://"),
    ("TRUEUP_BROKER_URL", "redis://", "host"),
    ("TRUEUP_BROKER_URL", "redis:correct-horse", "//"),
    ("TRUEUP_BROKER_URL", "redis+socket://", "path"),
    ("TRUEUP_BROKER_URL", "amqp://h:99999", "port"),
    ("TRUEUP_BROKER_URL", "amqp://correct horse", "blanks"),
    ("TRUEUP_HOME", "/dev/null", "not a folder"),
    ("TRUEUP_PROVIDERS", "/no/such.toml", "no such file"),
    ("TRUEUP_PROVIDERS", "/tmp", "no such file"),
    ("TRUEUP_SMTP_URL", "http://u:correct-horse@mail", "smtp://"),
    ("TRUEUP_SMTP_URL", "smtp://", "host"),
    ("TRUEUP_SMTP_URL", "smtp://me:correct-horse@mail?tls=no", "starttls"),
    ("TRUEUP_SMTP_URL", "smtp://me:correct-horse@mail/box", "path"),
    ("TRUEUP_MAIL_FROM", "Trueup <trueup@shop.example>", "ops@shop.example"),
    ("TRUEUP_MAIL_FROM", "trueup@shop.example\r\nBcc: a@b.example", "ops@shop.example"),
    ("TRUEUP_OPERATOR_EMAIL", "nobody", "ops@shop.example"),
    ("TRUEUP_MAIL_SECONDS", "121", "120"),
    ("TRUEUP_HTTP_REQUESTS_PER_SECOND", "0", "greater than 0"),
    ("TRUEUP_ADMIN_KEY", "correct-horse battery", "blanks"),
    ("TRUEUP_ADMIN_KEY", "correct-horse-é", "ASCII"),
    ("TRUEUP_HTTP_ADDRESS", "8080", "host:port"),
    ("TRUEUP_HTTP_ADDRESS", ":8080", "host:port"),
    ("TRUEUP_HTTP_ADDRESS", "127.0.0.1:http", "port"),
    ("TRUEUP_HTTP_ADDRESS", "127.0.0.1:0", "65535"),
    ("TRUEUP_HTTP_ADDRESS", "::1:8080", "host:port"),
    ("TRUEUP_FLOWER_ADDRESS", "127.0.0.1:70000", "65535"),
    ("TRUEUP_SWEEP_SECONDS", "0", "greater than 0"),
    ("TRUEUP_SWEEP_SECONDS", "-1", "greater than 0"),
    ("TRUEUP_SWEEP_SECONDS", "soon", "number"),
    ("TRUEUP_SWEEP_SECONDS", "nan", "finite"),
    ("TRUEUP_SWEEP_SECONDS", "inf", "finite"),
    ("TRUEUP_LEASE_SECONDS", "0", "greater than 0"),
    ("TRUEUP_LEASE_SECONDS", "0.1", "too short"),
    ("TRUEUP_LEASE_SECONDS", "86400", "less than or equal to 600"),
    ("TRUEUP_CALLBACK_ALLOW_HOSTS", "http://127.0.0.1", "without scheme"),
    ("TRUEUP_CALLBACK_ALLOW_HOSTS", "127.0.0.1:80,", "hosts"),
    ("TRUEUP_CALLBACK_ALLOW_HOSTS", '["127.0.0.1"', "JSON"),
    ("TRUEUP_CALLBACK_ALLOW_HOSTS", "[1]", "strings"),
    ("TRUEUP_DRAIN_SECONDS", "0", "greater than 0"),
    ("TRUEUP_DRAIN_SECONDS", "30", "too short"),
    ("TRUEUP_WAVE_SECONDS", "0", "greater than 0"),
    ("TRUEUP_WAVE_SECONDS", "20", "too short"),
    ("TRUEUP_WAVE_SIZE", "0", "greater than or equal to 1"),
    ("TRUEUP_WAVE_SIZE", "1.5", "integer"),
    ("TRUEUP_CALLBACK_SECONDS", "121", "less than or equal to 120"),
    ("TRUEUP_INTAKE_QUEUE_TYPE", "classic", "'default' or 'quorum'"),
    ("TRUEUP_WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
    ("TRUEUP_LOG_LEVEL", "LOUD", "'INFO'"),
    ("TRUEUP_LOG_FORMAT", "xml", "'json' or 'console'"),
    ("TRUEUP_SANITY_SWEEP", "daily", "five fields"),
    ("TRUEUP_SANITY_SWEEP", "0 24 * * *", "within 0 to 23"),
    ("TRUEUP_SANITY_SWEEP", "0 0 30 2 *", "never comes"),
    ("TRUEUP_RETENTION_DAYS", "29", "greater than or equal to 30"),
    ("TRUEUP_RETENTION_DAYS", "never", "integer"),
    ("TRUEUP_SWEEP_SECOND", "1", "not a known setting"),
    ("TRUEUP_WAVE__SIZE", "1", "not a known setting"),
    ("trueup_wave_size", "1", "not a known setting"),
]


class TestAnUnusableSetting:
    @pytest.mark.parametrize(("name", "text", "reason"), WRONG)
    def test_is_refused_by_name_and_reason_on_one_line_without_its_value(
        self, name: str, text: str, reason: str
    ) -> None:
        with pytest.raises(UnusableSettings) as refused:
            load({name: text})

        line = str(refused.value)
        assert name in line
        assert reason in line
        assert "\n" not in line
        assert SECRET not in line

    @pytest.mark.parametrize("field", Settings.model_fields)
    def test_is_refused_when_empty(self, field: str) -> None:
        name = f"TRUEUP_{field}".upper()

        with pytest.raises(UnusableSettings, match=f"^{name}: is empty"):
            load({name: " "})

    def test_of_each_name_is_among_these_examples(self) -> None:
        tried = {name for name, *_ in WRONG}

        assert {f"TRUEUP_{field}".upper() for field in Settings.model_fields} <= tried

    def test_is_named_beside_the_others(self) -> None:
        with pytest.raises(UnusableSettings, match=r"^TRUEUP_SWEEP_SECONDS: .*; TRUEUP_WAVE_SIZE: [^;]*$"):
            load({"TRUEUP_SWEEP_SECONDS": "x", "TRUEUP_WAVE_SIZE": "x"})

    def test_does_not_drag_in_the_settings_that_follow_from_it(self) -> None:
        with pytest.raises(UnusableSettings, match=r"^TRUEUP_LEASE_SECONDS: [^;]*$"):
            load({"TRUEUP_LEASE_SECONDS": "x"})

    def test_with_a_name_of_two_lines_is_still_refused_on_one(self) -> None:
        with pytest.raises(UnusableSettings) as refused:
            load({"TRUEUP_A\nB": "1"})

        assert "\n" not in str(refused.value)


class TestASettingInAFile:
    def test_has_the_content_of_the_file_without_blanks_around_it(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(f"{SECRET}\n")

        settings = load({"TRUEUP_ADMIN_KEY_FILE": str(tmp_path / "key")})

        assert settings.admin_key is not None
        assert settings.admin_key.get_secret_value() == SECRET

    def test_is_refused_beside_the_same_setting(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(SECRET)

        with pytest.raises(UnusableSettings, match=r"^TRUEUP_ADMIN_KEY: .*TRUEUP_ADMIN_KEY_FILE"):
            load({"TRUEUP_ADMIN_KEY": "x", "TRUEUP_ADMIN_KEY_FILE": str(tmp_path / "key")})

    def test_is_refused_where_the_file_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableSettings, match=r"^TRUEUP_ADMIN_KEY_FILE: cannot be read: No such file"):
            load({"TRUEUP_ADMIN_KEY_FILE": str(tmp_path / "gone")})

    def test_is_refused_where_the_file_is_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"\xff\xfe")

        with pytest.raises(UnusableSettings, match=r"^TRUEUP_ADMIN_KEY_FILE: .*UTF-8"):
            load({"TRUEUP_ADMIN_KEY_FILE": str(tmp_path / "key")})

    def test_is_refused_where_the_file_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("\n")

        with pytest.raises(UnusableSettings, match=r"^TRUEUP_ADMIN_KEY_FILE: is empty"):
            load({"TRUEUP_ADMIN_KEY_FILE": str(tmp_path / "key")})

    def test_is_refused_by_the_name_of_the_file_where_its_content_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text(f"mysql://u:{SECRET}@db")

        with pytest.raises(UnusableSettings, match=r"^TRUEUP_DATABASE_URL_FILE: should begin") as refused:
            load({"TRUEUP_DATABASE_URL_FILE": str(tmp_path / "url")})

        assert SECRET not in str(refused.value)


class TestTheSettingsInForce:
    def test_are_shown_with_where_they_came_from(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(SECRET)
        key_file = str(tmp_path / "key")

        shown = {
            name: (value, origin)
            for name, value, origin in describe(
                load({"TRUEUP_SWEEP_SECONDS": "2", "TRUEUP_ADMIN_KEY_FILE": key_file, "TRUEUP_LOG_LEVEL": "info"})
            )
        }

        assert len(shown) == len(Settings.model_fields)
        assert shown["TRUEUP_SWEEP_SECONDS"] == ("2.0", "environment")
        assert shown["TRUEUP_ADMIN_KEY"] == ("***", f"file {key_file}")
        assert shown["TRUEUP_LEASE_SECONDS"] == ("30.0", "default")
        assert shown["TRUEUP_LOG_LEVEL"] == ("INFO", "environment")

    @pytest.mark.parametrize(
        ("name", "url", "shown"),
        [
            ("TRUEUP_DATABASE_URL", f"postgresql://u:{SECRET}@db/x", "postgresql://u:***@db/x"),
            (
                "TRUEUP_DATABASE_URL",
                f"postgresql:///x?host=/run&password={SECRET}",
                "postgresql:///x?host=/run&password=***",
            ),
            ("TRUEUP_BROKER_URL", f"redis://:{SECRET}@cache/0", "redis://:***@cache/0"),
            ("TRUEUP_BROKER_URL", "redis+socket:///run/v.sock", "redis+socket:///run/v.sock"),
            ("TRUEUP_SMTP_URL", f"smtps://me%40x:{SECRET}@mail:465", "smtps://me%40x:***@mail:465"),
        ],
    )
    def test_hide_passwords_and_nothing_else_of_an_address(self, name: str, url: str, shown: str) -> None:
        settings = load({name: url})

        assert {known: value for known, value, _ in describe(settings)}[name] == shown
        assert SECRET not in repr(settings)
