"""MLflow's webhook for what this Laurel watches: made, kept right, and removed.

Every call may be repeated, and begins with what MLflow has.
"""

from dataclasses import dataclass

from pipeline.domain.webhook import NAME, Webhook, leading_to
from pipeline.ports import Webhooks


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The webhook as it stands now; ``made`` says that it was not there before."""

    webhook: Webhook
    made: bool
    removed: int = 0


def subscribe(webhooks: Webhooks, *, url: str, secret: str) -> Subscribed:
    """Let exactly one webhook lead to this receiver, with this secret and Laurel's events.

    One that is there is kept, whoever made it: what it lacks is set. Further ones would only
    deliver everything twice, and are removed.
    """
    there = leading_to(url, webhooks.list())
    if not there:
        return Subscribed(webhooks.create(NAME, url, secret), made=True)
    kept, *others = there
    changed = webhooks.change(kept, secret=secret)
    for each in others:
        webhooks.delete(each)
    return Subscribed(changed, made=False, removed=len(others))


def unsubscribe(webhooks: Webhooks, *, url: str) -> int:
    """Remove every webhook that leads to this receiver; return how many there were."""
    there = leading_to(url, webhooks.list())
    for each in there:
        webhooks.delete(each)
    return len(there)
