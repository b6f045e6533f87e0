"""MLflow's webhook that wakes Laurel, as MLflow tells it."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

EVENTS = ("model_version_alias.created", "model_version_alias.deleted")
"""What Laurel wants to be told; no other event means anything to it."""
NAME = "laurel"
PATH = "/webhooks/mlflow"
"""Where the receiver takes deliveries, below its own address."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a registry; its secret is never told."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    active: bool

    @property
    def complete(self) -> bool:
        """Whether it fires, on all that Laurel wants to be told and on nothing else."""
        return self.active and set(self.events) == set(EVENTS)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of MLflow's own test call: an answer, or why there was none."""

    status: int | None
    body: str = ""
    why: str = ""

    @property
    def taken(self) -> bool:
        """Whether it was Laurel's receiver that answered, and believed the signature."""
        told = '"ignored"' in self.body and "test delivery" in self.body
        return told and self.status == HTTPStatus.OK


def leading_to(url: str, webhooks: Iterable[Webhook]) -> list[Webhook]:
    """List the webhooks that lead to this receiver, the oldest first as MLflow lists them last."""
    return [each for each in webhooks if each.url.rstrip("/") == url.rstrip("/")][::-1]
