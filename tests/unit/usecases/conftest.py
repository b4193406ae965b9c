"""The use cases run on the fake and on PostgreSQL."""

import pytest

from tests.fakes.bench import Bench, MemoryBench, SqlBench


@pytest.fixture(params=["memory", "postgres"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench().furnish()
    return SqlBench(request.getfixturevalue("engine")).furnish()
