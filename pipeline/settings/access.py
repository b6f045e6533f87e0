"""Who may call beside those with a token of this Laurel: whom an OIDC issuer vouches for."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from pipeline.domain.access import Grant, Role
from pipeline.domain.oidc import PINNED, Issuer, Rule, address_fault
from pipeline.settings.fields import LocalPath, Section


def _believable(url: str) -> str:
    fault = address_fault(url)
    if fault is not None:
        raise ValueError(f"{url!r}: {fault}")
    return url


def _whole(claims: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
    if not any(name in claims for name in PINNED):
        named = ", ".join(PINNED[:-1])
        raise ValueError(f"say whose workflow it must be: one of {named} or {PINNED[-1]}")
    for name, wanted in claims.items():
        values = _list(wanted)
        if not values or not all(values):
            raise ValueError(f"{name}: name at least one value, and no empty one")
        if any("*" in value for value in values):
            raise ValueError(f"{name}: there are no wildcards; list the values that may be")
    return claims


class AllowSettings(Section):
    """What a token must say, and what it is then good for."""

    roles: tuple[Role, ...] = Field(min_length=1)
    """`operator`, `approver` or `reader`; all of them may read."""
    services: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The services that it is for; default: all."""
    claims: Annotated[dict[str, str | tuple[str, ...]], AfterValidator(_whole)]
    """Claims with the value, or the list of values, that each must have; compared as a whole.
    `repository`, `repository_id` or `sub` must be among them."""

    def rule(self) -> Rule:
        """Write it as a value."""
        services = None if self.services is None else frozenset(self.services)
        claims = tuple((name, _list(wanted)) for name, wanted in self.claims.items())
        return Rule(Grant(frozenset(self.roles), services), claims)


class OidcSettings(Section):
    """An issuer whose tokens are believed."""

    issuer: Annotated[str, AfterValidator(_believable)]
    """Its URL, exactly as its tokens' `iss` has it; GitHub's:
    `https://token.actions.githubusercontent.com`."""
    audience: str = Field(min_length=1)
    """Whom its tokens must be for: a name of this Laurel's own, so that no other's token fits."""
    jwks_uri: Annotated[str, AfterValidator(_believable)] | None = None
    """Where its keys are; default: where its `/.well-known/openid-configuration` says."""
    ca_file: LocalPath | None = None
    """Certificates of a private authority, in PEM, beside those that the system trusts."""
    allow: tuple[AllowSettings, ...] = Field(min_length=1)
    """What its tokens may do; whatever fits counts."""

    def described(self) -> Issuer:
        """Write it as a value."""
        return Issuer(self.issuer, self.audience, tuple(each.rule() for each in self.allow))


class AuthSettings(Section):
    """Who may call the API beside the bearers of tokens that `laurel token create` makes."""

    oidc: tuple[OidcSettings, ...] = ()
    """Issuers whose tokens are believed, GitHub Actions' among them."""

    @model_validator(mode="after")
    def _once(self) -> "AuthSettings":
        issuers = [each.issuer for each in self.oidc]
        if len(set(issuers)) != len(issuers):
            raise ValueError("oidc: each issuer may stand once; it takes several rules")
        return self

    def services(self) -> frozenset[str]:
        """Name every service that a rule names."""
        rules = (rule for issuer in self.oidc for rule in issuer.allow)
        return frozenset(name for rule in rules for name in rule.services or ())


def _list(wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    return (wanted,) if isinstance(wanted, str) else wanted
