"""Who may call: the operator's own token, and whom the issuers of auth.oidc vouch for."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.domain.access import Caller, Denied, Grant, Role
from pipeline.settings import Settings
from pipeline.settings.access import AuthSettings, OidcSettings
from pipeline.settings.secrets import read_secret

if TYPE_CHECKING:
    from pipeline.access.id_tokens import Find
    from webhook_service.config import Token

_LOCAL = Caller("operator", (Grant(frozenset({Role.OPERATOR})),), "the server's own token")


def local_token(settings: Settings) -> "Token":
    """Read the operator's token."""
    from webhook_service.config import Token  # noqa: PLC0415 - a worker needs no web framework

    text = read_secret(settings.server.token_file, "run `laurel up`, which makes one")
    return Token(_LOCAL, hashlib.sha256(text).hexdigest())


def rollback_secrets(settings: Settings) -> list[bytes]:
    """Read the secrets with which others sign rollbacks; none: nobody may."""
    hint = "write a secret of 32 random bytes into it"
    return [read_secret(path, hint) for path in settings.rollback.secret_files]


def vouched(auth: AuthSettings) -> Callable[[str], Caller | Denied] | None:
    """Tell whom a token of an OIDC issuer names; nothing is asked before one comes."""
    if not auth.oidc:
        return None
    from pipeline.access.id_tokens import IdTokens  # noqa: PLC0415 - only a receiver needs it

    return IdTokens([(each.described(), _keys(each)) for each in auth.oidc]).read


def _keys(of: OidcSettings) -> "Find":
    from pipeline.access.issuer_keys import IssuerKeys  # noqa: PLC0415 - as above
    from pipeline.access.key_source import KeySource  # noqa: PLC0415 - as above

    source = KeySource(of.issuer, jwks_uri=of.jwks_uri, ca_file=of.ca_file)
    return IssuerKeys(of.issuer, source.read).find
