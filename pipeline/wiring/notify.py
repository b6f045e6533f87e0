"""Who is told what became of promotions: channels of laurel.yaml to senders."""

from collections.abc import Iterator
from functools import partial

from pipeline.notify.apprise_sender import AppriseSender, require_apprise
from pipeline.notify.cloud_event import key_of
from pipeline.notify.notifier import Channel, Sender
from pipeline.notify.rule import Rule
from pipeline.notify.webhook_sender import WebhookSender
from pipeline.ports import Clock
from pipeline.settings import Settings
from pipeline.settings.notifications import NotificationSettings
from pipeline.settings.secrets import read_secret, revealed


def channels(settings: Settings, clock: Clock, url: str) -> Iterator[Channel]:
    """Make the channels; ``url`` is this Laurel to them.

    Raises
    ------
    ConfigurationError
        Where a file cannot be read, or apprise is wanted and not installed.

    """
    for each in settings.notifications:
        yield Channel(each.name, Rule(each.on, each.services), _sender(each, clock, url))


def _sender(channel: NotificationSettings, clock: Clock, url: str) -> Sender:
    if channel.webhook is None:
        require_apprise()
        address = partial(_address, channel)
        address()
        return AppriseSender(channel.name, address)
    secrets = partial(_secrets, channel)
    for secret in secrets():
        key_of(secret)
    return WebhookSender(
        channel.name,
        channel.webhook,
        secrets,
        source=url,
        clock=clock,
        ca_file=channel.ca_file,
    )


def _address(channel: NotificationSettings) -> str:
    if channel.to_file is None:
        return revealed(channel.to)
    made_by = f"write the address of the channel {channel.name} into it"
    return read_secret(channel.to_file, made_by).decode(errors="replace")


def _secrets(channel: NotificationSettings) -> list[bytes]:
    made_by = f"write the secret of the channel {channel.name} into it"
    return [read_secret(path, made_by) for path in channel.secret_files]
