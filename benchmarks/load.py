"""Requests to our own HTTP API, made beside a case by a process that is not counted.

    python -m benchmarks.load

It reads lines of JSON, `{"at": seconds, "url": ..., "body": ..., "key": ...}`, until there are no more, and makes each
request at its time after the first (0 for at once, with at most `CONCURRENCY` under way). At its end it prints how many
were answered by which status.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from adapters.transport import Request, Response, Transport

CONCURRENCY: Final = 16


def make(requests: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Make the requests; return how many were answered by which status, or not at all."""
    transport, answers, began = Transport(), Counter[str](), time.perf_counter()

    def collect(timeout: float) -> None:
        for _, end in transport.collect(timeout):
            answers[str(end.status) if isinstance(end, Response) else end.kind] += 1

    for request in requests:
        while (left := began + request["at"] - time.perf_counter()) > 0:
            collect(left) if transport.under_way else time.sleep(left)
        while transport.under_way >= CONCURRENCY:
            collect(1.0)
        transport.start(_of(request), None)
        collect(0.0)
    while transport.under_way:
        collect(1.0)
    transport.close()
    return answers


def _of(request: Mapping[str, Any]) -> Request:
    headers = ["Content-Type: application/json"]
    if request.get("key"):
        headers.append(f"Authorization: Bearer {request['key']}")
    return Request(
        method="POST",
        url=request["url"],
        headers=tuple(headers),
        body=json.dumps(request["body"]).encode(),
        timeout=60.0,
    )


if __name__ == "__main__":
    print(json.dumps(make(map(json.loads, sys.stdin))))
