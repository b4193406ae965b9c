"""What the command line reads beyond its library."""

from typing import Annotated

import pytest
import typer

from adapters.cli.grammar import Listed, several

VALUES = ("red", "green")


def read(*arguments: str) -> object:
    """Return what a command line of our own makes of these."""
    app = typer.Typer(cls=Listed, add_completion=False)
    said: list[object] = []

    @app.command("list")
    def show_all(limit: int = 100) -> None:
        said.append(("list", limit))

    @app.command("show")
    def show(name: str) -> None:
        said.append(("show", name))

    @app.command("paint", cls=several("--color", VALUES))
    def paint(wall: str, color: Annotated[list[str] | None, typer.Option("--color")] = None, coats: int = 1) -> None:
        said.append((wall, color or [], coats))

    typer.main.get_command(app)(list(arguments), standalone_mode=False)
    return said[0]


class TestAGroup:
    @pytest.mark.parametrize(
        ("line", "read_as"),
        [("", ("list", 100)), ("--limit 3", ("list", 3)), ("list --limit 3", ("list", 3)), ("show x", ("show", "x"))],
    )
    def test_lists_where_no_command_is_named(self, line: str, read_as: object) -> None:
        assert read(*line.split()) == read_as

    def test_does_not_take_a_misspelt_command_for_a_list(self) -> None:
        with pytest.raises(Exception, match="No such command 'shwo'"):
            read("shwo")


class TestAnOptionWithSeveralValues:
    @pytest.mark.parametrize(
        ("line", "read_as"),
        [
            ("paint north", ("north", [], 1)),
            ("paint north --color red", ("north", ["red"], 1)),
            ("paint north --color red green", ("north", ["red", "green"], 1)),
            ("paint north --color red --color green --coats 2", ("north", ["red", "green"], 2)),
            ("paint --color red green --coats 2 north", ("north", ["red", "green"], 2)),
            ("paint --color red green north", ("north", ["red", "green"], 1)),
            ("paint red --color blue", ("red", ["blue"], 1)),
        ],
    )
    def test_is_read_as_if_it_were_repeated(self, line: str, read_as: object) -> None:
        assert read(*line.split()) == read_as
