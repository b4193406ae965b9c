"""What a fault does to an answer, and to the connection that should carry it."""

import asyncio
import math
import socket
import struct
from typing import Final

from aiohttp import web

from adapters.simulator.answers import NONSENSE, Answer, no_record, problem, refused
from adapters.simulator.clock import http_date
from adapters.simulator.faults import Rule
from adapters.simulator.payments import Record

LOOKING_FOR_THE_CLIENT: Final = 0.1
LONGEST_SILENCE: Final = 600.0
RESET: Final = struct.pack("ii", 1, 0)


def respond(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        body=answer.body(),
        headers={"Content-Type": answer.content_type, **answer.headers},
    )


async def misbehave(request: web.Request, rule: Rule, answer: Answer, record: Record, now: float) -> web.StreamResponse:
    """Answer as the rule says, where it leaves an answer at all."""
    match rule.fault:
        case "silent":
            await _say_nothing(request, rule.seconds or LONGEST_SILENCE)
            return _hang_up(request)
        case "drop" | "refuse_connection":
            return _hang_up(request)
        case "cut":
            return await _cut_short(request, answer)
        case _:
            return respond(_distorted(rule, answer, record, now))


def _distorted(rule: Rule, answer: Answer, record: Record, now: float) -> Answer:
    match rule.fault:
        case "garbled":
            answer = Answer(200, (rule.body or "<html><body>Everything is fine</body></html>").encode())
        case "slow_down":
            answer = _slow_down(rule, now)
        case "status" if rule.problem:
            answer = problem(rule.code or 500, rule.body or "It did not work")
        case "status":
            answer = Answer(rule.code or 500, (rule.body or "It did not work").encode(), "text/plain")
        case "token":
            answer = problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        case "refused":
            answer = refused(rule.payment_status or str(record.get("status", "created")))
        case "no_record":
            answer = no_record(record["reference"])
        case "status_word" | "nonsense":
            answer = Answer(200, distorted_record(rule, record))
    return answer


def _slow_down(rule: Rule, now: float) -> Answer:
    again = http_date(math.ceil(now + rule.retry_after)) if rule.http_date else str(math.ceil(rule.retry_after))
    return problem(rule.code or 429, "Slow down", headers={"Retry-After": again})


def distorted_record(rule: Rule, record: Record) -> object:
    if rule.fault == "status_word":
        return {**record, "status": rule.word}
    return NONSENSE[rule.variant](record)


async def _say_nothing(request: web.Request, seconds: float) -> None:
    """Hold the connection until the client has left or the time is up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until and request.transport and not request.transport.is_closing():  # noqa: ASYNC110 - aiohttp has no event for it
        await asyncio.sleep(min(LOOKING_FOR_THE_CLIENT, max(0.0, until - loop.time())))


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Reset the connection; the response has nowhere to go, and aiohttp lets that pass in silence."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()
    return web.Response()


async def _cut_short(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Promise the whole body, send half, and close."""
    body = answer.body()
    response = web.StreamResponse(status=answer.status)
    response.content_type = answer.content_type
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
