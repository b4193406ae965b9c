"""Answers under an `Idempotency-Key`: the same request is carried out once, and answered the same again."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.bodies import json_body
from adapters.http.desk import Anybody, Caller, Desk, Here
from adapters.http.problems import IN_FLIGHT, REUSED, invalid, wrong
from adapters.persistence import answers
from adapters.persistence.answers import KeptAnswer

REPLAYED: Final = "Idempotency-Replayed"
_HEADER: Final = "Idempotency-Key"
_KEPT_HEADERS: Final = ("content-type", "location")
_KEY: Final = re.compile(r"[!#-\[\]-~]{1,200}")  # printable ASCII without blank, quote and backslash
_SUCCESS: Final = range(200, 300)


async def body_of(request: Request, _caller: Anybody) -> Mapping[str, Any]:
    """Read the body of somebody who may send one."""
    return await json_body(request)


Body = Annotated[Mapping[str, Any], Depends(body_of)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Carries a request out once for its key. `key` is None where the caller gave none."""

    desk: Desk
    caller: Caller
    key: str | None
    fingerprint: str

    def __call__(
        self, work: Callable[[], Response], *, kept: Callable[[Response], bytes] = lambda answer: bytes(answer.body)
    ) -> Response:
        """Return the work's answer, or the one that it had before.

        Only what succeeded is kept: who was refused may mend the request and use the key again. `kept` says what of
        the answer may be given a second time.
        """
        if self.key is None:
            return work()
        with self.desk.engine.begin() as connection:
            known = answers.begin(connection, self.caller.owner, self.key, self.fingerprint)
        if known is not None:
            return self._replay(known)
        try:
            answer = work()
        except BaseException:
            self._free(self.key)
            raise
        if answer.status_code in _SUCCESS:
            self._keep(self.key, answer, kept(answer))
        else:
            self._free(self.key)
        return answer

    def _replay(self, known: KeptAnswer) -> Response:
        if known.fingerprint != self.fingerprint:
            reason = "was used for another request (method, address, parameters or body): use a new one"
            raise wrong(REUSED, _HEADER, reason)
        if known.status is None or known.body is None:
            raise wrong(IN_FLIGHT, _HEADER, "is that of a request under way", headers={"Retry-After": "1"})
        headers = {**(known.headers or {}), REPLAYED: "true"}
        return Response(known.body, status_code=known.status, headers=headers)

    def _keep(self, key: str, answer: Response, body: bytes) -> None:
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        kept = KeptAnswer(fingerprint=self.fingerprint, status=answer.status_code, headers=headers, body=body)
        with self.desk.engine.begin() as connection:
            answers.keep(connection, self.caller.owner, key, kept)

    def _free(self, key: str) -> None:
        with self.desk.engine.begin() as connection:
            answers.free(connection, self.caller.owner, key, self.fingerprint)


def once_of(
    request: Request,
    desk: Here,
    caller: Anybody,
    body: Body,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=_HEADER,
            description="Names this request: sent again under the same key it is carried out once. Kept for a day.",
            json_schema_extra={"pattern": f'^({_KEY.pattern}|"{_KEY.pattern}")$'},
        ),
    ] = None,
) -> Once:
    key = None if idempotency_key is None else _key_of(idempotency_key)
    return Once(desk=desk, caller=caller, key=key, fingerprint=_fingerprint(request, body))


Single = Annotated[Once, Depends(once_of)]


def _key_of(header: str) -> str:
    """Return the key; the IETF's draft writes it as a string in quotes, and most of the world without."""
    quoted = len(header) > 1 and header[0] == header[-1] == '"'
    key = header[1:-1] if quoted else header
    if not _KEY.fullmatch(key):
        raise invalid(_HEADER, "should be 1 to 200 printable ASCII characters without blanks and quotes")
    return key


def _fingerprint(request: Request, body: Mapping[str, Any]) -> str:
    said = [request.method, request.scope["path"], sorted(request.query_params.multi_items()), body]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
