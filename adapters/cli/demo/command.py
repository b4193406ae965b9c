"""The command: a plan, a stage, the play, the judge."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from adapters.cli.demo import figures, looking
from adapters.cli.demo.faults import BadMessage, bad_messages, rules
from adapters.cli.demo.judge import Evidence, Off, judge
from adapters.cli.demo.mending import judge_rejections
from adapters.cli.demo.plan import DemoOrder, make_plan
from adapters.cli.demo.play import Play, Producer
from adapters.cli.demo.rejections import DemoRejection, known_before, make_rejections
from adapters.cli.demo.report import Display, Moment, Report, as_json, display, show
from adapters.cli.demo.stage import Stage, stage
from adapters.cli.demo.timeouts import DemoTimeout, make_timeouts
from adapters.cli.demo.undoing import judge_timeouts
from adapters.cli.output import complain, say, show_json
from adapters.cli.processes import Stop, stopping
from adapters.cli.programs import WORKERS

_SPREAD_SECONDS: Final = 20.0
# Far more than it takes: a slow machine makes a slow run, and not a wrong one.
_LONGEST_SECONDS: Final = 300.0
_STEP_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.5
_QUIET_LOOKS: Final = 3
_ONE_BAD_IN: Final = 40
# Of a hundred orders, so many timeouts besides.
_TIMEOUTS_PERCENT: Final = 15
_REJECTIONS_PERCENT: Final = 6
_MOST_ORDERS: Final = 20_000
_INTERRUPTED: Final = 130


class Interrupted(Exception):
    """Somebody has asked us to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that will happen. Of the orders some have to do with timeouts or rejections, the `others` with none."""

    others: Sequence[DemoOrder]
    timeouts: Sequence[DemoTimeout]
    screened: Sequence[DemoRejection]
    bad: Sequence[BadMessage]

    @property
    def orders(self) -> Sequence[DemoOrder]:
        of_timeouts = (order for timeout in self.timeouts for order in timeout.orders)
        added = (one.told for one in self.screened if one.scenario.expected is not None)
        return [*self.others, *of_timeouts, *added]

    @property
    def unregistered(self) -> Sequence[DemoOrder]:
        """What producers tell of and never becomes an order."""
        return [one.told for one in self.screened if one.scenario.expected is None]

    @property
    def rejected(self) -> Sequence[DemoRejection]:
        return [one for one in self.screened if one.scenario.rejected is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    orders: int
    seed: int
    json: bool
    keep: bool


def main(arguments: Sequence[str]) -> int:
    """Run the demo; return 0 if nothing is off, 1 if something is, 130 if it was stopped."""
    options = _options(arguments)
    began = time.monotonic()
    plan = _plan(options)
    try:
        with stopping() as stop, stage(seed=options.seed) as world:
            # Before the first message: what is compared at the end is what was written here.
            (world.home / "expected.json").write_bytes(_written(plan))
            report = _run(plan, world, stop, options=options)
    except Interrupted:
        complain("demo: stopped")
        return _INTERRUPTED
    except (OSError, RuntimeError) as error:
        complain(f"demo: one of its processes does not answer: {error}")
        return 1
    report = replace(report, seconds=time.monotonic() - began)
    if options.json:
        show_json({**as_json(report), "home": str(world.home)})
    else:
        show(report)
    if report.is_right and not options.keep:
        shutil.rmtree(world.home, ignore_errors=True)
    elif not options.json:
        say(f"database and logs: {world.home}")
    return 0 if report.is_right else 1


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="trueup demo", description=__doc__)
    parser.add_argument("--orders", type=_count, default=2000, help="how many")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, the same orders and dice")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--keep", action="store_true", help="keep database and logs of a run that was right")
    return Options(**vars(parser.parse_args(arguments)))


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_ORDERS:
        raise argparse.ArgumentTypeError(f"should be from 1 to {_MOST_ORDERS}")
    return count


def _plan(options: Options) -> Plan:
    """Plan as many orders as were asked for, those of timeouts included."""
    count = options.orders * _TIMEOUTS_PERCENT // 100
    timeouts = make_timeouts(count=count, seed=options.seed, seconds=_SPREAD_SECONDS)
    theirs = sum(len(timeout.orders) for timeout in timeouts)
    screened = make_rejections(
        count=options.orders * _REJECTIONS_PERCENT // 100, seed=options.seed, seconds=_SPREAD_SECONDS
    )
    theirs += sum(one.scenario.expected is not None for one in screened)
    others = make_plan(orders=options.orders - theirs, seed=options.seed, seconds=_SPREAD_SECONDS)
    bad = list(bad_messages(max(options.orders // _ONE_BAD_IN, 1)))
    return Plan(others=others, timeouts=timeouts, screened=screened, bad=bad)


def _run(plan: Plan, world: Stage, stop: Stop, *, options: Options) -> Report:
    producer = Producer(world.broker_url)
    if not options.json:
        say(
            f"{len(plan.orders)} orders and {len(plan.timeouts)} timeouts, {len(plan.rejected)} rejections, "
            f"providers of which one dies for a while; flower: http://{world.flower}"
        )
    producer.wait_for_workers(len(WORKERS), stop)
    _furnish(plan, world, producer, stop)
    play = Play(
        [*plan.orders, *plan.unregistered],
        plan.timeouts,
        plan.bad,
        plan.rejected,
        simulator=world.simulator,
        receiver=world.receiver,
        producer=producer,
        stands=partial(looking.stands, world.engine),
    )
    world.simulator.set_rules(options.seed, rules())
    play.begin()
    with display(quiet=options.json) as shown:
        off = _perform(play, plan, world, stop, shown)
    evidence = Evidence(
        orders=looking.orders(world.engine),
        reversals=looking.reversals(world.engine),
        rejections=looking.rejections(world.engine),
        ledger=world.simulator.ledger(),
        callbacks=world.receiver.entries,
        refused_messages=looking.refused_messages(world.engine),
    )
    off += [Off("the play", unplayed) for unplayed in play.unplayed()]
    off += judge(plan.orders, plan.bad, evidence, unregistered=plan.unregistered)
    off += judge_timeouts(plan.timeouts, evidence)
    off += judge_rejections(plan.screened, evidence)
    return _report(plan, evidence, off, _verify(), world, producer)


def _furnish(plan: Plan, world: Stage, producer: Producer, stop: Stop) -> None:
    """Let merchants say what their bills may name, and wait until that is known.

    Raises:
        Interrupted: somebody has asked us to stop.
        RuntimeError: it does not become known.
    """
    entries = known_before(plan.screened)
    for (merchant, kind), some in entries.items():
        producer.send("put_master_data", {"merchant": merchant, "kind": kind, "entries": some})
    end = time.monotonic() + _LONGEST_SECONDS
    while looking.master_data(world.engine) < sum(map(len, entries.values())):
        if stop.wait(_STEP_SECONDS):
            raise Interrupted
        if time.monotonic() > end:
            raise RuntimeError("master data is not taken in")


def _perform(play: Play, plan: Plan, world: Stage, stop: Stop, shown: Display) -> list[Off]:
    """Let everything happen, until all is at rest or the time is up; return what went wrong on the way.

    Raises:
        Interrupted: somebody has asked us to stop.
    """
    began = looked = time.monotonic()
    quiet_looks = 0
    died: list[Off] = []
    while time.monotonic() - began < _LONGEST_SECONDS:
        if stop.wait(_STEP_SECONDS):
            raise Interrupted
        play.step()
        died += [Off(name, "this process died") for name in world.supervisor.tend()]
        if time.monotonic() - looked < _LOOK_SECONDS:
            continue
        looked = time.monotonic()
        progress = looking.progress(world.engine)
        shown(
            Moment(
                seconds=looked - began,
                planned=len(plan.orders) + len(plan.unregistered),
                begun=play.begun,
                progress=progress,
                callbacks=len(world.receiver.entries),
                calls=world.simulator.calls(),
            )
        )
        come = (progress.orders, progress.undone, progress.rejected)
        planned = (len(plan.orders), len(plan.timeouts), len(plan.rejected))
        has_come = all(here >= there for here, there in zip(come, planned, strict=True))
        is_quiet = not progress.due and has_come and play.is_over
        quiet_looks = quiet_looks + 1 if is_quiet else 0
        # What was just taken from the queue is seen nowhere for a moment.
        if quiet_looks == _QUIET_LOOKS:
            return died
    return [*died, Off("the run", f"was not at rest after {_LONGEST_SECONDS:.0f} s")]


def _verify() -> list[str]:
    """Run `trueup verify` as an operator would; return its breaches."""
    line = [sys.executable, "-c", "from adapters.cli.main import main; main()", "verify"]
    ended = subprocess.run(line, env=os.environ, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return []
    return (ended.stdout + ended.stderr).strip().splitlines() or [f"ended with status {ended.returncode}"]


def _report(
    plan: Plan,
    evidence: Evidence,
    off: Sequence[Off],
    breaches: Sequence[str],
    world: Stage,
    producer: Producer,
) -> Report:
    return Report(
        orders=len(plan.orders),
        seconds=0.0,
        ends=figures.ends_of(evidence),
        reversals=figures.reversals_of(evidence),
        rejections=figures.rejections_of(evidence),
        calls=world.simulator.calls(),
        effects=figures.effects_of(evidence),
        callbacks=figures.callbacks_of(evidence),
        latency={
            provider: {
                "changes": len(seconds),
                "p50": figures.percentile(seconds, 0.5),
                "p99": figures.percentile(seconds, 0.99),
                "most": seconds[-1],
            }
            for provider, seconds in figures.latencies_of(plan.others, evidence).items()
        },
        messages=dict(sorted(producer.sent.items())),
        refused_messages=evidence.refused_messages,
        breaches=breaches,
        off=off,
    )


def _written(plan: Plan) -> bytes:
    orders: list[dict[str, Any]] = [
        {
            "merchant": planned.merchant,
            "order": planned.order,
            "script": planned.payment,
            "expected": planned.scenario.expected,
            "why": planned.scenario.why,
        }
        for planned in plan.orders
    ]
    timeouts: list[dict[str, Any]] = [
        {
            "merchant": planned.merchant,
            "provider": planned.provider,
            "reference": planned.reference,
            "orders": [order.order for order in planned.orders],
            "script": planned.payment,
            "expected": planned.scenario.expected,
            "why": planned.scenario.why,
        }
        for planned in plan.timeouts
    ]
    rejections: list[dict[str, Any]] = [
        {
            "merchant": planned.merchant,
            "order": planned.order,
            "bill": planned.told.registration["bill"],
            "mends": [planned.words(mend, "...") | {"task": mend.task} for mend in planned.scenario.mends],
            "rejected": planned.scenario.rejected,
            "expected": planned.scenario.expected,
            "why": planned.scenario.why,
        }
        for planned in plan.screened
    ]
    written = {"orders": orders, "timeouts": timeouts, "rejections": rejections}
    return msgspec.json.format(msgspec.json.encode(written, enc_hook=sorted), indent=1)
