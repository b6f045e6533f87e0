"""``laurel webhook``: the webhook in MLflow that wakes this Laurel. MLflow's administrators run it.

No server of Laurel's is needed, but where one runs MLflow's own test call tells whether it works.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import say
from pipeline.cli.output import Table, print_json, show
from pipeline.errors import LaurelError, TransientError

if TYPE_CHECKING:
    from pipeline.domain.webhook import Tried
    from pipeline.ports import Webhooks
    from pipeline.settings import Settings
    from pipeline.subscription import Subscribed

_CACHED = (
    "MLflow may remember for a minute what it had before: until then the alias is found by polling"
)


@click.group()
def webhook() -> None:
    """Keep MLflow's webhook, which makes promotions start at once."""


@webhook.command()
@shared
def install(asked: Asked) -> None:
    """Make MLflow's webhook, or mend the one that is there.

    It leads to webhook.url, is told of aliases alone and signs with the secret of
    webhook.secret_file. Typing it again changes nothing.
    """
    settings = asked.settings()
    _tell(_subscribe(settings, _secret(settings)), asked)


@webhook.command()
@shared
def rotate(asked: Asked) -> None:
    """Give MLflow's webhook a new secret.

    The old one counts for ten minutes more. Where webhook.secret_file is a list, MLflow is given
    the first one's secret, and no file changes.
    """
    settings = asked.settings()
    files = settings.webhook.secret_files
    if len(files) > 1:
        done = _subscribe(settings, _secret(settings))
        _tell(done, asked)
        others = ", ".join(str(path) for path in files[1:])
        say(f"in ten minutes take {others} out of webhook.secret_file")
        return
    from pipeline.settings.rotation import replace_secret, restore_secret

    _require_webhooks(settings)
    new = replace_secret(files[0])
    try:
        done = _subscribe(settings, new)
    except TransientError:
        say("whether MLflow has the new secret is not known: `laurel webhook install` makes sure")
        raise
    except LaurelError:
        restore_secret(files[0])
        raise
    _tell(done, asked)


@webhook.command()
@shared
def remove(asked: Asked) -> None:
    """Remove MLflow's webhook; aliases are found by polling then."""
    from pipeline import wiring
    from pipeline.subscription import unsubscribe

    settings = asked.settings()
    url = wiring.webhook_url(settings)
    removed = sum(unsubscribe(each, url=url) for each in wiring.build_webhooks(settings).values())
    if asked.json:
        print_json({"url": url, "removed": removed})
    else:
        click.echo(f"removed {removed} leading to {url}")


def _secret(settings: "Settings") -> str:
    from pipeline.settings.secrets import webhook_secrets

    return webhook_secrets(settings.webhook)[0].decode()


def _require_webhooks(settings: "Settings") -> None:
    """Find out that MLflow lets us, before any file changes."""
    from pipeline import wiring

    for each in wiring.build_webhooks(settings).values():
        each.list()


def _subscribe(settings: "Settings", secret: str) -> "dict[str, tuple[Subscribed, Tried]]":
    from pipeline import wiring
    from pipeline.subscription import subscribe

    url = wiring.webhook_url(settings)

    def done(webhooks: "Webhooks") -> "tuple[Subscribed, Tried]":
        subscribed = subscribe(webhooks, url=url, secret=secret)
        return subscribed, webhooks.test(subscribed.webhook)

    return _by_workspace(done, wiring.build_webhooks(settings))


def _by_workspace(
    do: "Callable[[Webhooks], tuple[Subscribed, Tried]]", webhooks: "dict[str, Webhooks]"
) -> "dict[str, tuple[Subscribed, Tried]]":
    return {workspace: do(each) for workspace, each in webhooks.items()}


def _tell(done: "dict[str, tuple[Subscribed, Tried]]", asked: Asked) -> None:
    items = [_json(workspace, *each) for workspace, each in done.items()]
    rows = [(item["webhook"], item["url"], item["was"], item["test"]) for item in items]
    show(
        {"items": items},
        Table(("webhook", "leads to", "was", "MLflow's test call"), rows),
        as_json=asked.json,
    )
    if not all(tried.taken for _, tried in done.values()):
        say("MLflow's test call was not taken: start `laurel up`, then see `laurel doctor`")
    elif any(subscribed.made for subscribed, _ in done.values()):
        say(_CACHED)


def _json(workspace: str, subscribed: "Subscribed", tried: "Tried") -> dict[str, Any]:
    return {
        "workspace": workspace,
        "webhook": subscribed.webhook.id,
        "url": subscribed.webhook.url,
        "events": list(subscribed.webhook.events),
        "was": "not there" if subscribed.made else "there",
        "removed": subscribed.removed,
        "test": "taken" if tried.taken else (tried.why or f"answered {tried.status}")[:200],
    }
