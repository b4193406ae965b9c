"""`python -m adapters.http`: one process that serves HTTP until it is asked to end."""

import signal
import sys

import uvicorn

from adapters.bootstrap import open_application
from adapters.http.app import make_app
from adapters.http.desk import Desk, webhook_of
from adapters.http.protocol import ProblemProtocol
from adapters.persistence.keys import Budget
from adapters.providers import providers_of
from config import logging
from config.kept import ADMIN_KEY, kept_secret
from config.settings import Settings, UnusableSettings, load

_CONNECTIONS = 8
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 20


def main() -> int:
    try:
        settings = load()
        logging.configure(settings.log_level, settings.log_format)
        _serve(settings)
    except UnusableSettings as error:
        print(f"trueup: {error}", file=sys.stderr)  # noqa: T201 - as the command line says it
        return 2
    return 0


def _serve(settings: Settings) -> None:
    providers = providers_of(settings.providers)
    webhooks = {name: webhook_of(name, provider) for name, provider in providers.items()}
    application = open_application(settings, role="trueup-api", connections=_CONNECTIONS, answers=True)
    per_second = settings.http_requests_per_second
    key = settings.admin_key.get_secret_value() if settings.admin_key else kept_secret(settings.home, ADMIN_KEY)
    desk = Desk(
        application=application,
        admin_key=key,
        budget=Budget(per_second=per_second, at_once=max(1.0, 2 * per_second)),
        webhooks=webhooks,
    )
    for ending in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends by it, and then gives it to us once more: by then it has been done.
        signal.signal(ending, signal.SIG_IGN)
    try:
        uvicorn.run(
            make_app(desk, threads=_CONNECTIONS),
            http=ProblemProtocol,
            host=settings.http_address.host,
            port=settings.http_address.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    finally:
        application.close()


if __name__ == "__main__":
    sys.exit(main())
