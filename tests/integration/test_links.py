"""Links to approve by over real HTTP: two press at once, receivers are killed, no log has one."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.domain.access import Grant, Role
from pipeline.domain.chain import Head, verify_chain
from pipeline.domain.promotion import Promotion
from pipeline.ledger import new_token
from tests.integration.receivers import another, installed, receive, running
from tests.servers.laurel import Laurel


@pytest.fixture
def laurel(tmp_path: Path) -> Iterator[Laurel]:
    laurel = installed(tmp_path)
    yield laurel
    laurel.down()


def linked(laurel: Laurel, promotion: Promotion, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a link as an approver types it, and return its path."""
    text, made = new_token("ada", Grant(frozenset({Role.APPROVER})), datetime.now(UTC), None)
    laurel.ledger.tokens.add(made)
    monkeypatch.setenv("LAUREL_TOKEN", text)
    verb = ["approve", promotion.id, "--link", "--server", laurel.url]
    done = CliRunner().invoke(main, verb)
    assert done.exit_code == 0, done.stderr
    assert "works once" in done.stderr
    return urlsplit(done.stdout.strip()).path


def call(port: int, method: str, path: str) -> tuple[int, str, list[str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = "comment=fine" if method == "POST" else None
        connection.request(
            method, path, body, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        response = connection.getresponse()
        policies = response.headers.get_all("Content-Security-Policy", [])
        return response.status, response.read().decode(), policies


def test_of_many_who_press_at_once_at_two_receivers_one_approves_and_no_log_has_the_link(
    laurel: Laurel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(laurel)
    promotion = running(laurel, 1, approvals=1)
    path = linked(laurel, promotion, monkeypatch)
    first = laurel.settings.server.port
    with another(laurel) as port:
        status, _, policies = call(port, "GET", path)
        assert status == 200
        assert [policy.partition(";")[0] for policy in policies] == [
            "default-src 'none'",
            "frame-ancestors 'none'",
        ]
        with ThreadPoolExecutor(8) as threads:
            presses = [threads.submit(call, (first, port)[n % 2], "POST", path) for n in range(8)]
            answers = [press.result() for press in presses]
    assert sorted(status for status, *_ in answers) == [200] + [410] * 7
    (approval,) = laurel.ledger.admissions.approvals(promotion.id)
    assert (approval.actor, approval.comment) == ("ada", "fine")
    assert (tmp_path / "approvals.secret").stat().st_mode & 0o777 == 0o600
    assert "This link was used" in laurel.log()
    for part in path.rpartition("/")[2].split(".")[1:]:
        assert part not in laurel.log()


@pytest.mark.parametrize("point", ["told", "approved"])
def test_a_receiver_killed_while_a_link_is_used_approved_or_did_not(
    laurel: Laurel, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    port = laurel.settings.server.port
    receive(laurel, point)
    promotion = running(laurel, 1, approvals=1)
    path = linked(laurel, promotion, monkeypatch)
    with suppress(OSError, http.client.HTTPException):
        call(port, "POST", path)
    laurel.died()
    receive(laurel)
    status, page, _ = call(port, "POST", path)
    assert (status, "ada agree" in page) == (200 if point == "told" else 410, True)
    assert len(laurel.ledger.admissions.approvals(promotion.id)) == 1
    told = laurel.ledger.history.entries("fraud")
    assert [entry.kind for entry in told].count("approved") == 1
    assert isinstance(verify_chain(told, "fraud"), Head)
