"""Who calls, and whether they may: what every call but health, metrics and webhooks passes.

A route asks for a :data:`Reader`, an :data:`Approver` or an :data:`Operator`; which service the
call is about is read from its path, so that no route can forget it. Only a route whose service is
in the body, or that lists several, asks the caller itself.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from pipeline.domain.access import Caller, Denial, Denied, Role
from pipeline.domain.promotion import TriggerKind
from pipeline.ledger import Ledger, new_id, repeated_id
from webhook_service.bearers import whose
from webhook_service.config import ReceiverConfig
from webhook_service.recorder import Recorder
from webhook_service.repeats import KEPT, go_on, key_of

_RETRY_AFTER = 30
_STATUS = {
    Denial.UNKNOWN: HTTPStatus.UNAUTHORIZED,
    Denial.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Denial.UNDECIDED: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS = {
    Denial.UNKNOWN: {"WWW-Authenticate": "Bearer"},
    Denial.UNDECIDED: {"Retry-After": str(_RETRY_AFTER)},
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the routes work with."""

    ledger: Ledger
    config: ReceiverConfig
    recorder: Recorder


async def receiver_of(request: Request) -> Receiver:
    """Find this application's parts."""
    found: Receiver = request.app.state.receiver
    return found


ReceiverParts = Annotated[Receiver, Depends(receiver_of)]
_scheme = HTTPBearer(
    auto_error=False,
    description="a token that `laurel token create` made, the local one, or an OIDC issuer's",
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]


def caller(request: Request, receiver: ReceiverParts, credentials: _Credentials) -> Caller:
    """Require somebody who proves who they are."""
    config, ledger = receiver.config, receiver.ledger
    found = whose(credentials.credentials if credentials else "", config, ledger.tokens)
    if isinstance(found, Denied):
        raise _turned_away(found)
    by_cli = request.headers.get("user-agent") == "laurel-cli"  # for the record only
    return replace(found, trigger=TriggerKind.CLI) if by_cli and found.once is None else found


_Caller = Annotated[Caller, Depends(caller)]


def reader(request: Request, receiver: ReceiverParts, found: _Caller) -> Caller:
    """Require somebody who may read what the path is about."""
    require(found, Role.READER, _service(request, receiver, found))
    return found


async def change_of(request: Request) -> str:
    """Tell a change from others: by its method, path and body, so that a repeat is the same."""
    target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
    said = [request.method.encode(), target, await request.body()]
    return hashlib.sha256(b"\n".join(said)).hexdigest()


def operator(
    request: Request,
    receiver: ReceiverParts,
    found: _Caller,
    change: Annotated[str, Depends(change_of)],
) -> Caller:
    """Require somebody who may change what the path is about."""
    require(found, Role.OPERATOR, _service(request, receiver, found))
    return begun(request, receiver, found, change)


def approver(
    request: Request,
    receiver: ReceiverParts,
    found: _Caller,
    change: Annotated[str, Depends(change_of)],
) -> Caller:
    """Require somebody whose word counts about what the path is about."""
    require(found, Role.APPROVER, _service(request, receiver, found))
    return begun(request, receiver, found, change)


def begun(request: Request, receiver: Receiver, found: Caller, change: str) -> Caller:
    """Begin a change: spend a single-use token on it, and find whether it was made already."""
    ledger, now = receiver.ledger, receiver.config.now()
    key = key_of(request)
    if found.once is not None:
        spent = ledger.spent_tokens.spend(found.once, change, now)
        if spent is None:
            detail = "This token was used for another change: ask for a fresh one."
            raise _turned_away(Denied(Denial.UNKNOWN, detail))
        found = replace(found, change=spent)
    if key is None:
        return found
    # A key outlives a token: asked for again with a fresh one, it is still the same change.
    claimed = ledger.answers.claim(found.actor, key, change, at=now, kept=KEPT)
    return replace(found, change=go_on(request, claimed))


def still_allowed(
    receiver: ReceiverParts, credentials: _Credentials
) -> Callable[[Role, str], bool]:
    """Lend what tells, later on, whether the caller may still do this to a service."""
    text = credentials.credentials if credentials else ""

    def allowed(role: Role, service: str) -> bool:
        found = whose(text, receiver.config, receiver.ledger.tokens)
        if isinstance(found, Denied):
            return found.why is Denial.UNDECIDED  # an issuer that is away takes nobody's right
        return found.may(role, service)

    return allowed


Reader = Annotated[Caller, Depends(reader)]
StillAllowed = Annotated[Callable[[Role, str], bool], Depends(still_allowed)]
Operator = Annotated[Caller, Depends(operator)]
Approver = Annotated[Caller, Depends(approver)]


def require(found: Caller, role: Role, service: str | None) -> None:
    """Turn away who may not do this to a service; without one, to any service at all."""
    if found.may(role, service):
        return
    if not found.may(role):
        roles = " and ".join(found.roles)
        detail = f"This needs the role {role}; {found.proof} has {roles}."
    else:
        names = ", ".join(sorted(found.services(role) or ()))
        detail = f"{found.proof} may do this to {names} alone."
    raise _turned_away(Denied(Denial.NOT_ALLOWED, detail[0].upper() + detail[1:]))


def promotion_id(found: Caller, service: str) -> str:
    """Make a promotion's id: a new one, or the one that the same change with one token made."""
    if found.change is None:
        return new_id()
    return repeated_id(found.change.at, f"{found.change.id} {service}")


def _service(request: Request, receiver: Receiver, found: Caller) -> str | None:
    """Name the service that the path is about; ``None`` where there is none, or it matters not."""
    if not found.bound:
        return None
    promotion = request.path_params.get("promotion")
    if promotion is None:
        return request.path_params.get("name")
    there = receiver.ledger.promotions.get(promotion)
    return None if there is None else there.service


def _turned_away(denied: Denied) -> HTTPException:
    return HTTPException(_STATUS[denied.why], denied.reason, _HEADERS.get(denied.why))
