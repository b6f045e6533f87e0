"""The real apprise, in its process, to receivers on loopback."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.domain.notice import Notice, Urgency
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.notify import apprise_sender
from pipeline.notify.apprise_sender import AppriseSender, require_apprise
from pipeline.notify.text import body_of, trial
from tests.servers.certificates import private_certificate
from tests.servers.receiving import Receiver, receiving

NOTICE = trial(datetime(2026, 1, 5, tzinfo=UTC), "https://laurel.example.com")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def send(address: str, notice: Notice = NOTICE) -> None:
    AppriseSender("ops", lambda: address).send(notice)


def json_of(receiver: Receiver, path: str = "ops") -> str:
    return f"json://127.0.0.1:{receiver.port}/{path}"


@pytest.mark.parametrize("urgency", Urgency)
def test_title_text_and_urgency_arrive(receiver: Receiver, urgency: Urgency) -> None:
    send(json_of(receiver), replace(NOTICE, urgency=urgency))
    (posted,) = receiver.posted
    assert posted.path == "/ops"
    assert posted.json["title"] == "laurel: this is a trial"
    assert posted.json["message"] == body_of(NOTICE)
    assert posted.json["type"] == urgency.value


def test_what_looks_like_markup_arrives_as_it_was_written(receiver: Receiver) -> None:
    strange = r"<b>&amp; *not bold* \n _x_ ${HOME} 😀 :smile:"
    send(json_of(receiver), replace(NOTICE, sentence=strange))
    assert receiver.posted[0].json["message"].startswith(strange)


@pytest.mark.parametrize("status", [401, 500])
def test_a_receivers_refusal_is_told_with_its_status(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(UnavailableError, match=rf"ops\): it answers {status}"):
        send(json_of(receiver))


def test_whoever_is_down_is_told_apart_from_an_address_that_nobody_knows(
    receiver: Receiver,
) -> None:
    receiver.down()
    with pytest.raises(UnavailableError, match="could not be reached"):
        send(json_of(receiver))
    with pytest.raises(UnavailableError, match="apprise does not know such an address"):
        send("carrier-pigeon://hunter2")


@pytest.mark.parametrize("said", ["", "?redirect=yes"])
def test_no_redirect_is_followed_whatever_the_address_says(receiver: Receiver, said: str) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        with pytest.raises(UnavailableError, match="it answers 307"):
            send(json_of(receiver) + said)
    assert elsewhere.posted == []


@pytest.mark.parametrize("said", ["", "?verify=no"])
def test_certificates_are_verified_whatever_the_address_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    certificate = private_certificate(tmp_path)
    with receiving(certificate) as receiver:
        address = f"jsons://localhost:{receiver.port}/{said}"
        with pytest.raises(UnavailableError):
            send(address)
        assert receiver.posted == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.ca_file))
        send(address)
    assert len(receiver.posted) == 1


def test_nothing_of_an_address_is_shown(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.status = 403
    address = f"json://ada:hunter2@127.0.0.1:{receiver.port}/hunter2"
    with pytest.raises(UnavailableError) as refused:
        send(address)
    shown = repr(refused.value) + str(refused.value.__cause__) + caplog.text
    assert "hunter2" not in shown + "".join(capfd.readouterr())


def children() -> list[Path]:
    """Find the processes of apprise that this one has started."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            ours = f"PPid:\t{os.getpid()}\n" in (each / "status").read_text()
            if ours and b"apprise_child.py" in (each / "cmdline").read_bytes():
                found.append(each)
    return found


def test_it_sees_none_of_our_secrets_neither_in_its_environment_nor_in_its_command(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def look() -> None:
        (child,) = children()
        seen.extend((child / name).read_bytes() for name in ("environ", "cmdline"))

    monkeypatch.setenv("LAUREL_SIGNING__PASSWORD", "hunter2")
    receiver.meanwhile = look
    send(json_of(receiver, "hunter2"))
    environ, command = seen
    assert b"PATH=" in environ
    assert b"hunter2" not in environ + command


def test_the_proxy_of_our_environment_is_its_proxy_too(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(UnavailableError, match="could not be reached"):
        send(json_of(receiver))


def test_one_that_hangs_is_ended(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    receiver.meanwhile = lambda: over.wait(60)
    monkeypatch.setattr(apprise_sender, "_SECONDS", 5.0)
    with pytest.raises(UnavailableError, match="nothing was heard of it"):
        send(json_of(receiver, "ops?rto=50"))
    over.set()


def test_a_process_that_breaks_is_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_sender, "_CHILD", Path("/nonexistent"))
    with pytest.raises(UnavailableError, match="or it broke"):
        send("json://127.0.0.1")


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_apprise()
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'laurel\[notify\]'"):
        require_apprise()


def test_apprise_is_not_loaded_into_the_worker() -> None:
    require_apprise()
    assert "apprise" not in sys.modules
