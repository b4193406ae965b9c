"""Mails in words: subject, text and HTML of a letter, made once, when the letter is decided.

It stands below its siblings: the store writes what is made here in the transaction of what it tells of.
"""

import html
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from domain.model.mail import Letter, Topic

__all__ = ["Words", "words_of"]

_FOLDER: Final = Path(__file__).parent / "templates"
_LONGEST_SUBJECT: Final = 200
# Whatever would end a line in some reader or other, and what is not to be seen at all.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
# A line of these is left out where there is nothing to say.
_OPTIONAL: Final = (
    "merchant",
    "order",
    "provider_says",
    "amount_at_risk",
    "deadline",
    "where",
    "link",
    "reason",
    "canceled_by",
    "amount_received",
)


@dataclass(frozen=True, slots=True)
class Words:
    sender_name: str | None
    subject: str
    text: str
    html: str


def words_of(letter: Letter) -> Words:
    """Return the letter in words; every fact is on one line, and in HTML escaped."""
    facts = {"name": "operator", "brand": "", "link": "", **letter.facts}
    plain = {name: _on_one_line(fact) for name, fact in facts.items()}
    plain["sender"] = plain["brand"] or "Trueup"
    escaped = {name: html.escape(fact) for name, fact in plain.items()}
    return Words(
        sender_name=_on_one_line(letter.sender_name or "") or None,
        subject=_filled(letter.topic, "subject", plain).replace("\n", "")[:_LONGEST_SUBJECT],
        text=_filled(letter.topic, "txt", plain),
        html=_filled(letter.topic, "html", escaped),
    )


def _filled(topic: Topic, ending: str, facts: dict[str, str]) -> str:
    lines = [line for line in _lines(topic, ending) if all(facts.get(name) for name in _needs(line))]
    return Template("".join(lines)).substitute(facts)


@cache
def _lines(topic: Topic, ending: str) -> tuple[str, ...]:
    return tuple((_FOLDER / f"{topic}.{ending}").read_text(encoding="utf-8").splitlines(keepends=True))


def _needs(line: str) -> list[str]:
    return [name for name in Template(line).get_identifiers() if name in _OPTIONAL]


def _on_one_line(fact: str) -> str:
    return _UNSEEN.sub(" ", fact).strip()
