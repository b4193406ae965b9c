"""What we need to tell somebody something: a merchant's endpoint, or a person by mail."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.delivery import Delivery, DeliveryAnswer
from domain.model.mail import Mail, MailAnswer


class DeliveryCalls(Protocol):
    """A window of deliveries under way. It raises nothing: what fails is an answer."""

    def deliver(self, delivery: Delivery) -> None:
        """Begin a try. It ends within 15 seconds."""

    def collect(self, timeout: float) -> Sequence[tuple[Delivery, DeliveryAnswer]]:
        """Wait up to `timeout` seconds for at least one try to end; return all that have ended."""

    def under_way(self, lane: int) -> int:
        """How many tries in this lane have begun and not been collected."""


class MailCalls(Protocol):
    """A window of mails under way to the one mail server. It raises nothing: what fails is an answer."""

    def send(self, mail: Mail) -> None:
        """Begin a try."""

    def collect(self, timeout: float) -> Sequence[tuple[Mail, MailAnswer]]:
        """Wait up to `timeout` seconds for at least one try to end; return all that have ended."""

    def under_way(self) -> int:
        """How many tries have begun and not been collected."""
