"""What a model runner does with an image: this machine's, on real images."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pipeline.adapters.local_runner import LocalRunner
from pipeline.domain.plan import EnvVar
from pipeline.domain.serving import Readiness
from pipeline.errors import PermanentError
from pipeline.local.processes import Process
from pipeline.local.rootfs import RootfsCache
from pipeline.ports import ModelRunner
from tests.fakes.local_machine import eventually
from tests.fakes.served_image import ImageMaker, built

pytestmark = pytest.mark.xdist_group("local")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    return ImageMaker(tmp_path_factory.mktemp("images"))


@pytest.fixture(params=["sandboxed", "not isolated"])
def runner(request: pytest.FixtureRequest, images: ImageMaker) -> ModelRunner:
    cache = RootfsCache(images.folder / "unpacked", images.registry)
    return LocalRunner(cache, isolated=request.param == "sandboxed")


def test_a_model_becomes_ready_and_answers(runner: ModelRunner, images: ImageMaker) -> None:
    with runner.run(built(images.serve()), ()) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b'{"inputs": [1]}') == (200, b'{"inputs": [1]}')
        assert "serving" in running.output()


def test_a_model_that_says_no_is_starting(runner: ModelRunner, images: ImageMaker) -> None:
    image = images.serve("def ready():\n    return False")
    with runner.run(built(image), ()) as running:
        eventually(lambda: "serving" in running.output())
        assert running.readiness() is Readiness.STARTING


def test_a_model_whose_process_ends_has_failed(runner: ModelRunner, images: ImageMaker) -> None:
    with runner.run(built(images.image("print('no such flavor')")), ()) as running:
        eventually(lambda: running.readiness() is Readiness.FAILED)
        assert running.output() == "no such flavor"
        assert running.invoke(b"{}")[0] == 503


def test_it_gets_the_service_s_variables(runner: ModelRunner, images: ImageMaker) -> None:
    image = images.serve("def invoke(body):\n    return 200, os.environ['REGION'].encode()")
    with runner.run(built(image), (EnvVar("REGION", "eu"),)) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b"") == (200, b"eu")


def test_a_variable_out_of_a_cluster_s_secret_is_not_there(
    runner: ModelRunner, images: ImageMaker
) -> None:
    image = images.serve(
        "def invoke(body):\n    return 200, os.environ.get('API_KEY', 'absent').encode()"
    )
    secret = EnvVar("API_KEY", secret_name="keys", secret_key="api")
    with runner.run(built(image), (secret,)) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b"") == (200, b"absent")


def test_an_image_without_its_interpreter_is_told(runner: ModelRunner, images: ImageMaker) -> None:
    image = images.image("", interpreter="/opt/nothing")
    with pytest.raises(PermanentError, match="/opt/nothing"), runner.run(built(image), ()):
        pass


def test_an_endless_answer_is_cut(runner: ModelRunner, images: ImageMaker) -> None:
    image = images.serve("def invoke(body):\n    return 200, bytes(1 << 20)")
    with runner.run(built(image), ()) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b"") == (200, bytes(65536))


FORKING = """
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.pause()
def invoke(body):
    return 200, b"ok"
"""


def test_leaving_ends_everything_that_a_sandboxed_model_started(images: ImageMaker) -> None:
    runner = LocalRunner(RootfsCache(images.folder / "unpacked", images.registry))
    mark = EnvVar("MARK", uuid.uuid4().hex)
    with runner.run(built(images.serve(FORKING)), (mark,)) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert len(sandboxed(mark)) >= 2
    eventually(lambda: not sandboxed(mark))


def sandboxed(mark: EnvVar) -> list[Process]:
    """Find what runs in another process namespace than ours and has this variable."""
    ours = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - pathlib cannot follow this link
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            theirs = os.stat(folder / "ns/pid").st_ino  # noqa: PTH116 - the same
            serves = b"/opt/laurel/serve" in (folder / "cmdline").read_bytes()
            serves &= f"{mark.name}={mark.value}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if theirs != ours and serves:
            found.append(Process(int(folder.name), 0, "", 0))
    return found


RUN = """
import sys
from pathlib import Path
from pipeline.local.processes import Command, tied

with tied(Command(argv=("/bin/sleep", "600"), output=Path(sys.argv[1]))):
    print("running", flush=True)
    sys.stdin.read()
"""


def test_a_tied_process_ends_when_laurel_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "output")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as laurel:
        assert laurel.stdout is not None
        assert laurel.stdout.readline() == b"running\n"
        (sleeping,) = sleepers(tmp_path)
        os.killpg(laurel.pid, signal.SIGKILL)
    eventually(lambda: sleepers(tmp_path) == [])
    assert sleeping > 0


def sleepers(folder: Path) -> list[int]:
    """Find the processes whose standard output is this test's file."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd/1").readlink() == folder / "output":
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_it_is_a_model_runner() -> None:
    _: type[ModelRunner] = LocalRunner
