"""The document against the server: whatever it allows is answered as it says, whatever it forbids is refused."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.integration.http.server import Server

SECONDS: Final = 25
# What no schema says is found out by looking: whether a provider is configured, what an order's state allows.
CONFIG: Final = """
[parameters]
merchant = "shop"
order = "A1"
provider = "acme"
reference = "pay-T1"
kind = "stores"

[[operations]]
include-path-regex = "/rejected-transactions/"
parameters = {{ id = {rejection} }}

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422]
"""


class TestTheDocument:
    @pytest.mark.parametrize("key", ["shop", "operator"])
    def test_is_what_the_server_does(self, server: Server, tmp_path: Path, key: str) -> None:
        server.register("A1")
        server.report("pay-T1")
        server.put("stores", {"key": "s-1"})
        rejection = server.reject("R1")
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format(rejection=rejection))

        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
                *("run", f"{server.url}/openapi.json", "--checks=all", f"--max-time={SECONDS}", "--seed=1"),
                *("--header", f"Authorization: Bearer {server.keys[key]}", "--no-color", "--generation-database=none"),
            ],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=170,
        )

        assert done.returncode == 0, f"{done.stdout[-12000:]}{done.stderr[-3000:]}"
