"""CloudEvents over real connections: TLS, redirects, receivers that hang, and what errors tell."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3

from pipeline.adapters.system_clock import SystemClock
from pipeline.errors import (
    ConfigurationError,
    PermanentError,
    RateLimitedError,
    TransientError,
    UnavailableError,
)
from pipeline.notify import webhook_sender
from pipeline.notify.text import trial
from pipeline.notify.webhook_sender import WebhookSender
from tests.servers.certificates import private_certificate
from tests.servers.receiving import Receiver, receiving

NOTICE = trial(datetime(2026, 1, 5, tzinfo=UTC), "https://laurel.example.com")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def sender(url: str, ca_file: Path | None = None) -> WebhookSender:
    return WebhookSender(
        "audit",
        url,
        lambda: [b"a secret"],
        source="https://laurel.example.com",
        clock=SystemClock(),
        ca_file=ca_file,
    )


def test_what_arrives_is_a_cloud_event_in_structured_form(receiver: Receiver) -> None:
    sender(receiver.url).send(NOTICE)
    (posted,) = receiver.posted
    assert posted.path == "/told"
    assert posted.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert posted.headers["webhook-id"] == posted.json["id"] == NOTICE.id
    assert abs(int(posted.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert posted.headers["webhook-signature"].startswith("v1,")


def test_a_private_authority_is_trusted_where_its_file_is_named(tmp_path: Path) -> None:
    certificate = private_certificate(tmp_path)
    with receiving(certificate) as receiver:
        with pytest.raises(UnavailableError, match="its certificate is not trusted"):
            sender(receiver.url).send(NOTICE)
        sender(receiver.url, certificate.ca_file).send(NOTICE)
    assert len(receiver.posted) == 1


def test_an_authority_that_cannot_be_read_is_told_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"notifications\.audit\.ca_file"):
        sender("https://localhost", tmp_path / "none.pem")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        with pytest.raises(UnavailableError, match="answers 307, and redirects are not followed"):
            sender(receiver.url).send(NOTICE)
    assert elsewhere.posted == []


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (400, PermanentError, "refuses this notice with 400"),
        (413, PermanentError, "refuses this notice with 413"),
        (401, UnavailableError, "compare the secrets"),
        (404, UnavailableError, "nobody is at this address"),
        (410, UnavailableError, "remove the channel"),
        (418, UnavailableError, "it answers 418"),
        (429, RateLimitedError, "it answers 429"),
        (503, UnavailableError, "it answers 503"),
    ],
)
def test_a_status_says_whether_another_notice_might_be_taken(
    receiver: Receiver, status: int, kind: type[Exception], why: str
) -> None:
    receiver.status = status
    with pytest.raises(kind, match=why):
        sender(receiver.url).send(NOTICE)


@pytest.mark.parametrize(("said", "meant"), [("7", 7.0), ("soon", None), ("\u0667", None)])
def test_a_pause_is_read_where_it_is_a_number_of_seconds(
    receiver: Receiver, said: str, meant: float | None
) -> None:
    receiver.status = 503
    receiver.headers = {"Retry-After": said.encode().decode("latin-1")}
    with pytest.raises(TransientError) as refused:
        sender(receiver.url).send(NOTICE)
    assert refused.value.retry_after == meant


def test_a_receiver_that_never_answers_is_left(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    receiver.meanwhile = lambda: over.wait(30)
    monkeypatch.setattr(webhook_sender, "_TIMEOUT", urllib3.Timeout(connect=5, read=0.2))
    with pytest.raises(UnavailableError, match="does not answer"):
        sender(receiver.url).send(NOTICE)
    over.set()


def test_no_error_shows_more_of_an_address_than_its_host(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for status in (302, 400, 500):
        receiver.status = status
        url = receiver.url.replace("told", "hunter2?token=hunter2")
        with pytest.raises((PermanentError, TransientError)) as refused:
            sender(url).send(NOTICE)
        assert "audit at 127.0.0.1" in str(refused.value)
        assert "hunter2" not in repr(refused.value)
    receiver.down()
    with pytest.raises(UnavailableError) as away:
        sender(receiver.url.replace("told", "hunter2")).send(NOTICE)
    assert "hunter2" not in repr(away.value) + str(away.value.__cause__)
    assert "hunter2" not in caplog.text
