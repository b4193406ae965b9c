"""The limit: the same payments asked about with no queue, no database and no rules. One process, one loop.

python -m benchmarks.bare aiohttp|libcurl BASE_URL COUNT CONCURRENCY
"""

import asyncio
import json
import resource
import sys
import time

import aiohttp

from adapters.transport import Request, Response, Transport


async def _aiohttp(base_url: str, count: int, concurrency: int) -> None:
    references = iter(range(count))

    async def ask(session: aiohttp.ClientSession) -> None:
        for n in references:
            async with session.get(f"{base_url}/payments/r{n}") as answer:
                assert (await answer.json())["status"] == "pending"

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(ask(session) for _ in range(concurrency)))


def _libcurl(base_url: str, count: int, concurrency: int) -> None:
    transport = Transport()
    begun = ended = 0
    while ended < count:
        while begun < count and begun - ended < concurrency:
            transport.start(Request(method="GET", url=f"{base_url}/payments/r{begun}", timeout=60.0), begun)
            begun += 1
        for _, answer in transport.collect(1.0):
            assert isinstance(answer, Response)
            assert json.loads(answer.body)["status"] == "pending"
            ended += 1
    transport.close()


def main(client: str, base_url: str, count: int, concurrency: int) -> None:
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    if client == "aiohttp":
        asyncio.run(_aiohttp(base_url, count, concurrency))
    else:
        _libcurl(base_url, count, concurrency)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps({"a_second": count / seconds, "cpu_us": cpu / count * 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
