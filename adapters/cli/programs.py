"""The command lines of the programs that run beside us: never imported, always started."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.cli.servers import Reached
from adapters.providers import providers_of
from config.kept import ADMIN_KEY, FLOWER_PASSWORD, kept_secret
from config.messaging import (
    INTAKE,
    INTAKE_PREFETCH,
    NOTIFICATIONS,
    POLLING,
    REVERSALS,
    SANITY,
    WORKER_OPTIONS,
    read_together,
    time_limits,
)
from config.providers import longest_call_seconds
from config.settings import Settings

# What `up` starts as workers: one for each kind of trouble, so that none of them waits for another's.
WORKERS: Final[Mapping[str, Sequence[str]]] = {
    "intake": (INTAKE, SANITY),
    "polling": (POLLING,),
    "reversals": (REVERSALS,),
    "notifications": (NOTIFICATIONS,),
}
FLOWER_USER: Final = "operator"
_CELERY: Final = (sys.executable, "-m", "celery", "-A", "workers.app")
_MARGIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)


def worker(reached: Reached, name: str, queues: Sequence[str], *, concurrency: int | None = None) -> Program:
    return Program(name, worker_command(name, queues, concurrency=concurrency), _environment(reached))


def worker_command(name: str, queues: Sequence[str], *, concurrency: int | None = None) -> list[str]:
    argv = [*_CELERY, "worker", "-Q", ",".join(read_together(queues)), "-n", f"{name}@%h", *WORKER_OPTIONS]
    if concurrency is not None:
        argv += ["-c", str(concurrency)]
    if INTAKE in queues:
        argv += ["--prefetch-multiplier", str(INTAKE_PREFETCH)]
    return argv


def processes_of(name: str, concurrency: int) -> int:
    """Return how many processes a worker of `WORKERS` has where the others have so many.

    Those of intake wait for commits more than they work, and two of them may be busy with sweeps and retriggers.
    """
    return concurrency + (INTAKE in WORKERS[name])


def beat(reached: Reached) -> Program:
    return Program("beat", [*_CELERY, "beat"], _environment(reached))


def flower(reached: Reached) -> Program:
    """Flower behind a login, which looks and does not touch.

    Events are on, and by Flower's doing only while it runs: without them no task would be seen in it. The password
    goes by the environment, for a command line can be read by everybody on the machine.
    """
    address = reached.settings.flower_address
    options = [
        f"--address={address.host}",
        f"--port={address.port}",
        "--read_only=True",
        "--enable_events=True",
        "--max_tasks=5000",
        "--purge_offline_workers=60",
        "--tasks_columns=name,uuid,state,args,kwargs,received,runtime,worker",
        f"--conf={os.devnull}",  # or it would run a `flowerconfig.py` of whatever folder we are in
    ]
    login = {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{flower_password(reached.settings)}"}
    return Program("flower", [*_CELERY, "flower", *options], _environment(reached, login))


def api(reached: Reached) -> Program:
    """HTTP for merchants and operators. The operator's key that was made here goes by the environment."""
    settings = reached.settings
    made = {} if settings.admin_key is not None else {"TRUEUP_ADMIN_KEY": kept_secret(settings.home, ADMIN_KEY)}
    return Program("api", [sys.executable, "-m", "adapters.http"], _environment(reached, made))


def flower_password(settings: Settings) -> str:
    """Return the password of Flower's only user."""
    return kept_secret(settings.home, FLOWER_PASSWORD)


def everything(reached: Reached) -> list[Program]:
    """Return what `up` runs."""
    each = reached.settings.worker_concurrency
    workers = [worker(reached, name, queues, concurrency=processes_of(name, each)) for name, queues in WORKERS.items()]
    return [*workers, beat(reached), api(reached), flower(reached)]


def patience(settings: Settings) -> float:
    """Return for how many seconds a worker may finish what it has begun: its soft shutdown, and a margin."""
    longest = longest_call_seconds(providers_of(settings.providers), notification_seconds=settings.notification_seconds)
    return time_limits(lease_seconds=settings.lease_seconds, longest_call_seconds=longest).hard + _MARGIN_SECONDS


def _environment(reached: Reached, more: Mapping[str, str] | None = None) -> Mapping[str, str]:
    return {**os.environ, **reached.environment, **(more or {})}
