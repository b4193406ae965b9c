"""The provider's interface: what a client of a payment provider sees."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from aiohttp import web

from adapters.simulator.answers import Answer, no_record, problem
from adapters.simulator.barriers import Barriers
from adapters.simulator.book import Book
from adapters.simulator.clock import Clock
from adapters.simulator.faults import Call, Rules, Verdict
from adapters.simulator.misbehavior import distorted_record, misbehave, respond
from adapters.simulator.payments import Record
from adapters.simulator.scripts import DEFAULT_PROVIDER, Effect, Operation, Reference

LONGEST_KEY: Final = 255


class Query(msgspec.Struct, frozen=True):
    references: Annotated[list[Reference], msgspec.Meta(min_length=1, max_length=100)]


class SimulatedProvider:
    def __init__(self, book: Book, rules: Rules, barriers: Barriers, clock: Clock) -> None:
        self.book = book
        self.rules = rules
        self.barriers = barriers
        self.now = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            route
            for prefix in ("", "/{provider}")
            for route in (
                web.post(f"{prefix}/payments/query", self.query),
                web.get(f"{prefix}/payments/{{reference}}", self.get, allow_head=False),
                web.post(f"{prefix}/payments/{{reference}}/cancel", self.cancel),
                web.post(f"{prefix}/payments/{{reference}}/void", self.void),
            )
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        call = self._arrive(request, "get", [request.match_info["reference"]])
        return await self._serve(request, call, lambda _: self._said(call))

    async def query(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = msgspec.json.decode(await request.read(), type=Query)
        except msgspec.DecodeError as error:
            return respond(problem(400, "Not a query", detail=str(error)))
        call = self._arrive(request, "query", list(dict.fromkeys(asked.references)))
        return await self._serve(request, call, lambda _: self._all_said(call))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        return await self._act(request, "cancel")

    async def void(self, request: web.Request) -> web.StreamResponse:
        return await self._act(request, "void")

    async def _act(self, request: web.Request, effect: Effect) -> web.StreamResponse:
        reference = request.match_info["reference"]
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= LONGEST_KEY:
            return respond(problem(400, "An Idempotency-Key of 1 to 255 characters is required"))
        call = self._arrive(request, effect, [reference])

        def act(verdict: Verdict) -> Answer:
            if verdict.strikes("before"):
                self.book.note_effect(call, reference, key, self.now(), result="not_done", fault=verdict.fault)
                return self._said(call)
            return self.book.act(call, reference, key, self.now(), fault=verdict.fault)

        return await self._serve(request, call, act)

    def _arrive(self, request: web.Request, operation: Operation, references: list[str]) -> Call:
        return self.book.arrive(
            request.match_info.get("provider", DEFAULT_PROVIDER),
            operation,
            references,
            request.headers.get("Authorization"),
        )

    async def _serve(self, request: web.Request, call: Call, act: Callable[[Verdict], Answer]) -> web.StreamResponse:
        """Take a call through its two points, before and after the effect, with what waits for it there."""
        verdict = self.rules.verdict(call, self.now())
        await self.barriers.hold(call, "before")
        self.book.trigger(call, "before", self.now())
        if verdict.delays["before"]:
            await asyncio.sleep(verdict.delays["before"])
        answer = act(verdict)
        if not verdict.strikes("before"):
            self.book.trigger(call, "after", self.now())
            await self.barriers.hold(call, "after")
            if verdict.delays["after"]:
                await asyncio.sleep(verdict.delays["after"])
        if verdict.rule is None:
            return respond(answer)
        return await misbehave(request, verdict.rule, answer, self._record(call), self.now())

    def _record(self, call: Call) -> Record:
        """Return the record of the call's one payment (of a query, the first), as far as there is one."""
        reference = next(iter(call.nth))
        payment = self.book.on_record(call.provider, reference, self.now())
        return payment.said(self.now()) if payment else {"reference": reference}

    def _said(self, call: Call) -> Answer:
        record = self._record(call)
        return Answer(200, record) if "status" in record else no_record(record["reference"])

    def _all_said(self, call: Call) -> Answer:
        now = self.now()
        payments: list[object] = []
        missing: list[str] = []
        for reference in call.nth:
            payment = self.book.on_record(call.provider, reference, now)
            rule = self.rules.verdict_of_record(call, reference, now)
            if rule and rule.fault == "unanswered":
                continue
            if payment is None or (rule and rule.fault == "no_record"):
                missing.append(reference)
            else:
                payments.append(distorted_record(rule, payment.said(now)) if rule else payment.said(now))
        return Answer(200, {"payments": payments, "missing": missing})
