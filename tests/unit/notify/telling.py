"""A scene with channels: promotions that run in memory, and receivers that are real."""

from collections.abc import Collection
from pathlib import Path

from pipeline.domain.chain import Entry
from pipeline.domain.notice import Notice, Topic
from pipeline.notify.notifier import Channel, Notifier, Sender
from pipeline.notify.rule import Rule, topics_of
from pipeline.notify.text import notice_of
from pipeline.notify.webhook_sender import WebhookSender
from tests.unit.promotion_scene import SERVICE, Scene

URL = "https://laurel.example.com"
SECRET = b"a secret of a test's own"


def sender_to(one: Scene, url: str, name: str = "audit", ca_file: Path | None = None) -> Sender:
    return WebhookSender(name, url, lambda: [SECRET], source=URL, clock=one.clock, ca_file=ca_file)


def notifier_of(
    one: Scene,
    sender: Sender,
    name: str = "audit",
    topics: Collection[Topic] = tuple(Topic),
    services: Collection[str] = (),
) -> Notifier:
    """Make a channel that begins here and now."""
    one.ledger.notifications.watch([name])
    return Notifier(one.ledger, Channel(name, Rule(topics, services), sender), one.clock, url=URL)


def last(one: Scene, kind: str) -> Entry:
    return one.ledger.history.entries(SERVICE, kinds=[kind])[-1]


def told(one: Scene, kind: str = "ended") -> Notice:
    """Write the last event of a kind as people are told of it."""
    entry = last(one, kind)
    promotion = one.ledger.promotions.get(entry.promotion) if entry.promotion else None
    return notice_of(entry, topics_of(entry, one.ledger), promotion, URL)
