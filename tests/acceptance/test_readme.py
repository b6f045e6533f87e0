"""Every command of README.md and docs/, typed as it stands there, against a real MLflow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.domain.promotion import Kind, Phase, Promotion
from tests.architecture.commands import PAGES, ROOT, commands, shown
from tests.servers.laurel import MODEL, Laurel
from tests.servers.mlflow import FIXTURES, MlflowServer
from tests.servers.ports import free_ports
from tests.servers.prompt import type_
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("readme")
REQUEST = (FIXTURES / "sk-pickle" / "serving_input_example.json").read_bytes()
UP, DOWN = "laurel up", "laurel down"
HISTORY = ("laurel history fraud", "laurel history fraud --verify")
ELSEWHERE = {
    "make demo": "test_demo.py runs `laurel demo`, which is all that it does",
    "make dev": "it made the environment that this test runs in",
    "alias laurel=.venv/bin/laurel": "the same program is on the reader's PATH",
}
"""Commands that are not typed here, and why each needs none of it."""
ON_A_CLUSTER = "kubernetes.md"  # tests/cluster/test_laurel_in_the_cluster.py types it
OF_NOTICES = "notifications.md"  # test_notifications.py types it
OF_PEOPLE = "approvals.md"  # test_people_decide.py types it
OF_MLFLOW = "deployments.md"  # test_mlflow_deployments.py types it
OF_INSTALLING = "install.md"  # test_installed.py types it
OF_BACKUPS = "backups.md"  # typed here, once everything has stopped
TYPED = [
    each
    for page in PAGES
    for each in commands(page)
    if page.name not in {ON_A_CLUSTER, OF_NOTICES, OF_PEOPLE, OF_MLFLOW, OF_INSTALLING, OF_BACKUPS}
    and each not in ELSEWHERE
]


@dataclass
class Reader:
    """Somebody who types what the pages say, with other ports and a shorter canary."""

    folder: Path
    words: dict[str, str]
    variables: list[str] = field(default_factory=list)

    def type(self, command: str) -> str:
        """Type a command, which must work, and return what it printed."""
        for word, meant in self.words.items():
            command = re.sub(rf"\b{word}\b", meant, command)
        if re.match("[A-Z]+=", command):
            self.variables.append(command)
        return type_("\n".join([*self.variables, command]), self.folder)

    def hurry(self) -> None:
        """Change laurel.yaml as a test must: free ports, short steps, and no poll that helps."""
        settings = (self.folder / "laurel.yaml").read_text()
        for said, meant in {
            "port: 8080": f"port: {self.words['8080']}",
            "port: 8081": f"port: {self.words['8081']}",
            "poll: 30s": "poll: 1h",
            "interval: 60s, min_samples: 200": "interval: 300ms, min_samples: 5, look_every: 50ms",
        }.items():
            assert said in settings
            settings = settings.replace(said, meant)
        settings += "rollback: {secret_file: rollback.secret}\n"
        (self.folder / "laurel.yaml").write_text(settings)
        (self.folder / "rollback.secret").write_text("the pages say how another is made")


@pytest.fixture
def reader(mlflow_server: MlflowServer, tmp_path: Path) -> Reader:
    """Lend a reader whose MLflow has two versions, the first one as champion."""
    mlflow_server.create_model(MODEL)
    for _ in range(2):
        mlflow_server.register(MODEL)
    mlflow_server.set_alias(MODEL, "champion", 1)
    front, receiver = free_ports(2)
    mlflow_port = mlflow_server.url.rpartition(":")[2]
    return Reader(tmp_path, {"5000": mlflow_port, "8080": str(receiver), "8081": str(front)})


@pytest.fixture
def laurel(reader: Reader) -> Iterator[Laurel]:
    """Lend the Laurel that comes of what is typed before ``laurel up``."""
    for command in TYPED[: TYPED.index(UP)]:
        reader.type(command)
    reader.hurry()
    laurel = Laurel(reader.folder)
    yield laurel
    laurel.down()


def test_every_command_does_what_the_pages_say(
    reader: Reader, laurel: Laurel, mlflow_server: MlflowServer
) -> None:
    laurel.start("up")
    assert laurel.ended(1, seconds=300).phase is Phase.SUCCEEDED, laurel.story()
    mlflow_server.set_alias(MODEL, "champion", 2)  # "then move @champion in MLflow's page"
    with laurel.traffic(REQUEST, pause=0.1) as seen:
        for command in TYPED[TYPED.index(UP) + 1 :]:
            if command != DOWN:  # it comes last, whatever the pages' order
                reader.words |= words_of(laurel)
                reader.type(command)
        until(lambda: both_delivered(laurel), "by hand, and by webhook", say=laurel.story)
        until(lambda: not laurel.ledger.promotions.open(), "the end of all", say=laurel.story)
        looked_at = reader.type("laurel status ID")
    assert {status for status, _ in seen} == {200}, seen
    assert labels(looked_at) == labels(shown(ROOT / "docs/promotion.md", "laurel status ID"))
    served, verified = map(reader.type, HISTORY)
    page = ROOT / "docs/history.md"
    assert served.splitlines()[0].split() == shown(page, HISTORY[0]).splitlines()[0].split()
    assert labels(verified) == labels(shown(page, HISTORY[1]))
    phases = {promotion.phase for promotion in laurel.promotions()}
    assert phases <= {Phase.SUCCEEDED, Phase.SUPERSEDED, Phase.ABORTED}, laurel.story()
    assert reader.type(DOWN) == "everything is down\n"
    laurel.terminate()
    laurel.ledger.close()  # this test's own: who restores is alone with it
    for command in commands(ROOT / "docs" / OF_BACKUPS):
        reader.type(command)


def test_what_is_not_typed_here_is_still_said() -> None:
    said = {each for page in PAGES for each in commands(page)}
    assert set(ELSEWHERE) <= said


def words_of(laurel: Laurel) -> dict[str, str]:
    """Say what ID and IMAGE stand for: the first version that had a canary."""
    canary = next((each for each in laurel.promotions() if had_a_canary(each)), None)
    return {} if canary is None else {"ID": canary.id, "IMAGE": str(canary.image)}


def had_a_canary(promotion: Promotion) -> bool:
    return promotion.kind is Kind.PROMOTION and promotion.previous_image is not None


def both_delivered(laurel: Laurel) -> bool:
    """Tell whether the delivery that was signed by hand is stored, and one of MLflow's webhook."""
    deliveries = laurel.ledger.deliveries
    return deliveries.get("by-hand") is not None and sum(deliveries.outcomes().values()) > 1


def labels(text: str) -> list[str]:
    """Leave of a table what stays the same: the first column."""
    return [line.partition("  ")[0] for line in text.splitlines()]
