"""Kombu's Redis transport, for readers of lists that anybody can write to.

As it comes, one entry that is no message of kombu's ends the whole worker, and is lost: it has been popped by then.
"""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from workers.admission import envelope

log = structlog.get_logger(__name__)


class Channel(kombu_redis.Channel):
    _shared: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        if asynchronous:
            client = super()._create_client(asynchronous)
            client.set_response_callback("BRPOP", self._readable)
            return client
        # As it comes, a client is made for each message and each acknowledgement: a tenth of the time in which a worker
        # hands out small tasks. They hold nothing but the pool, which they share.
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client(asynchronous)
        return self._shared

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        # As it comes, a channel whose connection was given up fails with an AttributeError, for which nobody connects
        # anew: it ends a worker that acknowledges what it took before its broker died, and every tick of a beat.
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the broker's connection has been closed")
        return super()._connparams(asynchronous)

    def _readable(self, popped: Sequence[bytes] | None, **_options: object) -> tuple[bytes, bytes] | None:
        """Return (list, entry) as Redis gave them, or with the entry put into a message that has it kept."""
        if not popped:
            return None
        source, entry = popped
        try:
            self._check(loads(bytes_to_str(entry)))
        except Exception as error:  # noqa: BLE001 - bytes of anybody's fail in any way, and none may end the worker
            queue = bytes_to_str(source).rsplit(self.sep, 1)[0]
            why = f"it is no message of Celery's: {type(error).__name__}: {error}"[:500]
            log.warning("message.unreadable", queue=queue, why=why)
            return source, dumps(envelope(queue, entry, why)).encode()
        return source, entry

    def _check(self, raw: Any) -> None:
        """Do with it what the channel will do next, and what cannot be undone once it has begun."""
        message = self.Message(raw, channel=self)
        place = message.delivery_info
        if not all(isinstance(text, str) for text in (message.delivery_tag, place["exchange"], place["routing_key"])):
            raise TypeError("its place at the broker is not written in strings")

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        try:
            self.Message(message, channel=self)
        except Exception as error:  # noqa: BLE001 - as above; a remote control command is nothing to keep
            log.warning("control.unreadable", error=f"{type(error).__name__}: {error}")
            return False
        return super()._deliver_fanout_message(message, exchange)


class Transport(kombu_redis.Transport):
    Channel = Channel


def install() -> None:
    """Read Redis by this transport, in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
