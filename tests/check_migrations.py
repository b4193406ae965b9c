"""`make check`: the migrations make exactly the tables of `tables`. Starts a PostgreSQL of its own."""

import sys
import tempfile
from pathlib import Path

from adapters.embedded import ensure, stop
from adapters.persistence import migrate
from adapters.persistence.database import connect


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tu") as folder:
        home = Path(folder)
        servers = ensure(home, valkey=False, durable=False)
        try:
            engine = connect(servers.database_url)
            migrate.upgrade(engine)
            found = migrate.differences(engine)
            engine.dispose()
        finally:
            stop(home, servers.started)
    for difference in found:
        sys.stderr.write(f"the migrations and the tables differ: {difference}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
