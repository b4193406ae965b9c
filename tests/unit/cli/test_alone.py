from pathlib import Path

import pytest

from adapters.cli.alone import alone
from adapters.cli.output import Refused


class TestASecondOneInAHome:
    def test_is_refused_while_the_first_runs(self, tmp_path: Path) -> None:
        lock = tmp_path / "home" / "up.lock"

        with alone(lock, "up"), pytest.raises(Refused, match="up: another one runs in"), alone(lock, "up"):
            pass

    def test_may_begin_when_the_first_has_ended(self, tmp_path: Path) -> None:
        lock = tmp_path / "home" / "up.lock"
        with alone(lock, "up"):
            pass

        with alone(lock, "up"):
            assert lock.exists()
