"""Both runtimes, started as an image starts them, on recorded models, in a locked environment.

The environment is resolved and installed once, by the product's own resolver; both runtimes run
from it, with nothing of this process's environment.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.evidence import Lock
from pipeline.runtimes.serving import runtime_env, serve_files
from pipeline.runtimes.table import MLSERVER
from tests.servers.mlflow import FIXTURES

pytestmark = pytest.mark.xdist_group("runtimes")

BOTH = pytest.mark.parametrize("runtime", ["mlserver", "mlflow"])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    requirements = (FIXTURES / "sk-skops" / "requirements.txt").read_text().split()
    lock = UvResolver().resolve(
        [*requirements, "cloudpickle==3.1.2", *MLSERVER.requirements],
        runtime="mlserver",
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    )
    assert isinstance(lock, Lock), lock
    target = tmp_path_factory.mktemp("environment")
    UvResolver().install(lock, target, python=Path(sys.executable))
    return target


@dataclass
class Server:
    """One model server and the port that was opened for it."""

    process: subprocess.Popen[bytes]
    url: str
    http: urllib3.PoolManager
    log: Path

    def get(self, path: str) -> int:
        return self.http.request("GET", self.url + path).status

    def post(
        self, path: str, body: object, kind: str | None = "application/json"
    ) -> tuple[int, bytes]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if kind is None else {"Content-Type": kind}
        answer = self.http.request("POST", self.url + path, body=content, headers=headers)
        return answer.status, answer.data

    def until_ready(self) -> "Server":
        deadline = time.monotonic() + 120
        while self.get("/v2/health/ready") != 200:
            assert time.monotonic() < deadline, self.log.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.05)
                pytest.fail(self.log.read_text())
        return self


@dataclass
class Image:
    """The files of an image below a folder, as ``isolation: none`` runs them."""

    root: Path
    environment: Path

    def put(self, runtime: str, fixture: str) -> None:
        shutil.copytree(FIXTURES / fixture, self.root / "mnt" / "models")
        for path, content in serve_files(runtime).items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)

    @contextlib.contextmanager
    def run(self) -> Iterator[Server]:
        log = self.root / "output"
        with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as output:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            process = subprocess.Popen(
                [sys.executable, "-S", str(self.root / "opt/laurel/serve")],
                env={
                    **runtime_env("fraud"),
                    "LAUREL_LISTEN_FD": str(listening.fileno()),
                    "LAUREL_ROOT": str(self.root),
                    "PYTHONPATH": str(self.environment),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PATH": os.defpath,
                    "HOME": "/tmp",  # noqa: S108 - as in the image, where it is private
                },
                pass_fds=[listening.fileno()],
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        with urllib3.PoolManager(retries=False, timeout=60) as http:
            try:
                yield Server(process, url, http, log)
            finally:
                process.kill()
                process.wait()


@pytest.fixture
def image(tmp_path: Path, environment: Path) -> Image:
    return Image(tmp_path, environment)


@BOTH
@pytest.mark.parametrize("fixture", ["sk-pickle", "sk-skops", "pyfunc-from-code"])
def test_a_recorded_model_answers_its_own_example(image: Image, runtime: str, fixture: str) -> None:
    image.put(runtime, fixture)
    example = (FIXTURES / fixture / "serving_input_example.json").read_bytes()
    with image.run() as server:
        status, answer = server.until_ready().post("/invocations", example)
    assert status == 200, answer
    assert "predictions" in json.loads(answer)


@BOTH
def test_the_server_is_live_at_once_and_ready_only_with_its_model(
    image: Image, runtime: str
) -> None:
    image.put(runtime, "sk-pickle")
    with image.run() as server:
        assert server.get("/v2/health/live") == 200
        assert server.get("/v2/health/ready") == 503
        assert server.post("/invocations", {})[0] == 503
        server.until_ready()
        assert server.get("/v2/health/live") == 200


def test_mlserver_speaks_the_open_inference_protocol(image: Image) -> None:
    image.put("mlserver", "sk-pickle")
    columns = [("amount", "FP64", 1.0), ("age", "INT64", 20)]
    request = {
        "inputs": [
            {"name": name, "shape": [1, 1], "datatype": datatype, "data": [value]}
            for name, datatype, value in columns
        ]
    }
    with image.run() as server:
        assert server.until_ready().get("/v2/models/fraud/ready") == 200
        status, answer = server.post("/v2/models/fraud/infer", request)
        assert status == 200, answer
        assert json.loads(answer)["outputs"][0]["data"] == [0]
        status, answer = server.post(
            "/v2/models/fraud/infer", {"inputs": [{**request["inputs"][0], "name": "height"}]}
        )
        assert status == 400, answer


def test_nobody_unloads_the_model_over_http(image: Image) -> None:
    image.put("mlserver", "sk-pickle")
    with image.run() as server:
        server.until_ready()
        assert server.post("/v2/repository/models/fraud/unload", {})[0] == 404
        assert server.get("/v2/models/fraud/ready") == 200


@BOTH
def test_a_clients_mistake_is_never_the_servers_failure(image: Image, runtime: str) -> None:
    image.put(runtime, "sk-pickle")
    with image.run() as server:
        server.until_ready()
        for body in (b"{", b'{"unknown": 1}', b'{"inputs": {"height": [1]}}'):
            status, answer = server.post("/invocations", body)
            assert 400 <= status < 500, answer


@BOTH
def test_a_body_of_unnamed_type_is_taken_for_json(image: Image, runtime: str) -> None:
    image.put(runtime, "sk-pickle")
    example = (FIXTURES / "sk-pickle" / "serving_input_example.json").read_bytes()
    with image.run() as server:
        assert server.until_ready().post("/invocations", example, kind=None)[0] == 200
        assert server.post("/invocations", example, kind="text/x-unknown")[0] == 415


@BOTH
def test_a_model_that_cannot_be_loaded_ends_its_server_and_says_why(
    image: Image, runtime: str
) -> None:
    image.put(runtime, "sk-pickle")
    (image.root / "mnt/models/model.pkl").write_bytes(b"no pickle")
    with image.run() as server:
        assert server.process.wait(timeout=120) == 1
    assert "UnpicklingError" in server.log.read_text()


@BOTH
def test_sigterm_ends_the_server(image: Image, runtime: str) -> None:
    image.put(runtime, "sk-pickle")
    with image.run() as server:
        server.until_ready()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) in {0, -signal.SIGTERM}


@BOTH
def test_nothing_is_written_beside_the_model(image: Image, runtime: str) -> None:
    image.put(runtime, "sk-pickle")
    example = (FIXTURES / "sk-pickle" / "serving_input_example.json").read_bytes()
    before = sorted(image.root.rglob("*"))
    with image.run() as server:
        server.until_ready().post("/invocations", example)
    assert sorted(image.root.rglob("*")) == sorted([*before, server.log])
