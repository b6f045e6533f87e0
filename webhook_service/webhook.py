"""``POST /webhooks/mlflow``: authenticate, read, commit, answer. It starts nothing (law 1)."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipeline.domain.delivery import AliasDelivery
from pipeline.errors import (
    DeliveryError,
    MalformedDeliveryError,
    SignatureMismatchError,
    StaleDeliveryError,
    UnsignedDeliveryError,
)
from webhook_service.access import Receiver, receiver_of
from webhook_service.delivery import MLFLOW, Delivery, Scheme, authenticate
from webhook_service.events import AliasEvent, Ignored, parse
from webhook_service.triggers import nearly_watching, watching

router = APIRouter(tags=["webhooks"])

_REFUSED_AS: dict[type[DeliveryError], str] = {
    UnsignedDeliveryError: "unsigned",
    SignatureMismatchError: "signature",
    StaleDeliveryError: "age",
    MalformedDeliveryError: "malformed",
}
_REFUSED_BY_STATUS = {408: "slow", 413: "too_large", 415: "content_type"}
_Read = TypeVar("_Read")
_log = logging.getLogger(__name__)


@router.post("/webhooks/mlflow", status_code=202)
async def mlflow(request: Request) -> Response:
    """Take a webhook delivery of MLflow; 202 once it is stored, 200 where it asks for nothing."""
    receiver = await receiver_of(request)
    delivery, event = await taken(
        request, receiver, receiver.config.secrets(), MLFLOW, lambda sent: parse(sent.body)
    )
    if isinstance(event, Ignored):
        return _ignored(event)
    return await _answer(receiver, delivery, event)


async def taken(
    request: Request,
    receiver: Receiver,
    secrets: Sequence[bytes],
    scheme: Scheme,
    read: Callable[[Delivery], _Read],
) -> tuple[Delivery, _Read]:
    """Authenticate a delivery, then read it; what is refused is counted."""
    try:
        delivery = await _authentic(request, receiver, secrets, scheme)
        return delivery, read(delivery)
    except HTTPException as error:
        receiver.recorder.count_refused(_REFUSED_BY_STATUS[error.status_code])
        raise
    except DeliveryError as error:
        receiver.recorder.count_refused(_REFUSED_AS[type(error)])
        raise


async def _authentic(
    request: Request, receiver: Receiver, secrets: Sequence[bytes], scheme: Scheme
) -> Delivery:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "MLflow sends application/json; so must everyone here.")
    return authenticate(
        request.headers,
        await request.body(),
        secrets=secrets,
        now=receiver.config.now(),
        tolerance=receiver.config.tolerance,
        scheme=scheme,
    )


async def _answer(receiver: Receiver, delivery: Delivery, event: AliasEvent) -> Response:
    services = watching(receiver.config.services, event)
    if services:
        stands = await receiver.recorder.record(_record(receiver, delivery, event, services))
        return _accepted(stands)
    # A repeat answers as the first did, even if laurel.yaml has changed in between.
    first = await run_in_threadpool(receiver.ledger.deliveries.get, delivery.id)
    if first is not None:
        return _accepted(first)
    for service in nearly_watching(receiver.config.services, event):
        _log.warning(
            "alias %r of %r differs only in capitals from the one that service %s watches",
            event.alias,
            event.model,
            service,
        )
    return _ignored(Ignored.UNWATCHED)


def _record(
    receiver: Receiver, delivery: Delivery, event: AliasEvent, services: tuple[str, ...]
) -> AliasDelivery:
    return AliasDelivery(
        id=delivery.id,
        action=event.action,
        model=event.model,
        alias=event.alias,
        version=event.version,
        workspace=event.workspace,
        received_at=receiver.config.now(),
        services=services,
    )


def _accepted(delivery: AliasDelivery) -> Response:
    return JSONResponse({"delivery": delivery.id, "services": list(delivery.services)}, 202)


def _ignored(reason: Ignored) -> Response:
    return JSONResponse({"ignored": reason.value})
