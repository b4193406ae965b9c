"""What the command line understands beyond its library: a group alone lists, and an option may have several values."""

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

_LIST = "list"
_HELP = frozenset({"--help"})


class Listed(TyperGroup):
    """A group that lists, where no command is named: `trueup cases` is `trueup cases list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        names_none = not args or (args[0].startswith("-") and args[0] not in _HELP)
        return super().parse_args(ctx, [_LIST, *args] if names_none else args)


def several(option: str, values: Sequence[str]) -> type[TyperCommand]:
    """Return a command that reads `--option a b` as `--option a --option b`, as long as these are among the values."""

    class Several(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, list(_repeated(args)))

    def _repeated(args: Sequence[str]) -> Iterator[str]:
        given = 0  # values of the option so far, while it has any
        for before, word in zip(["", *args], args, strict=False):
            given = given + 1 if (before == option or given) and word in values else 0
            if given > 1:
                yield option
            yield word

    return Several
