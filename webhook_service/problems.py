"""Every error as ``application/problem+json`` (RFC 9457), without repeating what was sent.

``type`` is ``about:blank``: the HTTP status is the kind of problem, as the RFC has it. ``instance``
is a fresh id that the log line carries too.
"""

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from pipeline.errors import (
    DeliveryError,
    InvalidReferenceError,
    MalformedDeliveryError,
    UnavailableError,
)

RETRY_AFTER = 30
"""Seconds; MLflow's webhook client honours it on 503."""

_SHOWN = 10  # faults of one body
_log = logging.getLogger(__name__)


class Unfit(HTTPException):
    """A "no" that says what would do, to programs too: members of the problem beside ``detail``."""

    def __init__(self, status: int, detail: str, **more: object) -> None:
        super().__init__(status, detail)
        self.more = more


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """Answer with a problem; ``detail`` is one sentence for a person and echoes no input."""
    kind = HTTPStatus(status)
    instance = f"urn:uuid:{uuid.uuid4()}"
    _log.info("answered %d: %s", status, detail, extra={"instance": instance})
    content = {
        "type": "about:blank",
        "title": kind.phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        **(more or {}),
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    """Let every error of this application end in :func:`problem`."""
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(InvalidReferenceError)(_unreadable)
    app.exception_handler(DeliveryError)(_delivery)
    app.exception_handler(UnavailableError)(_unavailable)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(Exception)(_broken)


def problem_of(error: HTTPException) -> Response:
    """Answer with the problem that a route ended in."""
    headers = None if error.headers is None else dict(error.headers)
    more = error.more if isinstance(error, Unfit) else {}
    return problem(error.status_code, _FOR_PEOPLE.get(error.detail, error.detail), headers, more)


def _http(_request: Request, error: HTTPException) -> Response:
    return problem_of(error)


_FOR_PEOPLE = {  # Starlette's own words say nothing of what to do next
    "Not Found": "There is nothing at this address: /docs lists what there is.",
    "Method Not Allowed": "This address takes other methods: see the Allow header.",
}


def _invalid(_request: Request, error: RequestValidationError) -> Response:
    # Only positions and pydantic's own sentences: never the input, but for the start of its keys.
    found = [f"{'.'.join(map(_part, e['loc']))}: {e['msg']}" for e in error.errors()[:_SHOWN]]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(found))


def _part(of_position: str | int) -> str:
    return ascii(of_position)[:40].strip("'")


def _unreadable(_request: Request, error: InvalidReferenceError) -> Response:
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _delivery(_request: Request, error: DeliveryError) -> Response:
    malformed = isinstance(error, MalformedDeliveryError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if malformed else HTTPStatus.UNAUTHORIZED
    return problem(status, str(error))


def _unavailable(_request: Request, error: UnavailableError) -> Response:
    _log.warning("%s", error)
    detail = "The ledger cannot be used now; nothing was recorded. Send the same again later."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER)})


def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    return problem(HTTPStatus.BAD_REQUEST, "The body ended early.")


def _broken(_request: Request, _error: Exception) -> Response:
    detail = "Laurel broke; its log says how. Sending the same again may work."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
