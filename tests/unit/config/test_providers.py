from collections.abc import Mapping
from datetime import time
from pathlib import Path

import pytest

from config.providers import ProviderSettings, Stage, load_providers, longest_call_seconds
from config.settings import UnusableSettings

SECRET = "correct-horse"
LEAST = '[providers.acme]\nbase_url = "https://pay.example"\n'
SETTLEMENT = '[providers.acme.settlement]\ntime_zone = "Europe/London"\ncut_off = "23:00"\n'
# The file in `operator.md`, word for word but for the comments.
DOCUMENTED = """
[providers.acme]
adapter = "rest"
base_url = "https://pay.example"
credentials = { token_file = "acme.token" }
timeout_seconds = 60
requests_per_second = 50
concurrency = 32
bulk = true
merchants = ["shop"]
cancellation_timeout = 3600
checkout_timeout = 120
payment_window = { crypto = 3600, fiat = 10800 }
no_record = { answers = 3, over_seconds = 900 }
currencies = { USDT = 6, ETH = 18 }

[providers.acme.cadence]
stages = [[10, 3], [30, 4], [60, 5], [300, 6], [900, 8], [3600, 24], [21600, 28]]
max_age_seconds = 604800
jitter = 0.2
watch = [[3600, 24], [86400, 6]]
watch_crypto = [[600, 144]]
networks = { bitcoin = [[60, 10], [300, 24]] }
confirmations = { bitcoin = 2 }

[providers.acme.reversals]
stages = [[30, 2], [60, 5], [300, 10], [1800, 20], [3600, 100]]
max_attempts = 200

[providers.acme.settlement]
time_zone = "Europe/London"
cut_off = "23:00"
days = 1
calendar = "GB"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.token").write_text(f"{SECRET}\n")
    return tmp_path


def read(folder: Path, text: str) -> Mapping[str, ProviderSettings]:
    file = folder / "providers.toml"
    file.write_text(text)
    return load_providers(file)


class TestTheProvidersFile:
    def test_is_understood_as_documented(self, folder: Path) -> None:
        acme = read(folder, DOCUMENTED)["acme"]

        assert acme.credentials is not None
        assert acme.credentials.token.get_secret_value() == SECRET
        assert acme.merchants == ("shop",)
        assert (acme.cancellation_timeout, acme.checkout_timeout) == (3600, 120)
        assert acme.currencies == {"USDT": 6, "ETH": 18}
        assert acme.cadence.networks == {"bitcoin": (Stage(60, 10), Stage(300, 24))}
        assert acme.cadence.confirmations == {"bitcoin": 2}
        assert acme.settlement is not None
        assert (acme.settlement.time_zone, acme.settlement.cut_off) == ("Europe/London", time(23))
        assert (acme.settlement.days, acme.settlement.calendar) == (1, "GB")

    def test_needs_only_the_address_and_defaults_to_what_is_documented(self, folder: Path) -> None:
        least = read(folder, LEAST)["acme"]
        documented = read(folder, DOCUMENTED)["acme"]

        without_default = {"credentials", "merchants", "currencies", "cancellation_timeout", "checkout_timeout"}
        same = set(ProviderSettings.model_fields) - without_default - {"settlement", "cadence"}
        assert least.model_dump(include=same) == documented.model_dump(include=same)
        assert least.cadence == documented.cadence.model_copy(update={"confirmations": {}})
        assert (least.credentials, least.merchants, least.settlement) == (None, None, None)
        assert (least.cancellation_timeout, least.checkout_timeout, least.currencies) == (None, None, {})

    def test_left_out_means_no_providers(self) -> None:
        assert load_providers(None) == {}

    def test_takes_durations_of_less_than_a_second(self, folder: Path) -> None:
        acme = read(folder, LEAST + "timeout_seconds = 0.5\n[providers.acme.cadence]\nstages = [[0.1, 3]]\n")["acme"]

        assert acme.timeout_seconds == 0.5
        assert acme.cadence.stages == (Stage(0.1, 3),)

    def test_with_stages_of_its_own_means_them_for_every_network(self, folder: Path) -> None:
        acme = read(folder, LEAST + "[providers.acme.cadence]\nstages = [[1, 3]]\n")["acme"]

        assert acme.cadence.networks == {}

    def test_takes_a_market_for_a_calendar(self, folder: Path) -> None:
        acme = read(folder, LEAST + SETTLEMENT + 'calendar = "XNYS"\n')["acme"]

        assert acme.settlement is not None
        assert acme.settlement.calendar == "XNYS"

    def test_takes_secrets_in_place_or_from_files_beside_it_and_shows_neither(self, folder: Path) -> None:
        lines = f'credentials = {{ token = "{SECRET}" }}\nevents_secret_file = "acme.token"\n'

        acme = read(folder, LEAST + lines)["acme"]

        assert acme.credentials is not None
        assert acme.credentials.token.get_secret_value() == SECRET
        assert acme.events_secret is not None
        assert acme.events_secret.get_secret_value() == SECRET
        assert SECRET not in repr(acme)

    def test_tells_the_longest_call(self, folder: Path) -> None:
        providers = read(folder, LEAST + "timeout_seconds = 90\n")

        assert longest_call_seconds(providers, notification_seconds=20) == 90
        assert longest_call_seconds({}, notification_seconds=20) == 20


def top(line: str) -> str:
    return LEAST + line


def cadence(line: str) -> str:
    return f"{LEAST}[providers.acme.cadence]\n{line}"


def reversals(line: str) -> str:
    return f"{LEAST}[providers.acme.reversals]\n{line}"


WRONG = [
    ('[providers.acme]\nadapter = "rest"', "base_url", "left out"),
    ('[providers.acme]\nbase_url = "ftp://x"', "base_url", "https://"),
    ('[providers.acme]\nbase_url = "https://"', "base_url", "host"),
    ("[providers.acme]\nbase_url = 1", "base_url", "string"),
    (top('adapter = "Re st"'), "adapter", "characters"),
    (top("credentials = {}"), "credentials.token", "left out"),
    (top('credentials = { token = "" }'), "credentials.token", "not empty"),
    (top('credentials = { token = "correct-horse\\nx" }'), "credentials.token", "one line"),
    (top('credentials = { token = "correct-horse", user = "x" }'), "credentials.user", "not a known setting"),
    (top('credentials = { token_file = "gone" }'), "credentials.token_file", "No such file"),
    (top("credentials = { token_file = 1 }"), "credentials.token_file", "path"),
    (top('credentials = { token = "x", token_file = "acme.token" }'), "credentials.token", "leave one out"),
    (top('credentials = "correct-horse"'), "credentials", "should be"),
    (top('events_secret = ""'), "events_secret", "not empty"),
    (top('events_secret_file = "gone"'), "events_secret_file", "No such file"),
    (top("timeout_seconds = 0"), "timeout_seconds", "greater than 0"),
    (top('timeout_seconds = "60"'), "timeout_seconds", "number"),
    (top("timeout_seconds = nan"), "timeout_seconds", "finite"),
    (top("timeout_seconds = 601"), "timeout_seconds", "600"),
    (top("requests_per_second = 0"), "requests_per_second", "greater than 0"),
    (top("concurrency = 0"), "concurrency", "greater than or equal to 1"),
    (top("concurrency = 1.5"), "concurrency", "integer"),
    (top("bulk = 1"), "bulk", "boolean"),
    (top("merchants = []"), "merchants", "at least 1"),
    (top('merchants = [""]'), "merchants[0]", "at least 1"),
    (top('merchants = "shop"'), "merchants", "tuple"),
    (top("cancellation_timeout = 0"), "cancellation_timeout", "greater than 0"),
    (top("checkout_timeout = -1"), "checkout_timeout", "greater than 0"),
    (top("payment_window = { crypto = 0 }"), "payment_window.crypto", "greater than 0"),
    (top("payment_window = { fiat = true }"), "payment_window.fiat", "number"),
    (top("payment_window = { cash = 1 }"), "payment_window.cash", "not a known setting"),
    (top("no_record = { answers = 0 }"), "no_record.answers", "greater than or equal to 1"),
    (top("no_record = { over_seconds = 1e12 }"), "no_record.over_seconds", "less than or equal to 315360000"),
    (top("no_record = { over_seconds = -1 }"), "no_record.over_seconds", "greater than or equal to 0"),
    (top("currencies = { USDT = 19 }"), "currencies.USDT", "18"),
    (top("currencies = { USDT = -1 }"), "currencies.USDT", "0"),
    (top("currencies = { usdt = 6 }"), "currencies.usdt", "characters"),
    (top("breaker = { failures = 0 }"), "breaker.failures", "greater than or equal to 1"),
    (top("breaker = { open_seconds = 0 }"), "breaker.open_seconds", "greater than 0"),
    (top("timeout = 60"), "timeout", "not a known setting"),
    (cadence("stages = []"), "cadence.stages", "at least 1"),
    (cadence("stages = [[1, 1], [1, 1], [0, 1]]"), "cadence.stages[2][0]", "greater than 0"),
    (cadence("stages = [[1, 0]]"), "cadence.stages[0][1]", "greater than or equal to 1"),
    (cadence("stages = [[1, 1.5]]"), "cadence.stages[0][1]", "integer"),
    (cadence("stages = [[1]]"), "cadence.stages[0][1]", "left out"),
    (cadence("stages = [[1, 2, 3]]"), "cadence.stages[0]", "too many items"),
    (cadence("stages = [60]"), "cadence.stages[0]", "[delay in seconds, how many times]"),
    (cadence("stages = [[1e308, 5]]"), "cadence.stages[0][0]", "less than or equal to 315360000"),
    (cadence("max_age_seconds = 3e9"), "cadence.max_age_seconds", "less than or equal to 315360000"),
    (cadence("max_age_seconds = 0"), "cadence.max_age_seconds", "greater than 0"),
    (cadence("jitter = 0.95"), "cadence.jitter", "0.9"),
    (cadence("jitter = -0.1"), "cadence.jitter", "0"),
    (cadence("watch = []"), "cadence.watch", "at least 1"),
    (cadence("watch_crypto = [[0, 1]]"), "cadence.watch_crypto[0][0]", "greater than 0"),
    (cadence("networks = { bitcoin = [] }"), "cadence.networks.bitcoin", "at least 1"),
    (cadence("networks = { Bitcoin = [[1, 1]] }"), "cadence.networks.Bitcoin", "characters"),
    (cadence("confirmations = { bitcoin = -1 }"), "cadence.confirmations.bitcoin", "0"),
    (cadence("stage = []"), "cadence.stage", "not a known setting"),
    (reversals("stages = []"), "reversals.stages", "at least 1"),
    (reversals("max_attempts = 1"), "reversals.max_attempts", "greater than or equal to 2"),
    (LEAST + SETTLEMENT.replace("London", "Londinium"), "settlement.time_zone", "time zone"),
    (LEAST + SETTLEMENT.replace("23:00", "24:00"), "settlement.cut_off", "time of day"),
    (LEAST + SETTLEMENT.replace('"23:00"', "23"), "settlement.cut_off", "time of day"),
    (LEAST + SETTLEMENT + "days = -1", "settlement.days", "0"),
    (LEAST + SETTLEMENT + 'calendar = "Narnia"', "settlement.calendar", "holidays"),
    (LEAST + SETTLEMENT + "day = 1", "settlement.day", "not a known setting"),
]


class TestAnUnusableFieldOfAProvider:
    @pytest.mark.parametrize(("text", "field", "reason"), WRONG)
    def test_is_refused_by_its_place_and_reason_on_one_line_without_a_secret(
        self, folder: Path, text: str, field: str, reason: str
    ) -> None:
        with pytest.raises(UnusableSettings) as refused:
            read(folder, text)

        line = str(refused.value)
        assert line.startswith(f"providers.acme.{field}: ")
        assert reason in line
        assert "\n" not in line
        assert SECRET not in line
        assert ";" not in line

    def test_of_each_name_is_among_these_examples(self) -> None:
        tried = {field.partition(".")[0].partition("[")[0] for _, field, _ in WRONG}

        assert set(ProviderSettings.model_fields) <= tried

    @pytest.mark.parametrize("name", ["Acme", "a.b", "a b", "ü", "a" * 65])
    def test_may_be_its_name(self, folder: Path, name: str) -> None:
        with pytest.raises(UnusableSettings, match=r"^providers\..*: has characters"):
            read(folder, LEAST.replace("acme", f'"{name}"'))


class TestAnUnusableProvidersFile:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "no [providers.NAME]"),
            ("[providers]", "no [providers.NAME]"),
            ("providers = 3", "providers: should be"),
            ("[providers", "is not TOML"),
            (LEAST + "[provider.acme]", "provider: is not a known setting"),
            ("[providers]\nacme = 3", "providers.acme: "),
        ],
    )
    def test_is_refused_on_one_line(self, folder: Path, text: str, reason: str) -> None:
        with pytest.raises(UnusableSettings) as refused:
            read(folder, text)

        assert reason in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_is_refused_by_the_name_of_the_setting_where_it_cannot_be_read(self, folder: Path) -> None:
        with pytest.raises(UnusableSettings, match=r"^TRUEUP_PROVIDERS: .*No such file"):
            load_providers(folder / "gone.toml")

    def test_is_refused_where_it_is_not_text(self, folder: Path) -> None:
        (folder / "providers.toml").write_bytes(b"\xff")

        with pytest.raises(UnusableSettings, match=r"^TRUEUP_PROVIDERS: "):
            load_providers(folder / "providers.toml")
