"""Producers' messages: what they may hold, and the commands that they become."""

from adapters.messages.by_name import BY_NAME, command_of
from adapters.messages.parsing import MANY, NAMES, Parsed, parse
from adapters.messages.refusing import unreadable

__all__ = ["BY_NAME", "MANY", "NAMES", "Parsed", "command_of", "parse", "unreadable"]
