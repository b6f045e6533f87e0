"""Whose a bearer token is: one of the settings, one of the ledger, or one of an OIDC issuer."""

import hashlib
import hmac
from collections.abc import Iterable

from pipeline.domain.access import Caller, Denial, Denied
from pipeline.ledger import IssuedToken, Tokens
from webhook_service.config import ReceiverConfig, Token

_DOTS = 2  # of a JSON Web Token; no token of Laurel's has one


def whose(text: str, config: ReceiverConfig, tokens: Tokens) -> Caller | Denied:
    """Find whose token this is, or say why it is nobody's."""
    named = _of_settings(config.tokens, text)
    if named is not None:
        return named
    issued = tokens.find(text)
    if issued is not None:
        return _of_ledger(issued, config)
    if config.vouched is not None and text.count(".") == _DOTS:
        return config.vouched(text)
    return Denied(
        Denial.UNKNOWN,
        "This needs a bearer token that the server knows: set LAUREL_TOKEN, or use the server's"
        " own token file.",
    )


def _of_settings(tokens: Iterable[Token], text: str) -> Caller | None:
    """Compare with every one, so that time tells nothing."""
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    fitting = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return fitting[0].caller if fitting else None


def _of_ledger(token: IssuedToken, config: ReceiverConfig) -> Caller | Denied:
    state = token.state(config.now())
    if state != "active":
        return Denied(
            Denial.UNKNOWN, f"The token {token.name} is {state}: `laurel token create` makes one."
        )
    return Caller(token.name, (token.grant,), f"the token {token.name}", token=token.id)
