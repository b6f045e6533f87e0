"""docs/notifications.md, as a reader follows it; and a worker that is killed while it tells."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import Registered, Start
from tests.architecture.commands import ROOT, commands, shown
from tests.servers.laurel import Laurel
from tests.servers.prompt import type_
from tests.servers.receiving import Posted, Receiver, receiving
from tests.servers.waiting import until

PAGE = ROOT / "docs/notifications.md"
TEXT = PAGE.read_text()
QUICK = {"steps": [50], "interval": "300ms", "min_samples": 5, "look_every": "50ms"}


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    with ExitStack() as stack:
        yield stack.enter_context(receiving()), stack.enter_context(receiving())


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def verify(posted: Posted, secret: str) -> bool:
    """Verify as the page says."""
    names: dict[str, Callable[..., bool]] = {}
    exec(block("python"), names)  # noqa: S102 - the page's own program, which is what is tested
    return names["verified"](posted.headers, posted.body, secret)


def test_every_line_of_the_page_does_what_it_says(
    receivers: tuple[Receiver, Receiver], tmp_path: Path
) -> None:
    ops, audit = receivers
    settings = block("yaml").replace("https://audit.example.com/laurel", audit.url)
    (tmp_path / "laurel.yaml").write_text(settings)
    for command in commands(PAGE):
        typed = command.replace(
            "slack://TokenA/TokenB/TokenC/#models", f"json://127.0.0.1:{ops.port}/"
        )
        printed = type_(typed, tmp_path)
        if command == "laurel notify":
            assert printed == shown(PAGE, command)
    assert [len(each.posted) for each in receivers] == [1, 1]
    secret = (tmp_path / "audit.secret").read_text().strip()
    assert verify(audit.posted[0], secret)
    assert not verify(audit.posted[0], "whsec_AAAA")
    for name in ("ops.url", "audit.secret"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


@pytest.mark.xdist_group("promotions")
def test_a_worker_that_is_killed_while_it_tells_of_an_automatic_rollback_tells_it_again(
    laurel: Start, model: Registered, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("a secret of a test's own")
    with receiving() as receiver:
        receiver.down()
        channel = {
            "name": "audit",
            "webhook": receiver.url,
            "secret_file": str(tmp_path / "secret"),
            "on": ["rolled_back"],
        }
        worker = laurel(sections={"notifications": [channel]}, canary=QUICK | {"min_samples": 40})
        model.add()
        model.point(1)
        assert worker.ended(1).phase is Phase.SUCCEEDED, worker.story()
        model.add(fails=True)
        with worker.traffic():
            model.point(2)
            failed = worker.ended(2)  # though nobody takes the notice
        assert failed.phase is Phase.FAILED, worker.story()
        until(lambda: "audit was not told" in worker.log(), "a first attempt", say=worker.story)
        receiver.meanwhile = worker.kill
        receiver.up()
        until(lambda: receiver.posted, "the notice, which kills the worker", say=worker.story)
        worker.died()
        receiver.meanwhile = str
        worker.start()
        until(lambda: delivered(worker), "its receipt is recorded", say=worker.story)
    first, second = receiver.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    said = second.json["data"]
    assert said["title"] == f"fraud: AUTOMATIC ROLLBACK of {failed.model}"
    assert (said["urgency"], said["promotion"]["id"]) == ("failure", failed.id)
    assert said["topics"] == ["failed", "rolled_back"]


def delivered(worker: Laurel) -> bool:
    """Tell whether nothing is left to be told."""
    query = "SELECT count(*) FROM notifications WHERE delivered_at IS NOT NULL"
    with worker.ledger.database.read() as connection:
        return connection.exec_driver_sql(query).scalar() == 1
