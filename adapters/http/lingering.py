"""An answer to who is still sending: the connection ends by it, and not before it was read."""

import asyncio
from typing import Final

from fastapi.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

# Closing a connection on which something arrives resets it, and many clients then never see the answer. So what comes
# is thrown away for a while. Who sends still more, or still longer, is cut off.
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_SECONDS: Final = 10.0


class Lingering(JSONResponse):
    """Sent at once; the connection is closed when the body has come to its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def kept_open(message: Message) -> None:
            # The last part is held back, for the server closes the connection behind it.
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await super().__call__(scope, receive, kept_open)
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    left = _MOST_BYTES
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):  # it has come to its end, or the client has left
                    return
    except TimeoutError:
        return
