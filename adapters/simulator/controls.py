"""The controls beside the provider's interface: what is true, what goes wrong, and what happened."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from adapters.simulator.answers import Answer, problem
from adapters.simulator.barriers import BarrierOrder
from adapters.simulator.book import AlreadyThere
from adapters.simulator.events import Endpoint, Events
from adapters.simulator.faults import Rule, Rules
from adapters.simulator.misbehavior import respond
from adapters.simulator.payments import Payment
from adapters.simulator.provider import SimulatedProvider
from adapters.simulator.scripts import DEFAULT_PROVIDER, MOST_PAYMENTS, CustomerAction, PaymentScript

PREFIX: Final = "/_simulator"


class RuleSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[Rule]
    seed: int | None = None


class Controls:
    def __init__(self, provider: SimulatedProvider, events: Events) -> None:
        self.provider = provider
        self.events = events
        self.book = provider.book
        self.now = provider.now

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{PREFIX}/payments", self.create),
            web.get(f"{PREFIX}/payments/{{reference}}", self.truth, allow_head=False),
            web.put(f"{PREFIX}/rules", self.set_rules),
            web.get(f"{PREFIX}/rules", self.rules, allow_head=False),
            web.post(f"{PREFIX}/customer/{{reference}}", self.customer),
            web.post(f"{PREFIX}/barrier/{{name}}", self.barrier),
            web.put(f"{PREFIX}/events", self.send_events),
            web.get(f"{PREFIX}/ledger", self.ledger, allow_head=False),
        ]

    async def create(self, request: web.Request) -> web.Response:
        scripts = await _ordered(request, list[PaymentScript] | PaymentScript)
        listed = scripts if isinstance(scripts, list) else [scripts]
        if len(listed) > MOST_PAYMENTS:
            raise _refusal(400, "Too many payments at once", f"{MOST_PAYMENTS} at the most")
        try:
            self.book.add(listed, self.now())
        except AlreadyThere as error:
            raise _refusal(409, "There is such a payment already", str(error)) from None
        return respond(Answer(201, {"created": len(listed)}))

    async def truth(self, request: web.Request) -> web.Response:
        payment = self._payment(request, request.query.get("provider", DEFAULT_PROVIDER))
        return respond(Answer(200, self.book.truth(payment)))

    async def customer(self, request: web.Request) -> web.Response:
        action = await _ordered(request, CustomerAction)
        payment = self._payment(request, action.provider)
        if not self.book.customer(payment, action, self.now()):
            raise _refusal(409, "The payment's state does not allow it", payment_status=payment.status)
        return respond(Answer(200, self.book.truth(payment)))

    async def set_rules(self, request: web.Request) -> web.Response:
        wanted = await _ordered(request, list[Rule] | RuleSet)
        rules = wanted.rules if isinstance(wanted, RuleSet) else wanted
        seed = wanted.seed if isinstance(wanted, RuleSet) and wanted.seed is not None else self.provider.rules.seed
        self.provider.rules = Rules(seed, rules, since=self.now())
        return await self.rules(request)

    async def rules(self, _request: web.Request) -> web.Response:
        rules = self.provider.rules
        return respond(Answer(200, {"seed": rules.seed, "rules": rules.rules}))

    async def barrier(self, request: web.Request) -> web.Response:
        order = await _ordered(request, BarrierOrder)
        return respond(Answer(200, self.provider.barriers.obey(request.match_info["name"], order)))

    async def send_events(self, request: web.Request) -> web.Response:
        endpoint = await _ordered(request, Endpoint)
        self.events.send_to(endpoint)
        return respond(Answer(200, {"provider": endpoint.provider, "url": endpoint.url}))

    async def ledger(self, request: web.Request) -> web.Response:
        self.book.advance(self.now())
        page = self.book.ledger.page(
            after=_whole(request, "after") or 0,
            provider=request.query.get("provider"),
            limit=_whole(request, "limit"),
        )
        return respond(Answer(200, page))

    def _payment(self, request: web.Request, provider: str) -> Payment:
        reference = request.match_info["reference"]
        payment = self.book.find(provider, reference, self.now())
        if payment is None:
            raise _refusal(404, "No such payment", f"{provider}/{reference}")
        return payment


async def _ordered(request: web.Request, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(await request.read(), type=wanted)
    except msgspec.DecodeError as error:
        raise _refusal(400, "Not understood", str(error)) from None


def _whole(request: web.Request, name: str) -> int | None:
    written = request.query.get(name)
    if written is None:
        return None
    if not written.isdecimal():
        raise _refusal(400, "Not understood", f"{name} is a whole number from 0")
    return int(written)


class Refusal(Exception):
    """A control was asked for something that it cannot do."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.document)
        self.answer = answer


def _refusal(status: int, title: str, detail: str = "", **more: Any) -> Refusal:
    return Refusal(problem(status, title, detail=detail, **more))


@web.middleware
async def refusals_as_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return respond(refusal.answer)
