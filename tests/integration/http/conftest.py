from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.integration.http.server import Server, serving


@pytest.fixture
def server(engine: Engine, database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(engine, database_url, valkey_url, tmp_path / "home") as running:
        yield running
