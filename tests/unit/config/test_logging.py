import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from config.logging import configure


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class TestALogLine:
    def test_is_one_event_with_its_ids_as_json(self) -> None:
        stream = io.StringIO()
        configure("INFO", "json", stream=stream)
        structlog.contextvars.bind_contextvars(order="A-1", trace="t")

        structlog.get_logger("ours").info("order.moved", to="PAID")

        line = json.loads(stream.getvalue())
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "event": "order.moved",
            "to": "PAID",
            "order": "A-1",
            "trace": "t",
            "level": "info",
            "logger": "ours",
        }

    def test_of_a_library_looks_like_ours(self) -> None:
        stream = io.StringIO()
        configure("INFO", "json", stream=stream)
        structlog.contextvars.bind_contextvars(trace="t")

        logging.getLogger("celery.worker").warning("lost %s", "it")

        line = json.loads(stream.getvalue())
        assert (line["event"], line["logger"], line["level"]) == ("lost it", "celery.worker", "warning")
        assert line["trace"] == "t"

    def test_holds_a_traceback_without_the_local_variables(self) -> None:
        stream = io.StringIO()
        configure("INFO", "json", stream=stream)
        password = "correct-" + "horse"

        try:
            dict[int, str]()[len(password)]
        except KeyError:
            structlog.get_logger("ours").exception("drain.failed")

        assert "KeyError: 13" in json.loads(stream.getvalue())["exception"]
        assert "correct-horse" not in stream.getvalue()

    def test_stays_on_one_line_whatever_it_holds(self) -> None:
        stream = io.StringIO()
        configure("INFO", "json", stream=stream)

        structlog.get_logger("ours").info("message.refused", reason="a\nb", what={1, 2}.__class__)

        assert stream.getvalue().count("\n") == 1

    def test_is_for_people_on_a_console(self) -> None:
        stream = io.StringIO()
        configure("INFO", "console", stream=stream)

        structlog.get_logger("ours").info("order.moved", to="PAID")

        assert "order.moved" in stream.getvalue()
        assert "to=PAID" in stream.getvalue()
        assert "\x1b" not in stream.getvalue()

    def test_below_the_level_is_not_written(self) -> None:
        stream = io.StringIO()
        configure("WARNING", "json", stream=stream)

        structlog.get_logger("ours").info("order.moved")
        logging.getLogger("celery").info("ready")
        logging.getLogger("kombu").error("gone")

        assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["gone"]

    def test_is_written_once_however_often_logging_is_configured(self) -> None:
        first, second = io.StringIO(), io.StringIO()
        configure("INFO", "json", stream=first)
        configure("INFO", "json", stream=second)

        structlog.get_logger("ours").info("order.moved")

        assert first.getvalue() == ""
        assert second.getvalue().count("\n") == 1

    def test_tells_of_warnings_too(self) -> None:
        stream = io.StringIO()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            configure("INFO", "json", stream=stream)
            warnings.warn("old way", stacklevel=1)
            logging.captureWarnings(capture=False)

        assert "old way" in json.loads(stream.getvalue())["event"]
