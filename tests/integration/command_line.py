"""The command line in the tests' own process, as their fixtures."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.cli.main import run


class Trueup:
    """`trueup` in this process, with an environment of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.complaint = ""

    def __call__(self, *arguments: str, status: int = 0) -> str:
        returned = run(arguments)
        out, self.complaint = self._capsys.readouterr()
        assert returned == status, (out, self.complaint)
        return out

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", status=status))


@pytest.fixture
def trueup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str
) -> Trueup:
    for name in [name for name in os.environ if name.startswith("TRUEUP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRUEUP_DATABASE_URL", database_url)
    return Trueup(capsys)


@pytest.fixture
def providers(trueup: Trueup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: ARG001 - it clears first
    file = tmp_path / "providers.toml"
    file.write_text('[providers.acme]\nbase_url = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("TRUEUP_PROVIDERS", str(file))
