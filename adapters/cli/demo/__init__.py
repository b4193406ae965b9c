"""`trueup demo`: everything at work before a simulated provider that misbehaves, and a judge who knows the scripts."""

from collections.abc import Sequence
from importlib import import_module


def run(arguments: Sequence[str]) -> int:
    """Run the demo; return its exit status, 0 only if nothing is off."""
    # Imported late: the receiver, a process of its own, is in this package and needs none of the rest.
    status: int = import_module("adapters.cli.demo.command").main(arguments)
    return status
