"""Where log lines go and what they look like: one dotted event for each outcome, on stderr.

Ids are bound with `structlog.contextvars` at the start of a task or request, and stand on every line until it ends.
"""

import logging
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import Processor

# At INFO these say on every connection or message what nobody asked.
_TALKATIVE: Final = ("amqp", "kombu", "urllib3", "asyncio", "aiohttp.access", "alembic.runtime.plugins")

_STAMPS: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def configure(
    level: str = "INFO", fmt: Literal["json", "console"] = "console", *, stream: TextIO | None = None
) -> None:
    """Send every line, ours and the libraries', to stderr in one form; a second call replaces the first."""
    target = stream or sys.stderr
    lines = logging.StreamHandler(target)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_STAMPS, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(fmt, target)],
        )
    )
    logging.basicConfig(level=level, handlers=[lines], force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_STAMPS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _rendering(fmt: Literal["json", "console"], target: TextIO) -> list[Processor]:
    if fmt == "json":
        # A traceback is text: the structured kind would carry the local variables, and with them secrets.
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    colours = target.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
