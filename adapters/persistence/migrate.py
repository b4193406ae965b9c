"""Bringing the schema up to date. Every migration can run under the release before it."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from adapters.persistence.tables import metadata

# Two processes that start together must not both create the tables.
_LOCK: Final = 7_465_072_117


def upgrade(engine: Engine) -> None:
    """Run every migration that is missing."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()


def is_current(engine: Engine) -> bool:
    """Whether no migration is missing."""
    with engine.connect() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
        return at == ScriptDirectory.from_config(_config(connection)).get_current_head()


def is_new_enough(engine: Engine) -> bool:
    """Whether this release runs on the schema: at its own head, or migrated further by the release after it."""
    with engine.connect() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
        script = ScriptDirectory.from_config(_config(connection))
        known = {revision.revision for revision in script.walk_revisions()}
        return at is not None and (at == script.get_current_head() or at not in known)


def differences(engine: Engine) -> list[object]:
    """Return what a migrated database lacks of the tables in `tables`, or has beside them."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def write_revision(engine: Engine, message: str, *, number: str) -> None:
    """Write the next migration from what differs; a person reads and mends it before it is committed."""
    with engine.connect() as connection:
        command.revision(_config(connection), message=message, autogenerate=True, rev_id=number)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
