"""What the server itself refuses, before there is a request: in the form of every other problem."""

import sys
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapters.http.problems import GARBLED, Problem, answer_of

_HEADERS: Final = ((b"connection", b"close"), (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class ProblemProtocol(H11Protocol):
    """HTTP/1.1 that answers what it cannot read with problem+json, and ends the connection."""

    def send_400_response(self, msg: str) -> None:
        # Behind an answer that has begun a second one would be taken for a part of it.
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            why, _, _came = str(sys.exception() or msg).partition(":")  # behind it stands what came
            self._write(why)
        self.transport.close()

    def _write(self, why: str) -> None:
        answer = answer_of(Problem(GARBLED, f"The request cannot be read: {why}."))
        head = h11.Response(
            status_code=answer.status_code, reason=b"Bad Request", headers=[*answer.raw_headers, *_HEADERS]
        )
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
