"""Callbacks to merchants' endpoints, by the Standard Webhooks specification (standardwebhooks.com)."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from functools import lru_cache
from typing import Final, TypeAlias

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from adapters.notifications.addresses import is_allowed, is_public, refusal_of
from adapters.transport import Failure, Request, Response, Transport
from domain.model.delivery import Delivery, DeliveryAnswer

TIMEOUT_SECONDS: Final = 15.0
CONNECT_SECONDS: Final = 5.0
LARGEST_ANSWER: Final = 64 * 1024  # nothing in it is of use, so more is not even fetched

OK: Final = range(200, 300)
GONE: Final = 410
WITH_A_DELAY: Final = frozenset({429, 503})

_Tag: TypeAlias = tuple[Delivery, float]


class CallbackCalls:
    """A `domain.ports.notifier.DeliveryCalls` over HTTP.

    Callbacks go to public https addresses only, or to `allow_hosts` (lower case), in whatever way. The transport must
    be its own: connections are kept by host, and another's would not have been guarded.
    """

    def __init__(
        self,
        *,
        allow_hosts: frozenset[str] = frozenset(),
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: Transport | None = None,
    ) -> None:
        self._allow_hosts = allow_hosts
        self._timeout = timeout_seconds
        self._transport = transport or Transport()
        self._under_way: Counter[int] = Counter()
        self._unsent: list[tuple[Delivery, DeliveryAnswer]] = []

    def deliver(self, delivery: Delivery) -> None:
        """Begin a try. One that may not be sent ends with the next `collect`."""
        self._under_way[delivery.lane] += 1
        why = _refusal_of(delivery.url, self._allow_hosts)
        if why is None:
            try:
                headers = headers_of(delivery)
            except (ValueError, EmptyWebhookSecretError):
                why = "it cannot be signed: there is no secret that can be read"
            else:
                self._transport.start(self._request(delivery, headers), (delivery, time.monotonic()))
                return
        self._unsent.append((delivery, DeliveryAnswer(delivered=False, why=why)))

    def collect(self, timeout: float) -> Sequence[tuple[Delivery, DeliveryAnswer]]:
        """Wait up to `timeout` seconds for at least one try to end; return all that have ended."""
        ended, self._unsent = self._unsent, []
        tag: _Tag
        for tag, end in self._transport.collect(0.0 if ended else timeout):
            delivery, begun = tag
            ended.append((delivery, answer_of(end, milliseconds=round((time.monotonic() - begun) * 1000))))
        for delivery, _answer in ended:
            self._under_way[delivery.lane] -= 1
        return ended

    def under_way(self, lane: int) -> int:
        """How many tries in this lane have begun and not been collected."""
        return self._under_way[lane]

    def close(self) -> None:
        """Break off what is under way and close every connection."""
        self._transport.close()
        self._under_way.clear()
        self._unsent.clear()

    def _request(self, delivery: Delivery, headers: tuple[str, ...]) -> Request:
        return Request(
            "POST",
            delivery.url,
            headers,
            delivery.body,
            timeout=self._timeout,
            connect_timeout=min(CONNECT_SECONDS, self._timeout),
            max_bytes=LARGEST_ANSWER,
            address_guard=None if _is_allowed(delivery.url, self._allow_hosts) else is_public,
        )


def headers_of(delivery: Delivery) -> tuple[str, ...]:
    """Return the header lines of a try, signed with every secret.

    Raises:
        ValueError, EmptyWebhookSecretError: there is no secret, or one of them cannot be read.
    """
    if not delivery.secrets:
        raise ValueError("no secret")
    at = delivery.at.astimezone(UTC)  # the library takes any time for UTC
    text = delivery.body.decode()
    signatures = [_signer(secret).sign(delivery.event, at, text) for secret in delivery.secrets]
    return (
        "Content-Type: application/json",
        "User-Agent: Trueup",
        f"webhook-id: {delivery.event}",
        f"webhook-timestamp: {int(at.timestamp())}",
        f"webhook-signature: {' '.join(signatures)}",
    )


def answer_of(end: Response | Failure, *, milliseconds: int) -> DeliveryAnswer:
    """Return what the end of a call means: the status decides, and only a whole answer or one too long has one."""
    status = end.status
    if status is None or (isinstance(end, Failure) and end.kind != "too_large"):
        why = end.why if isinstance(end, Failure) else None
        return DeliveryAnswer(delivered=False, status=status, why=why, whole=status is None, milliseconds=milliseconds)
    if status in OK:
        return DeliveryAnswer(delivered=True, status=status, milliseconds=milliseconds)
    return DeliveryAnswer(
        delivered=False,
        status=status,
        why=f"HTTP {status}",
        retry_after=end.retry_after if isinstance(end, Response) and status in WITH_A_DELAY else None,
        gone=status == GONE,
        milliseconds=milliseconds,
    )


# A worker meets the same endpoints again and again
_refusal_of = lru_cache(maxsize=4096)(refusal_of)
_is_allowed = lru_cache(maxsize=4096)(is_allowed)


@lru_cache(maxsize=4096)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)
