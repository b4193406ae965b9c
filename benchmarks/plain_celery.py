"""The usual thing, to be compared with: one Celery task for each order, which asks, writes and comes again.

Written as a team would that knows Celery and SQLAlchemy well: acknowledged late, results ignored, a pooled HTTP session
and one database connection for each process, nothing imported that is not used, no event sent that nobody reads.

    celery -A benchmarks.plain_celery worker --pool prefork --concurrency N -O fair --without-gossip --without-mingle
"""

# mypy: allow-subclassing-any, allow-untyped-decorators

import os
from datetime import UTC, datetime
from functools import cache

import requests
from celery import Celery
from requests.adapters import HTTPAdapter
from sqlalchemy import Engine, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

POLL_AGAIN_SECONDS = 3600
PROVIDER = os.environ.get("PLAIN_PROVIDER", "")
DATABASE = os.environ.get("PLAIN_DATABASE", "").replace("postgresql://", "postgresql+psycopg://")

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="plain",
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 2 * POLL_AGAIN_SECONDS},
    timezone="UTC",
)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "plain_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(128), unique=True)
    status: Mapped[str] = mapped_column(String(20), default="NEW")
    provider_status: Mapped[str | None] = mapped_column(String(20))
    polled_at: Mapped[datetime | None]
    polls: Mapped[int] = mapped_column(default=0)


@cache
def engine() -> Engine:
    """Opened in each process after the fork."""
    return create_engine(DATABASE, pool_size=1, max_overflow=0)


@cache
def http() -> requests.Session:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
    return session


@app.task(name="plain.poll_order")
def poll_order(order_id: int) -> None:
    with Session(engine()) as session:
        order = session.get_one(Order, order_id)
        answer = http().get(f"{PROVIDER}/payments/{order.reference}", timeout=60)
        answer.raise_for_status()
        record = answer.json()
        order.provider_status = record["status"]
        if record["status"] == "pending" and order.status == "NEW":
            order.status = "PENDING"
        order.polled_at = datetime.now(UTC).replace(tzinfo=None)
        order.polls += 1
        session.commit()
    poll_order.apply_async((order_id,), countdown=POLL_AGAIN_SECONDS)


@app.task(name="plain.register_order")
def register_order(reference: str) -> None:
    """What intake is compared with: one message, one row."""
    with Session(engine()) as session:
        session.add(Order(reference=reference))
        session.commit()


@app.task(name="plain.deliver")
def deliver(url: str, body: str) -> None:
    """What callbacks are compared with: one task, one request."""
    http().post(url, data=body.encode(), headers={"Content-Type": "application/json"}, timeout=15).raise_for_status()
