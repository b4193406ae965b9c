"""The merchants of the benchmarks: take every callback, and remember how old it was.

    python -m benchmarks.receiver

It prints its port. `GET /` answers what has come since the last `GET`: each callback's order (None if it is of none),
the status it tells, when it came (seconds since the epoch) and how old it was then (milliseconds).
"""

import asyncio
import json
import time
from datetime import datetime
from typing import Final

_TAKEN: Final = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
_came: list[tuple[str | None, str | None, float, float]] = []


class Callbacks(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head, rest = self.held[:end], self.held[end + 4 :]
            if head.startswith(b"GET"):
                self.held = rest
                self._report()
                continue
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            if len(rest) < length:
                return
            body, self.held = rest[:length], rest[length:]
            told, now = json.loads(body), time.time()
            age = (now - datetime.fromisoformat(told["timestamp"]).timestamp()) * 1000
            _came.append((told["data"].get("order"), told["data"].get("status"), now, age))
            self.transport.write(_TAKEN)

    def _report(self) -> None:
        body = json.dumps(_came).encode()
        _came.clear()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Callbacks, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
