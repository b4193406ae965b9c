"""The provider of the benchmarks: as bare as a server can be in Python, so that it is not what is measured.

    python -m benchmarks.provider [latency in seconds]

Every payment is `pending`, single or in bulk, but those whose reference begins with `declined`, and those that are
called `paid-after-1500-...`: they are paid from 1,500 milliseconds after the `POST /begin` on.
"""

import asyncio
import json
import math
import signal
import sys
import time

_RECORD = (
    '{"reference":"%s","status":"%s","amount":"12.30","currency":"EUR","amount_received":"%s",'
    '"updated_at":"2026-01-01T00:00:00Z"}'
)


_begun = math.inf


def record(reference: str) -> str:
    status = _status(reference)
    return _RECORD % (reference, status, "12.30" if status == "paid" else "0")


def _status(reference: str) -> str:
    if reference.startswith("paid-after-"):
        return "paid" if time.monotonic() >= _begun + int(reference.split("-")[2]) / 1000 else "pending"
    return "declined" if reference.startswith("declined") else "pending"


def begin() -> None:
    global _begun  # noqa: PLW0603 - the one thing that this process is told
    _begun = time.monotonic()


class Payments(asyncio.Protocol):
    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.held = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head, rest = self.held[:end], self.held[end + 4 :]
            length = 0
            if head.startswith(b"POST"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                if len(rest) < length:
                    return
            body, self.held = rest[:length], rest[length:]
            self.answer(head.split(b" ", 2)[1].decode(), body)

    def answer(self, path: str, body: bytes) -> None:
        if path == "/begin":
            begin()
            text = ""
        elif path.endswith("/payments/query"):
            records = ",".join(record(reference) for reference in json.loads(body)["references"])
            text = f'{{"payments":[{records}],"missing":[]}}'
        else:
            text = record(path.rsplit("/", 1)[1])
        answer = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
        )
        if self.latency:
            self.loop.call_later(self.latency, self.transport.write, answer)
        else:
            self.transport.write(answer)


async def main(latency: float) -> None:
    Payments.latency = latency
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Payments, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
