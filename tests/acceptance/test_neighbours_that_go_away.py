"""MLflow, Envoy, a model server, the disk: each goes away in the middle, and nothing is lost."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from pipeline.local.processes import Process
from tests.acceptance.conftest import LIGHT, Registered, Start
from tests.fakes.local_machine import kill
from tests.servers.laurel import MODEL, Laurel, install
from tests.servers.mlflow import running_mlflow
from tests.servers.ports import free_ports
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("mlflow")
SLOW_CANARY = {"steps": [50], "interval": "2s", "min_samples": 5, "look_every": "50ms"}


def first(laurel: Laurel, model: Registered) -> None:
    model.add()
    model.point(1)
    assert laurel.ended(1).phase is Phase.SUCCEEDED, laurel.story()


def waiting_for(laurel: Laurel, number: int) -> str | None:
    waiting = laurel.promotions()[number - 1].waiting
    return None if waiting is None else waiting.for_


def test_while_mlflow_is_away_the_percent_stays_and_it_goes_on_when_mlflow_is_back(
    tmp_path: Path, cache: Path
) -> None:
    server = tmp_path / "server"
    server.mkdir()
    (port,) = free_ports(1)
    with ExitStack() as stack:
        with running_mlflow(server, port) as mlflow:
            mlflow.create_model(MODEL)
            model = Registered(mlflow, tmp_path / "models", MODEL)
            folder = install(tmp_path / "laurel", mlflow.url, cache, canary=SLOW_CANARY)
            laurel = Laurel(folder, LIGHT)
            stack.callback(laurel.down)
            laurel.start()
            first(laurel, model)
            model.add()
            seen = stack.enter_context(laurel.traffic())
            model.point(2)
            laurel.event(2, "look", percent=50)
        until(lambda: waiting_for(laurel, 2) == "mlflow", "it waits for MLflow", say=laurel.story)
        canary = laurel.state().canary
        assert canary is not None
        assert canary.percent == 50
        with running_mlflow(server, port) as mlflow:
            assert laurel.ended(2).phase is Phase.SUCCEEDED, laurel.story()
            again = Registered(mlflow, tmp_path / "models", MODEL)
            until(lambda: again.tags(2).get("laurel.fraud.phase") == "succeeded", "it is told")
        assert {status for status, _ in seen} == {200}
        assert len(laurel.promotions()) == 2


def test_an_envoy_that_is_killed_in_a_canary_is_back_and_the_canary_goes_on(
    laurel: Start, model: Registered
) -> None:
    worker = laurel(canary=SLOW_CANARY)
    first(worker, model)
    model.add()
    with worker.traffic() as seen:
        model.point(2)
        worker.event(2, "look", percent=50)
        envoy = Process.recorded(worker.settings.serving.state / "envoy.json")
        assert envoy is not None
        kill(envoy)
        until(lambda: worker.ask()[0] == 200, "the front answers again")
        assert worker.ended(2).phase is Phase.SUCCEEDED, worker.story()
        before = seen[200, "2"]
        until(lambda: seen[200, "2"] > before, "version 2 answers")
    assert worker.state().canary is None


def test_a_model_server_that_is_killed_is_back_also_after_laurel_was_away(
    laurel: Start, model: Registered
) -> None:
    worker = laurel()
    first(worker, model)
    record = worker.settings.serving.state / "processes" / "fraud-00001.json"
    for laurel_is_there in (True, False):
        if not laurel_is_there:
            worker.kill()
        server = Process.recorded(record)
        assert server is not None
        kill(server)
        if not laurel_is_there:
            assert worker.ask()[0] != 200
            worker.start()
        until(lambda: worker.ask() == (200, "1"), "version 1 answers again", say=worker.log)


@pytest.mark.parametrize("room", [40_000, 80_000])
def test_a_disk_that_is_full_loses_nothing_and_it_goes_on_when_there_is_room(
    room: int, laurel: Start, model: Registered
) -> None:
    worker = laurel()
    first(worker, model)
    worker.kill()
    model.add()
    with worker.traffic() as seen:
        model.point(2)
        full = max(path.stat().st_size for path in worker.folder.glob("*.db-wal")) + room
        worker.start(largest_file=full)
        until(lambda: "disk I/O error" in worker.log(), "the disk is full", say=worker.log)
        worker.make_room()
        last = worker.ended(2)
    assert {status for status, _ in seen} == {200}
    assert last.phase is Phase.SUCCEEDED, worker.story()
    assert len(worker.promotions()) == 2
