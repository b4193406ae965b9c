"""Connections to PostgreSQL: few, bounded in every way, and never older than the process."""

from typing import Final

from sqlalchemy import Engine, create_engine, make_url

# No statement of ours takes long: one that does is in somebody's way, and fails loudly instead.
_SESSION: Final = {
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    # Every statement on a hot way looks up a few hundred keys. With the default, which is a spinning disk's, the
    # planner reads a whole table of ten thousand rows instead; and to compile such statements costs more than they do.
    "random_page_cost": "1.1",
    "jit": "off",
}


def connect(url: str, *, role: str = "trueup", pool_size: int = 2) -> Engine:
    """Return an engine for a `postgresql://` URL. It connects when first used, so after a fork."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # an error's text goes to logs, and parameters hold secrets and customers
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=10,
        connect_args={
            "options": options,
            "connect_timeout": 5,
            "application_name": role,
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
