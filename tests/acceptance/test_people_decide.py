"""docs/approvals.md as people follow it: what waits is killed, approved and steered."""

import pytest
import urllib3

from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import Registered, Start
from tests.architecture.commands import ROOT, commands
from tests.servers.laurel import Laurel
from tests.servers.prompt import type_
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("promotions")
PAGE = ROOT / "docs/approvals.md"
TOKEN, APPROVE, READ, LINK, FOR, PAUSE, RESUME, COMPLETE = commands(PAGE)
SLOW_CANARY = {"steps": [50], "interval": "60s", "min_samples": 5, "look_every": "50ms"}


def typed(laurel: Laurel, command: str) -> str:
    """Type a command about the newest promotion, in the folder of this Laurel."""
    meant = command.replace("8080", str(laurel.settings.server.port))
    if laurel.promotions():
        meant = meant.replace("ID", laurel.promotions()[-1].id)
    return type_(meant, laurel.folder)


def press(url: str, method: str = "POST") -> int:
    return urllib3.request(method, url, retries=False).status


def waits_for(laurel: Laurel, what: str) -> None:
    until(
        lambda: (waiting := laurel.promotions()[-1].waiting) is not None and waiting.for_ == what,
        f"it waits for {what}",
        say=laurel.story,
    )


def test_people_approve_what_waits_over_a_kill_and_steer_its_canary(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up", require={"approvals": 1}, canary=SLOW_CANARY)
    until(up.answers, "the receiver answers", say=up.log)
    typed(up, TOKEN)
    model.add()
    model.point(1)
    up.event(1, "waiting")
    waits_for(up, "approval")
    up.kill()
    up.start("up")
    until(up.answers, "the receiver answers again", say=up.log)
    waits_for(up, "approval")
    assert up.state().stable is None
    assert "ada" in typed(up, APPROVE)
    assert '"standing":1' in typed(up, READ)
    assert up.ended(1).phase is Phase.SUCCEEDED, up.story()
    assert len(up.ledger.events.of(up.promotions()[0].id, kind="waiting")) == 1
    model.add()
    with up.traffic() as seen:
        model.point(2)
        up.event(2, "waiting")
        mine, graces = (typed(up, command).strip() for command in (LINK, FOR))
        assert [press(url, "GET") for url in (mine, graces)] == [200, 200]
        assert [press(mine), press(mine)] == [200, 410]
        up.event(2, "look", percent=50)
        typed(up, PAUSE)
        waits_for(up, "resume")
        up.kill()
        up.start("up")
        until(up.answers, "the receiver answers once more", say=up.log)
        waits_for(up, "resume")
        typed(up, RESUME)
        typed(up, COMPLETE)
        ended = up.ended(2)
    assert ended.phase is Phase.SUCCEEDED, up.story()
    assert "ended well by operator: the pilot users are happy" in ended.reason
    assert {status for status, _ in seen} == {200}
    assert up.ask() == (200, "2")
