import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.cli.client import Client
from pipeline.cli.follow import follow, standing_of
from pipeline.domain.promotion import Phase
from pipeline.errors import ConfigurationError, ForbiddenError, UnavailableError
from tests.unit.cli.test_output import Terminal

_RUNNING: dict[str, Any] = {
    "service": "fraud",
    "kind": "promotion",
    "phase": "running",
    "reason": "",
    "steps": [{"name": "check", "phase": "succeeded"}, {"name": "canary", "phase": "running"}],
    "canary": [{"percent": 10, "verdict": "pass"}, {"percent": 25, "verdict": "hold"}],
    "waiting": {"for": "traffic"},
}
_ENDED = _RUNNING | {"phase": "failed", "reason": "errors rose"}


def test_a_running_canary_tells_its_share_and_what_it_waits_for() -> None:
    told = "fraud promotion running · canary · 25 % · waiting for traffic"
    assert standing_of(_RUNNING) == told


def test_before_the_canary_there_is_a_step_alone() -> None:
    early = _RUNNING | {"steps": [{"name": "build", "phase": "running"}], "waiting": None}
    assert standing_of(early) == "fraud promotion running · build"


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.ended])
def test_an_end_tells_its_reason(phase: Phase) -> None:
    ended = _RUNNING | {"phase": phase.value, "reason": "so it is"}
    assert standing_of(ended) == f"fraud promotion {phase}: so it is"


class Scripted(Client):
    """A server whose answers are written down."""

    def __init__(self, *answers: object) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self._answers: Iterator[object] = iter(answers)

    def read(self, *_path: str, **_query: object) -> object:
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cli.follow._EVERY", 0)


def test_each_change_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    pending = _RUNNING | {"phase": "pending", "steps": [], "canary": [], "waiting": None}
    assert follow(Scripted(pending, pending, _RUNNING, _RUNNING, _ENDED), "p-1") == _ENDED
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "fraud promotion pending",
        "fraud promotion running · canary · 25 % · waiting for traffic",
        "fraud promotion failed: errors rose",
    ]


def test_a_server_that_goes_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    away, down = ConfigurationError("nobody answers"), UnavailableError("read", "it", "later")
    assert follow(Scripted(away, away, down, _ENDED), "p-1") == _ENDED
    assert capsys.readouterr().err.splitlines() == [
        "http://127.0.0.1:1 does not answer; waiting for it",
        "fraud promotion failed: errors rose",
    ]


def test_an_interrupt_says_that_the_promotion_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(Scripted(_RUNNING, KeyboardInterrupt()), "p-1")
    assert "goes on: `laurel status p-1`" in capsys.readouterr().err


def test_a_token_that_counts_no_more_is_not_waited_for() -> None:
    with pytest.raises(ForbiddenError):
        follow(Scripted(ForbiddenError("read", "it", "no")), "p-1")


def test_on_a_terminal_something_moves_while_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert follow(Scripted(_RUNNING, _ENDED), "p-1") == _ENDED
    assert "Ctrl-C ends the waiting, not the promotion" in terminal.getvalue()
    assert "fraud promotion failed: errors rose\n" in terminal.getvalue()
