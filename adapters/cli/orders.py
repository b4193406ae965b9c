"""`trueup order show` and `why`: what became of an order, and what happens next."""

from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.plans import next_of, obstacles_of, stage_of
from adapters.cli.servers import database
from adapters.persistence import queries, sanity_queue
from adapters.persistence.orders import SqlOrders
from adapters.policies import policy_of
from adapters.providers import providers_of
from config.settings import load
from domain.model.due_work import Work
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.rules.closing import CLOSING
from domain.rules.deadlines import live_deadline
from domain.rules.holding import HELD
from domain.rules.order_lifecycle import OPEN, OWES, Owes
from domain.rules.planning import polling_of, watch_of

app = typer.Typer(help="What became of an order, and what happens next.")

Reference = Annotated[str, typer.Argument(metavar="ORDER", help="The merchant's own name for it.")]
Merchant = Annotated[str | None, typer.Option(help="Needed where two merchants have it.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

_LISTED: Final = ("attempts", "operations", "intents", "cases")


@app.command()
def show(order: Reference, merchant: Merchant = None, json: Json = False) -> None:
    """Show an order: state, amounts, payment and everything that happened."""
    with database() as engine, engine.connect() as connection:
        found = queries.order(connection, _id_of(connection, order, merchant))
    if json:
        show_json(_as_json(found))
        return
    for name, value in found.items():
        if not isinstance(value, list) and value is not None:
            say(f"{name}: {text(value)}")
    for part in _LISTED:
        if found[part]:
            columns = list(found[part][0])
            show_table(f"\n{part}", columns, (list(row.values()) for row in found[part]))
    columns = ["at", "kind", "detail", "actor"]
    show_table("\ntimeline", columns, ([row[column] for column in columns] for row in found["timeline"]))


@app.command("why")
def why(order: Reference, merchant: Merchant = None, json: Json = False) -> None:
    """Say what happens next with an order, when, and by which rule."""
    providers = providers_of(load().providers)
    with database() as engine, engine.connect() as connection:
        key = _id_of(connection, order, merchant)
        found = SqlOrders(connection, queries.now(connection), None).get_many([key])[key]
        due = queries.due_of(connection, key)
        cases = queries.open_cases_of(connection, key)
    settings = providers.get(found.transaction.provider)
    policy = None if settings is None else policy_of(found.transaction.provider, settings)
    reasons = _reasons(found, due, cases, policy)
    if json:
        deadline = live_deadline(found)
        show_json(
            {
                "merchant": found.merchant,
                "order": found.reference,
                "status": found.status,
                "next": due,
                "deadline": None if deadline is None else {"at": deadline.at, "reason": deadline.reason},
                "cases": [json_of(case) for case in cases],
                "why": reasons,
            }
        )
        return
    for reason in reasons:
        say(reason)


def _id_of(connection: Connection, order: str, merchant: str | None) -> int:
    found = queries.find_orders(connection, order, merchant)
    if not found:
        for rejected in sanity_queue.called(connection, order, merchant=merchant):
            raise Refused(
                f"ORDER: {order!r} was rejected and is {rejected['status']};"
                f" see: trueup rejected show {rejected['rejection']}"
            )
        whose = "" if merchant is None else f" of {merchant!r}"
        raise Refused(f"ORDER: no order{whose} is called {order!r}")
    if len(found) > 1:
        raise Refused(
            f"--merchant: is needed, for {', '.join(row['merchant'] for row in found)} have an order {order!r}"
        )
    return int(found[0]["id"])


def _reasons(order: Order, due: Any, cases: Any, policy: ProviderPolicy | None) -> list[str]:
    """Return sentences, the most telling first."""
    said = [f"{order.merchant} {order.reference} is {order.status}" + (f" ({order.reason})" if order.reason else "")]
    if due is not None:
        said += [next_of(due), *_rule(order, due, policy), *obstacles_of(due)]
    elif not cases:
        said.append(_rest(order))
    said += [*_reversal(order), *_deadline(order)]
    for case in cases:
        owes = "" if due is not None else "a person must decide: "
        said.append(f"{owes}case {case['id']} {case['kind']}, open since {text(case['opened_at'])}: {case['known']}")
    return said


def _rule(order: Order, due: Any, policy: ProviderPolicy | None) -> list[str]:
    if due["kind"] in CLOSING:
        request = order.cancel_request
        asked = [] if request is None else [f"because {request.by} asked to cancel it: {request.reason or 'no reason'}"]
        return [*asked, f"tried {due['step']} times so far in this closing"]
    if policy is None:
        return [f"TRUEUP_PROVIDERS does not name its provider {order.transaction.provider!r}"]
    if order.transaction.reversing and order.transaction.provider_status in HELD:
        return [f"as long as it is held, it is looked at every {policy.could_not_ask}"]
    cadence = watch_of(order, policy) if due["kind"] == Work.WATCH else polling_of(order, policy)
    return [f"by step {due['step'] + 1} of its {due['kind']} cadence: {stage_of(cadence, due['step'])}"]


def _reversal(order: Order) -> list[str]:
    """Say what a timeout that was reported for its payment keeps from it."""
    transaction = order.transaction
    where = f"`trueup timeouts why {transaction.reference} --provider {transaction.provider}`"
    if transaction.reversing:
        return [f"its payment was reported as timed out: no money moves it before the reversal has ended ({where})"]
    if transaction.reversal is not None:
        return [f"its payment was reported as timed out, and the reversal ended as {transaction.reversal} ({where})"]
    return []


def _rest(order: Order) -> str:
    owes = OWES[order.status]
    if owes is Owes.NOTHING or (owes is Owes.WATCH and not order.watching):
        return "nothing happens any more: it owes nothing"
    return "nothing is planned, and it should be: run `trueup verify`"


def _deadline(order: Order) -> list[str]:
    deadline = live_deadline(order) if order.status in OPEN else None
    if deadline is not None:
        return [f"deadline: {text(deadline.at)}, by its {deadline.reason}"]
    return ["no deadline any more: the customer has done their part"] if order.status in OPEN else []


def _as_json(found: Any) -> dict[str, Any]:
    return {
        name: [json_of(row) for row in value] if isinstance(value, list) else value
        for name, value in json_of(found).items()
    }
