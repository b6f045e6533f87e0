"""Changes that are asked for again under the same key: they are made once and answered alike.

A caller names a change by ``Idempotency-Key``; a signed call by its delivery's id. Its answer is
kept for a day. A receiver that is killed between change and answer makes the change again when it
is told again, and finds it made: what it accepts has an id that follows from the key.
"""

import hashlib
import re
from collections.abc import Callable, Coroutine
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.domain.access import Change
from pipeline.ledger import Claim, Given, Ledger
from webhook_service.problems import problem_of

KEPT = timedelta(hours=24)
"""How long an answer is given again."""
HEADER = "idempotency-key"

_KEY = re.compile(r"[\x21-\x7e]{1,200}\Z")
_REPLAYED = {"Idempotent-Replayed": "true"}
_REFUSED = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}  # kept too: a repeat must never do more


class Repeated(Exception):  # noqa: N818 - not an error: how a repeat leaves its route
    """What was asked has its answer already."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.given = given


class Repeatable(APIRoute):
    """Gives the answer of a claimed change again, and keeps the one that it gives first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's own handler."""
        do = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                answer = await do(request)
            except Repeated as repeated:
                return _again(repeated.given)
            except HTTPException as error:
                if error.status_code not in _REFUSED:
                    raise
                answer = problem_of(error)
            await _keep(request, answer)
            return answer

        return handle


def key_of(request: Request) -> str | None:
    """Read under which key a caller may ask again."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.match(key):
        detail = "An Idempotency-Key is 1 to 200 visible ASCII characters: send a UUID."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return key


def go_on(request: Request, claimed: Claim | None) -> Change:
    """Go on with what was claimed, or answer as before.

    Raises
    ------
    Repeated
        Where it was answered.
    HTTPException
        Where the key was used for another request.

    """
    if claimed is None:
        detail = "This key was used for another request: send a new one with a new request."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    if claimed.given is not None:
        raise Repeated(claimed.given)
    request.state.claim = claimed
    seed = f"{claimed.caller}\n{claimed.key}"
    return Change(hashlib.sha256(seed.encode()).hexdigest(), claimed.at)


async def _keep(request: Request, answer: Response) -> None:
    claimed: Claim | None = getattr(request.state, "claim", None)
    if claimed is None:
        return
    ledger: Ledger = request.app.state.receiver.ledger
    body, location = bytes(answer.body).decode(), answer.headers.get("location")
    await run_in_threadpool(ledger.answers.give, claimed, Given(answer.status_code, body, location))


def _again(given: Given) -> Response:
    kind = "application/problem+json" if given.status in _REFUSED else "application/json"
    headers = _REPLAYED | ({"Location": given.location} if given.location else {})
    return Response(given.body, given.status, headers, media_type=kind)
