"""What providers tell us: a hint to ask, and never trusted for its content."""

from typing import Annotated

from fastapi import Path
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, ValidationError
from standardwebhooks import WebhookVerificationError
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.bodies import check_media_type, raw_body, read_json
from adapters.http.commands import ACCEPTED
from adapters.http.desk import Desk, Here
from adapters.http.problems import BAD_SIGNATURE, INVALID, NOT_FOUND, Problem, wrong
from adapters.http.requests import body_with
from adapters.http.routing import open_resource, taking
from adapters.messages.fields import Reference
from adapters.messages.reasons import field_errors
from adapters.persistence.told import told, told_of_reversal
from domain.model.due_work import Work

router = open_resource("providers to us")


class ProviderEvent(BaseModel):
    """All that is read of an event: which payment to ask about."""

    model_config = ConfigDict(strict=True)

    reference: Reference


@router.post(
    "/providers/{provider}/events",
    operation_id="providerEvent",
    status_code=ACCEPTED,
    response_class=Response,
    responses=taking(401, 404, 422, 500, 503),
    openapi_extra=body_with(ProviderEvent),
)
async def tell(request: Request, desk: Here, provider: Annotated[str, Path(min_length=1, max_length=64)]) -> Response:
    """Bring the next inquiry about a payment forward; signed by Standard Webhooks where the provider has a secret."""
    if provider not in desk.webhooks:
        raise Problem(NOT_FOUND)
    raw = await raw_body(request)
    _check_signature(desk, provider, request, raw)
    check_media_type(request.headers.get("content-type"))
    value = read_json(raw or b"{}")
    try:
        event = ProviderEvent.model_validate(value)
    except ValidationError as error:
        raise Problem(INVALID, errors=field_errors(error)) from None
    await run_in_threadpool(_bring_forward, desk, provider, event.reference)
    # The same for a payment that nobody has named: who guesses references learns nothing.
    return Response(status_code=ACCEPTED)


def _check_signature(desk: Desk, provider: str, request: Request, raw: bytes) -> None:
    webhook = desk.webhooks[provider]
    if webhook is None:
        return
    try:
        webhook.verify(raw, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # the library lets a garbled signature raise what it may
        reason = "is not that of this body, or its time is long past"
        raise wrong(BAD_SIGNATURE, "webhook-signature", reason) from None


def _bring_forward(desk: Desk, provider: str, reference: str) -> None:
    with desk.engine.begin() as connection:
        is_due = told(connection, provider, reference)
    if is_due:
        desk.application.hint(Work.POLL)
    most = desk.application.policies[provider].most_attempts // 2
    # On its own, so that never two rows of due work are locked in an order that waves do not have.
    with desk.engine.begin() as connection:
        is_due = told_of_reversal(connection, provider, reference, most=most)
    if is_due:
        desk.application.hint(Work.REVERSE)
