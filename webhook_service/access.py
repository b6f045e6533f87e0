"""Who calls, and whether they may: bearer tokens, compared as hashes in constant time."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from pipeline.ledger import Ledger
from webhook_service.config import ReceiverConfig, Role, Token
from webhook_service.recorder import Recorder


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


def bearer(tokens: Iterable[Token], text: str) -> Token | None:
    """Find whose token this is; every one is compared, so that time tells nothing."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    fitting = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return fitting[0] if fitting else None


ReceiverParts = Annotated[Receiver, Depends(receiver_of)]
_scheme = HTTPBearer(auto_error=False, description="a token of laurel.yaml, or the local one")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]


async def reader(receiver: ReceiverParts, credentials: _Credentials) -> Token:
    """Require any token."""
    text = credentials.credentials if credentials else ""
    token = bearer(receiver.config.tokens, text)
    if token is None:
        raise HTTPException(
            401,
            "This needs a bearer token that the server knows: set LAUREL_TOKEN, or use the"
            " server's own token file.",
            {"WWW-Authenticate": "Bearer"},
        )
    return token


async def operator(token: Annotated[Token, Depends(reader)]) -> Token:
    """Require a token that may change something."""
    if token.role < Role.OPERATOR:
        raise HTTPException(403, "This needs an operator's token; yours may only read.")
    return token


Reader = Annotated[Token, Depends(reader)]
Operator = Annotated[Token, Depends(operator)]
