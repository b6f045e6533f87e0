"""MLflow's server beside its models: the webhooks that it keeps, and what it says of itself."""

from datetime import datetime
from typing import Protocol

from pipeline.domain.references import ModelVersion
from pipeline.domain.webhook import Tried, Webhook


class Webhooks(Protocol):
    """The webhooks of one registry, which only an administrator of MLflow's sees.

    Every call raises ``NotFoundError`` where this MLflow has no webhooks, ``ForbiddenError`` where
    this account may not, and ``UnavailableError`` also where MLflow cannot read its own.
    """

    def list(self) -> tuple[Webhook, ...]:
        """List every one, the newest first."""

    def create(self, name: str, url: str, secret: str, *, active: bool = True) -> Webhook:
        """Make one for what Laurel wants to be told.

        ``RejectedError`` where MLflow's own rules forbid that address.
        """

    def change(self, webhook: Webhook, *, secret: str) -> Webhook:
        """Give it this secret and Laurel's events, and let it fire."""

    def delete(self, webhook: Webhook) -> None:
        """Remove one; not there: nothing changes."""

    def test(self, webhook: Webhook) -> Tried:
        """Let MLflow make its test call; it may take two minutes where nobody answers."""


class RegistryServer(Protocol):
    """What MLflow's server says of itself, and of what this account may."""

    def version(self) -> str | None:
        """Read its version; ``None`` where it does not say."""

    def now(self) -> datetime | None:
        """Read its clock; ``None`` where it does not say."""

    def may_tag(self, model: ModelVersion) -> bool:
        """Tell whether this account may write on versions of this model; nothing is written."""
