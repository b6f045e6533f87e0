"""``laurel watch``, against a real server."""

import json
import threading
from collections.abc import Callable, Iterator
from importlib import import_module

import pytest

from pipeline.cli.client import Client
from pipeline.cli.watch import frames, line_of
from pipeline.domain.promotion import Control, ControlKind, Phase, Waiting
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.ledger import Ledger
from tests.unit.cli.conftest import FIRST, NOW, Served, laurel

module = import_module("pipeline.cli.watch")  # the package has the verb under this name


def live(ledger: Ledger, of: str) -> None:
    """Let a promotion go through what people want to see."""

    def note(kind: str, **data: object) -> None:
        ledger.events.append(of, NOW, kind, data)

    note("step_started", name="canary", attempt=1)
    note("look", percent=10, verdict="hold", samples={"stable": 90, "canary": 10})
    ledger.promotions.change(of, waiting=Waiting("traffic", NOW))
    note("retry", name="canary", why="Envoy is away")
    note("attention", reason="no traffic for an hour")
    ledger.controls.add(of, Control(ControlKind.ABORT, "ada", "looks wrong", NOW))
    why = {"reason": "looks wrong"}
    note("step_ended", name="canary", phase="aborted", evidence=why)
    note("step_ended", name="restore", phase="succeeded", evidence={})
    ledger.promotions.change(
        of, phase=Phase.ABORTED, reason="looks wrong", waiting=None, ended_at=NOW
    )


def test_a_promotion_is_shown_line_by_line_to_its_end(served: Served) -> None:
    of = served.promoted(1, FIRST, Phase.RUNNING).id
    threading.Timer(0.3, live, (served.ledger, of)).start()
    result = laurel("watch", of)
    assert result.exit_code == 1, result.stderr
    lines = [line[10:] for line in result.stdout.splitlines()]
    assert lines[0] == f"fraud promotion {of} running"
    told = [line for line in lines if not line.startswith("fraud")]
    assert told == [
        "canary begins",
        "10 %: hold, 10 requests, 90 of stable",
        "retry: Envoy is away",
        "attention: no traffic for an hour",
        "abort by ada: looks wrong",
        "canary aborted: looks wrong",
        "restore succeeded",
    ]
    assert lines[-1] == f"fraud promotion {of} aborted: looks wrong"


def test_programs_get_one_event_a_line(served: Served) -> None:
    of = served.promoted(1, FIRST).id
    result = laurel("watch", of, "--json")
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["kind"] for event in events] == ["accepted", "ended"]


def test_without_an_id_it_is_the_newest_that_has_not_ended(served: Served) -> None:
    served.promoted(1, FIRST)
    of = served.promoted(2, FIRST, Phase.RUNNING).id
    threading.Timer(0.2, live, (served.ledger, of)).start()
    result = laurel("watch")
    assert result.exit_code == 1
    assert of in result.stdout


def test_where_nothing_is_promoted_it_waits_for_what_begins(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(_seconds: float) -> None:
        if not served.ledger.promotions.page().items:
            of = served.promoted(1, FIRST, Phase.RUNNING).id
            threading.Timer(0.3, live, (served.ledger, of)).start()

    monkeypatch.setattr(module.time, "sleep", begin)
    result = laurel("watch")
    assert result.exit_code == 1
    assert result.stderr.count("waiting for what begins next") == 1


def test_a_promotion_that_waits_says_for_what() -> None:
    standing = {
        "service": "fraud",
        "kind": "promotion",
        "id": "p",
        "phase": "running",
        "waiting": {"for": "approval"},
        "ended_at": None,
    }
    assert line_of("promotion", standing).endswith("running, waiting for approval")


def test_an_unknown_promotion_is_a_mistake_of_the_caller(served: Served) -> None:
    assert served.url
    result = laurel("watch", "nobody")
    assert (result.exit_code, result.stdout) == (2, "")


def test_without_a_server_it_says_so(served: Served) -> None:
    assert served.url
    result = laurel("watch", "nobody", "--server", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "laurel up" in result.stderr


EVENT = b'id: 7\nevent: look\ndata: {"id": 7, "at": "2026-03-01T12:00:00Z"}\n\n'
LAST = b'event: promotion\ndata: {"ended_at": "2026-03-01T12:00:00Z"}\n\n'


class Flaky(Client):
    """A server that hangs up, is away and comes back."""

    def __init__(self, answers: list[Callable[[], Iterator[bytes]]]) -> None:
        super().__init__("http://127.0.0.1:9", "token")
        self.answers = iter(answers)
        self.after: list[object] = []

    def stream(self, *path: str, accept: str, **query: object) -> Iterator[bytes]:
        assert path
        assert accept == "text/event-stream"
        self.after.append(query["after"])
        return next(self.answers)()


def away() -> Iterator[bytes]:
    raise ConfigurationError("nobody answers")


def broken() -> Iterator[bytes]:
    yield EVENT
    raise UnavailableError("ask", "the server", "the call broke off")


def test_a_server_that_goes_away_is_waited_for_and_nothing_is_told_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.0)
    client = Flaky([broken, away, lambda: iter([]), lambda: iter([LAST])])
    told = [kind for kind, _ in module._story(client, "p")]
    assert told == ["look", "promotion"]
    assert client.after == [0, 7, 7, 7]
    assert capsys.readouterr().err.count("waiting for it") == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_read_however_they_are_cut(size: int) -> None:
    text = b":\n\n" + EVENT + LAST
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [kind for kind, _ in frames(pieces)] == ["look", "promotion"]


def test_signs_of_life_are_no_events_and_an_endless_one_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(frames([b":\n\n:\n\n"])) == []
    monkeypatch.setattr(module, "_LONGEST", 10)
    with pytest.raises(UnavailableError, match="does not end"):
        list(frames([b"data: " + b"x" * 20]))
