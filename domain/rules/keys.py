"""Idempotency keys: each names one intended effect, the same on every retry (I3)."""

import hashlib
import re
from typing import Final, Protocol

_PLAIN: Final = re.compile(r"[!-~]{1,200}")


class Payment(Protocol):
    """What a payment is known by."""

    @property
    def provider(self) -> str: ...
    @property
    def reference(self) -> str: ...


def key_of(meant: str, payment: Payment, number: int) -> str:
    """Name the `number`th intent to do what is `meant` (`cancel`, `void`, `reverse`) with a payment.

    It travels in a header of at most 255 characters, so a reference that is no plain ASCII is named by its hash.
    """
    name = f"{payment.provider}:{payment.reference}"
    if not _PLAIN.fullmatch(name):
        name = hashlib.sha256(name.encode()).hexdigest()
    return f"trueup:{meant}:{name}:{number}"
