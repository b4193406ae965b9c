"""How a message is kept although the store may be away: nothing that carries information is acknowledged before."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from celery import Task
from celery.exceptions import Reject, SoftTimeLimitExceeded

from config.messaging import is_amqp
from workers.application import Application, application

# Together well under the soft time limit. Waiting here keeps the message's place and costs its queue little: with the
# store away nothing else could be taken in either.
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)

log = structlog.get_logger(__name__)


def keep(task: Task, write: Callable[[Application], None]) -> None:
    """Make the write succeed, or give the message back to its queue. It returns only if the message may go.

    Raises:
        Reject: the broker is to take the message back.
    """
    try:
        for pause in (*PAUSES, None):
            try:
                return write(application())
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:  # noqa: BLE001 - whatever stands in the way, what is not stored is not acknowledged
                log.warning("store.away", error=f"{type(error).__name__}: {error}", again_in=pause)
            if pause:
                time.sleep(pause)
    except SoftTimeLimitExceeded:
        log.warning("store.away", error="the time limit was reached")
    return _give_back(task)


def _give_back(task: Task) -> None:
    """Put the message at the end of its queue.

    Redis does that in one step (`Reject`), however often. RabbitMQ counts deliveries, and a quorum queue sets a message
    aside after a few: an outage would empty the queue into the dead letters. So there the message is published anew,
    with the broker's confirmation, and the old one acknowledged after it. Twice is harmless; never would not be.
    """
    request = task.request
    if is_amqp(task.app.conf.broker_url):
        try:
            task.app.send_task(
                task.name,
                args=request.args,
                kwargs=request.kwargs,
                task_id=request.id,
                queue=request.delivery_info["routing_key"],
            )
        except Exception as error:  # noqa: BLE001 - then the broker still has the old one
            log.warning("message.not_sent_again", error=f"{type(error).__name__}: {error}")
        else:
            return
    raise Reject("the store is away", requeue=True)
